"""The text of a card: a plan's own, or one that says what was measured and how to read it.

`{{row id}}` becomes a measured number; `{{table:metric:NAME}}` a table of one metric over all data
sets and methods, `{{table:robustness:NAME}}` the same under disturbances, `{{table:key:KEY}}` all
metrics of one setting, `{{table:neighbours}}` the neighbouring settings, `{{table:seeds}}` the
spread over the seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from converters.card import Numbers, markdown_table
from converters.plan import Plan
from zoo.card import CellZooBlock, Row
from zoo.errors import FileMissing, InvalidPlan
from zoo.evaluation.measurements import row_key

_METHODS = {"model": "this model"}


def card_text(
    plan: Plan, folder: Path, block: CellZooBlock, rows: Sequence[Row], figures: list[str]
) -> str:
    """The prose of a card; the plan's text lies in `folder`.

    Raises
    ------
    FileMissing, InvalidPlan
        If the plan names a text that is not there, or the text a row that was not measured.

    """
    if plan.prose is None:
        return _draft(block, rows, figures)
    path = folder / plan.prose
    if not path.is_file():
        raise FileMissing(str(path))
    try:
        return Numbers.of(rows).fill(path.read_text(encoding="utf-8"), Tables(rows))
    except KeyError as error:
        detail = f"the text names {error.args[0]!r}, and no such row or table was measured"
        raise InvalidPlan(str(path), detail) from error


class Tables(dict[str, Callable[[], str]]):
    """Tables by the name that stands after `table:`."""

    def __init__(self, rows: Sequence[Row]) -> None:
        super().__init__()
        self.rows = list(rows)

    def __missing__(self, name: str) -> Callable[[], str]:
        kind, _, rest = name.partition(":")
        makers: dict[str, Callable[[], str]] = {
            "metric": lambda: by_metric(self.rows, rest),
            "robustness": lambda: by_metric(self.rows, rest, disturbed=True),
            "key": lambda: by_key(self.rows, rest),
            "neighbours": lambda: neighbours(self.rows),
            "seeds": lambda: seeds(self.rows),
        }
        return makers[kind]


def by_metric(rows: Sequence[Row], metric: str, *, disturbed: bool = False) -> str:
    """One metric: a line for each setting, a column for each method."""
    found = [
        row
        for row in rows
        if row.metric == metric
        and ":" not in row.id  # single groups
        and row.role != "ablation"
        and (row.role == "robustness") == disturbed
    ]
    methods = list(dict.fromkeys(row.method for row in found))
    settings = list(dict.fromkeys((row.dataset, row.condition) for row in found))
    at = {(row.dataset, row.condition, row.method): row for row in found}
    conditions = shortened([condition for _, condition in settings])
    lines = [
        [dataset, short, *(_told(at.get((dataset, condition, m))) for m in methods)]
        for (dataset, condition), short in zip(settings, conditions, strict=True)
    ]
    return markdown_table([f"{metric} on", "condition", *map(_method, methods)], lines)


def shortened(conditions: Sequence[str]) -> list[str]:
    """Conditions without the parts that all of them share, and without how cells were held out."""
    parts = [condition.split("; ") for condition in conditions]
    parts = [["held out" if p.startswith("held out: ") else p for p in line] for line in parts]
    shared = set.intersection(*map(set, parts)) if len(parts) > 1 else set()
    short = [[part for part in line if part not in shared] for line in parts]
    return ["; ".join(line) or "as published" for line in short]


def by_key(rows: Sequence[Row], key: str) -> str:
    """All metrics of one setting: a line for each metric, a column for each method."""
    found = [row for row in rows if row.id.split(".")[0] == key and ":" not in row.metric]
    methods = list(dict.fromkeys(row.method for row in found))
    metrics = list(dict.fromkeys(row.metric for row in found))
    at = {(row.metric, row.method): row for row in found}
    lines = [[metric, *(_told(at.get((metric, m))) for m in methods)] for metric in metrics]
    return markdown_table(["metric", *map(_method, methods)], lines)


def neighbours(rows: Sequence[Row]) -> str:
    """Neighbouring settings: a line each, the model's metrics that they share as columns."""
    of_model = [row for row in rows if row.method == "model" and ":" not in row.metric]
    found = [row for row in of_model if row.role == "ablation" and ":" not in row.id]
    metrics = list(dict.fromkeys(row.metric for row in found))
    names = list(dict.fromkeys(_neighbour(row) for row in found))
    at = {(_neighbour(row), row.metric): row for row in found}
    shipped = {(row.id.split(".")[0], row.metric): row for row in of_model}
    base = {row.metric: shipped.get((_base(row.id), row.metric)) for row in found}
    lines = [["as shipped", *(_value(base.get(m)) for m in metrics)]]
    lines += [[name, *(_value(at.get((name, m))) for m in metrics)] for name in names]
    return markdown_table(["setting", *metrics], lines)


def _neighbour(row: Row) -> str:
    """The name of a neighbouring setting, which stands in the condition and in the row's id."""
    key = row.id.split(".")[0].partition("+")[2]
    parts = row.condition.split("; ")
    return next((part for part in parts if row_key(part) == key), key)


def seeds(rows: Sequence[Row]) -> str:
    """The model's rows that were repeated over seeds, with their spread."""
    found = [
        row
        for row in rows
        if row.spread is not None and row.method == "model" and ":" not in row.metric + row.id
    ]
    conditions = shortened([row.condition for row in found])
    lines = [
        [row.dataset, short, row.metric, f"{row.value:.3f}",
         f"{row.spread[0]:.3f} to {row.spread[1]:.3f}"]
        for row, short in zip(found, conditions, strict=True)
        if row.spread is not None
    ]  # fmt: skip
    return markdown_table(["data set", "condition", "metric", "shipped", "over seeds"], lines)


def _base(row_id: str) -> str:
    return row_id.split(".")[0].split("+")[0]


def _method(method: str) -> str:
    return _METHODS.get(method, method.replace("_", " "))


def _told(row: Row | None) -> str:
    if row is None:
        return ""
    interval = f" ({row.interval[0]:.2f}–{row.interval[1]:.2f})" if row.interval else ""
    return f"{row.value:.2f}{interval}"


def _value(row: Row | None) -> str:
    return "" if row is None else f"{row.value:.3f}"


def _draft(block: CellZooBlock, rows: Sequence[Row], figures: list[str]) -> str:
    keys = list(dict.fromkeys(row.id.split(".")[0] for row in rows if row.role != "ablation"))
    told = "\n\n".join(f"**{key}**\n\n{by_key(rows, key)}" for key in keys)
    pictures = "\n\n".join(f"![{name.removesuffix('.png')}](figures/{name})" for name in figures)
    near = f"\n## Neighbouring settings\n\n{neighbours(rows)}\n" if _has_neighbours(rows) else ""
    return f"""
# {block.name}

{block.summary}.

This text is a draft: say what the model is for, when to use it and when not, and add claims to the
scope that point at the rows below.

## How well it works

{told}

{pictures}
{near}
## How it was made

Recipe `{block.training.recipe}` with seed {block.training.seed} on {block.data[0].name}:
{block.training.cells:,} cells. Split: {block.training.split}. The hyper-parameters, the digest of
the data and every measured row are in the front matter and in `measurements.json`.
"""


def _has_neighbours(rows: Sequence[Row]) -> bool:
    return any(row.role == "ablation" for row in rows)
