"""The page: what the report says, in the order in which it says it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import PurePath
from typing import Any

import numpy as np

from zoo.confidence import VERDICTS
from zoo.reporting.answers import Answers
from zoo.reporting.explained import explained_sentence, further_groups, group_bars
from zoo.reporting.palette import VERDICT_COLORS, call_colors
from zoo.reporting.panels import confidence_panels, map_panels
from zoo.reporting.tissue import further_slides, slide_rows, tissue_panels
from zoo.reporting.wording import (
    BADGES,
    COMMAND,
    PARAGRAPH,
    decimal,
    is_number,
    overall_verdict,
    percent,
    plain,
    scope_sentences,
    small_p,
)

ROWS_LIMIT = 60
UNUSUAL_CELLS = 10

# The provenance table: a heading and its keys in order; what is not named here comes last.
_SECTIONS = (
    ("Model", ("model", "version", "summary", "task", "organism", "license", "digest",
               "card_version", "contract", "origin")),
    ("Input", ("input", "input_format", "input_digest", "input_digest_method", "file_digest",
               "cells", "source", "value_kind", "value_kind_evidence", "value_kind_declared",
               "gene_id_kind", "gene_column", "genes", "genes_shared", "gene_coverage")),
    ("Scope", ("scope_verdict", "scope_share", "scope_interval_low", "scope_interval_high",
               "scope_nominal", "thresholds", "forced")),
    ("Slides", ("slide_key", "domains")),
    ("Run", ("date", "seconds", "runtime", "device", "zoo_version")),
)  # fmt: skip
_ELSEWHERE = ("findings", "command", "slides", "works_poorly")
_SHARES = ("gene_coverage", "scope_share", "scope_interval_low", "scope_interval_high",
           "scope_nominal")  # fmt: skip
_LEVELS = ("red", "yellow", "green")


@dataclass(frozen=True)
class CallRow:
    """One line of the composition table."""

    number: int
    call: str
    call_id: str
    color: str
    cells: int
    share: float
    median_prob: str
    verdicts: Mapping[str, int]


def render(answers: Answers, file_name: str) -> str:
    """The page as HTML; needs jinja2."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_packaged),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("template.html").render(_content(answers, file_name))


def _packaged(name: str) -> str:
    return resources.files("zoo.reporting").joinpath(name).read_text("utf-8")


def _content(answers: Answers, file_name: str) -> dict[str, Any]:
    """Everything that the template shows; strings of the file are made visible and short here."""
    facts = answers.provenance
    summary = answers.summary()
    calls = [line.call for line in summary.calls] if "call" in answers.coded else []
    findings = sorted(
        answers.findings(), key=lambda f: _LEVELS.index(f["level"]) if f["level"] in _LEVELS else 0
    )
    levels = [finding["level"] for finding in findings]
    verdict = overall_verdict(facts, levels)
    rows = list(_call_rows(answers))
    return {
        "model": plain(facts["model"], 80),
        "version": plain(facts.get("version", ""), 40),
        "summary": plain(facts.get("summary", ""), PARAGRAPH),
        "input": plain(PurePath(str(facts.get("input", ""))).name),
        "file": plain(file_name),
        "date": _date(facts.get("date", "")),
        "cells": answers.cells,
        "verdict": verdict,
        "badge": BADGES[verdict],
        "scope_sentences": scope_sentences(facts, levels),
        "figures_of_merit": list(_tiles(answers)),
        "verdict_counts": answers.verdict_counts(),
        "verdict_colors": VERDICT_COLORS,
        "findings": [
            {"level": f["level"] if f["level"] in _LEVELS else "unknown",
             "code": plain(f["code"].replace("_", " "), 40),
             "message": plain(f["message"], PARAGRAPH), "hint": plain(f["hint"], PARAGRAPH)}
            for f in findings
        ],
        "calls": rows[:ROWS_LIMIT],
        "called": "Call" if "call" in answers.coded else "Label",
        "further_calls": len(rows) - len(rows[:ROWS_LIMIT]),
        "further_cells": sum(row.cells for row in rows[ROWS_LIMIT:]),
        "largest_share": max((row.share for row in rows), default=1.0),
        "has_verdict": answers.verdict is not None,
        "has_ood": "ood_p" in answers.numbers,
        "has_sets": "set_size" in answers.numbers,
        "set_sizes": _set_sizes(answers),
        "groups": _groups(answers),
        "tissue": list(tissue_panels(answers)),
        "further_slides": further_slides(answers),
        "slides": slide_rows(answers),
        "maps": list(map_panels(answers, calls)),
        "explained": group_bars(answers),
        "explained_sentence": explained_sentence(answers),
        "further_groups": further_groups(answers),
        "confidence": list(confidence_panels(answers)),
        "unusual": _unusual_cells(answers),
        "thresholds": {
            key: f"{value:g}" for key, value in _thresholds(facts).items() if is_number(value)
        },
        "provenance": _provenance(facts),
        "works_poorly": [plain(text, PARAGRAPH) for text in facts.get("works_poorly", [])],
        "command": plain(facts.get("command", ""), COMMAND),
    }  # fmt: skip


def _tiles(answers: Answers) -> Iterator[tuple[str, str]]:
    yield f"{answers.cells:,}", "cells"
    counts = answers.verdict_counts()
    for name in counts:
        yield percent(counts[name] / max(answers.cells, 1)), name
    prob = answers.numbers.get("prob")
    if prob is not None and np.isfinite(prob).any():
        yield decimal(float(np.median(prob[np.isfinite(prob)]))), "median probability"
    if is_number(answers.provenance.get("gene_coverage")):
        yield percent(answers.provenance["gene_coverage"], 0), "gene coverage"


def _call_rows(answers: Answers) -> Iterator[CallRow]:
    lines = answers.summary().calls
    colors = call_colors([line.call for line in lines])
    column = answers.coded.get("call")
    first = dict(zip(*np.unique(column.codes, return_index=True), strict=True)) if column else {}
    ids = answers.coded.get("call_id")
    for number, line in enumerate(lines, start=1):
        call_id = ""
        if column is not None and ids is not None:
            call_id = ids.categories[int(ids.codes[first[column.categories.index(line.call)]])]
        yield CallRow(
            number, plain(line.call), plain(call_id, 40), colors[line.call], line.cells,
            line.share, decimal(line.median_prob), line.verdicts,
        )  # fmt: skip


def _set_sizes(answers: Answers) -> dict[str, str]:
    """Shares of cells by the number of labels that stay possible."""
    sizes = answers.numbers.get("set_size")
    if sizes is None or not len(sizes):
        return {}
    return {
        "one label": percent(float(np.mean(sizes == 1))),
        "several labels": percent(float(np.mean(sizes > 1))),
        "no label": percent(float(np.mean(sizes == 0))),
    }


def _groups(answers: Answers) -> list[tuple[str, int, str]]:
    """Calls of the user's groups: call, cells, share of its cells that have this label."""
    if "group_call" not in answers.coded:
        return []
    agreement = answers.numbers.get("group_agreement")
    return [
        (
            plain(call),
            len(members),
            "–" if agreement is None else percent(float(np.mean(agreement[members]))),
        )
        for call, members in answers.coded["group_call"].groups()[:ROWS_LIMIT]
    ]


def _unusual_cells(answers: Answers) -> list[list[str]]:
    """The cells that are least like the training cells: name, call, prob, ood_z, ood_p, verdict."""
    scores = answers.numbers.get("ood_z")
    if scores is None:
        return []
    order = np.argsort(np.where(np.isnan(scores), np.inf, -scores), kind="stable")
    verdict, call = answers.verdict, answers.coded.get("call")

    def text(name: str, row: int, form: Any) -> str:
        return form(float(answers.numbers[name][row])) if name in answers.numbers else "–"

    return [
        [
            plain(answers.obs.names(row, row + 1)[0], 60),
            plain(call.categories[call.codes[row]], 60) if call is not None else "–",
            text("prob", row, decimal),
            text("ood_z", row, decimal),
            text("ood_p", row, small_p),
            VERDICTS[verdict[row]] if verdict is not None and verdict[row] >= 0 else "–",
        ]
        for row in (int(row) for row in order[:UNUSUAL_CELLS])
    ]


def _provenance(facts: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Sections of names and values; keys that we do not know come last."""
    flat = {name: value for name, value in facts.items() if name not in _ELSEWHERE}
    sections = []
    for heading, names in _SECTIONS:
        lines = [line for name in names if name in flat for line in _lines(name, flat.pop(name))]
        sections.append((heading, lines))
    sections.append(("Other", [line for name, v in flat.items() for line in _lines(name, v)]))
    return [(heading, lines) for heading, lines in sections if lines]


def _lines(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for inner, inner_value in value.items():
            yield from _lines(f"{name} {inner}", inner_value)
        return
    text = str(value)
    if isinstance(value, bool):
        text = "yes" if value else "no"
    elif name in _SHARES:
        text = percent(value)
    elif isinstance(value, int):
        text = f"{value:,}"
    elif isinstance(value, float):
        text = f"{value:g}"
    elif isinstance(value, list):
        text = ", ".join(str(item) for item in value)
    yield plain(name.replace("_", " "), 60), plain(text, PARAGRAPH)


def _date(value: Any) -> str:
    """A time to the minute, in UTC; text that is no time as it is."""
    try:
        time = datetime.fromisoformat(str(value)).astimezone(UTC)
    except (ValueError, OverflowError):
        return plain(value, 40)
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _thresholds(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    found = facts.get("thresholds")
    return found if isinstance(found, Mapping) else {}
