"""`zoo info`: a model's card."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli import output
from zoo.cli.options import json_option, offline_option

if TYPE_CHECKING:
    from zoo.card import CellZooBlock, Claim, Row

_MOST_ROWS = 20


@click.command()
@click.argument("name")
@offline_option
@json_option
def info(name: str, offline: bool, as_json: bool) -> None:
    """Show the card of the model NAME: what it takes and gives, where it works and how well."""
    from zoo.pull import browse, locate
    from zoo.settings import Settings

    settings = Settings.read(offline=offline)
    place = locate(name, settings)
    locations = [str(place)] if isinstance(place, Path) else place.locations
    model = browse(name, settings=settings)
    if as_json:
        output.print_json(
            {
                "card": model.manifest.card.model_dump(mode="json"),
                "files": [file.model_dump() for file in model.files],
                "digest": model.digest,
                "locations": locations,
            }
        )
        return
    card = model.manifest.card
    output.print_table(card.reference, ("", ""), _identity(card))
    _section("It takes", _inputs(card))
    output.print_heading("It gives")
    gives = [(o.name, o.unit, o.description) for o in card.outputs]
    output.print_table("", ("output", "unit", "meaning"), gives)
    _print_scope(card)
    _print_evaluation(card)
    _section("Made from", _making(card))
    _section("Changes", [(c.version, f"{c.date}: {' '.join(c.changes)}") for c in card.changelog])
    if card.explanation:
        output.print_heading("Explanation")
        output.print_text(f"{card.explanation.method}; zoo explain {card.name} FILE")
    size = output.in_bytes(sum(file.size for file in model.files))
    output.print_heading("Files")
    output.print_text(f"{len(model.files)} files, {size}, at {', '.join(locations)}")
    output.print_text(f"digest {model.digest}")


# -- parts of the card ---------------------------------------------------------------------------


def _identity(card: CellZooBlock) -> Iterable[tuple[str, str]]:
    yield "summary", card.summary
    yield "task", card.task.replace("_", " ")
    yield "architecture", card.architecture
    yield "organism", card.inputs.organism
    yield "tissues", ", ".join(card.inputs.tissues)
    yield "assays", ", ".join(card.inputs.assays)
    if card.headline:
        yield "headline", _headline(card)
    yield "license", card.license
    yield "authors", ", ".join(author.name for author in card.authors)
    if card.paper:
        yield "paper", f"{card.paper.title} {card.paper.doi or card.paper.url or ''}".strip()


def _headline(card: CellZooBlock) -> str:
    assert card.headline is not None
    rows = {row.id: row for row in (*card.evaluation, *card.robustness)}
    row, baseline = rows[card.headline.row], rows.get(card.headline.baseline or "")
    beside = f"; {baseline.method} {_value(baseline)}" if baseline else ""
    return f"{row.metric} {_value(row)} on {row.dataset} ({row.condition}), n {row.n:,}{beside}"


def _inputs(card: CellZooBlock) -> Iterable[tuple[str, str]]:
    takes = card.inputs
    yield "value_kinds", " or ".join(takes.value_kinds)
    kinds = " or ".join(takes.gene_id_kinds)
    yield "genes", f"{takes.genes:,}, found by {kinds} ({takes.gene_release})"
    yield (
        "gene_coverage",
        f"at least {100 * takes.gene_coverage:g}%, weighted by what genes contribute",
    )
    yield "verdict", _verdict(card)
    if card.calibration:
        done = card.calibration
        yield "calibration", f"{done.method}, {done.cells:,} cells, alpha {done.alpha:g}"


def _verdict(card: CellZooBlock) -> str:
    """What makes a cell `out` or `borderline`, by the outputs that the model has."""
    limits, has = card.thresholds, card.output_names
    out, borderline = [f"counts < {limits.min_counts:g}"], []
    if "ood_p" in has:
        out.append(f"ood_p < {limits.ood_out:g}")
        borderline.append(f"ood_p < {limits.ood_borderline:g}")
    if "in_set" in has:
        borderline.append("no single label is left")
    told = f"out if {' or '.join(out)}"
    return f"{told}; borderline if {' or '.join(borderline)}" if borderline else f"{told}, else in"


def _making(card: CellZooBlock) -> Iterable[tuple[str, str]]:
    for source in card.data:
        cells = f"{source.cells:,} cells" + (f", {source.donors} donors" if source.donors else "")
        about = f"{source.name} ({source.accession}; {cells}; {source.license})"
        yield source.role, about
    if card.imported:
        done = card.imported
        yield "imported", f"{done.source} ({done.license}; {done.attribution})"
        yield "known of its training", done.known_training
    yield "split", card.training.split
    seed = "" if card.training.seed is None else f", seed {card.training.seed}"
    yield "code", f"{card.training.code}{seed}"
    use = card.compute
    yield (
        "compute",
        f"{use.cells_per_second:,.0f} cells/s, {use.peak_memory_mb:,.0f} MB, {use.parameters:,} "
        f"parameters ({use.machine}; {use.runtime})",
    )


def _print_scope(card: CellZooBlock) -> None:
    output.print_heading("Scope")
    rows = {row.id: row for row in (*card.evaluation, *card.robustness)}
    lines = [("intended", text) for text in card.scope.intended]
    lines += [("out of scope", text) for text in card.scope.out_of_scope]
    lines += [("works well", _claim(claim, rows)) for claim in card.scope.works_well]
    lines += [("works poorly", _claim(claim, rows)) for claim in card.scope.works_poorly]
    output.print_table("", ("", ""), lines)


def _claim(claim: Claim, rows: dict[str, Row]) -> str:
    numbers = "; ".join(f"{rows[id_].metric} {_value(rows[id_])}" for id_ in claim.rows)
    return f"{claim.statement} ({numbers})"


def _print_evaluation(card: CellZooBlock) -> None:
    """The model beside its baselines: one line for each thing that was measured."""
    output.print_heading("Evaluation")
    measured: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in card.evaluation:
        measured.setdefault((row.dataset, row.condition, row.role, row.metric), {})[row.method] = (
            row
        )
    # What has a baseline beside it says more than a number alone.
    ordered = sorted(measured.items(), key=lambda item: len(item[1]) < 2)
    shown = ordered[:_MOST_ROWS]
    methods = list(dict.fromkeys(method for _, by_method in shown for method in by_method))
    methods.sort(key=lambda method: method != "model")
    lines = [
        (*what, *(_value(by_method[m]) if m in by_method else "–" for m in methods))
        for what, by_method in shown
    ]
    output.print_table("", ("data set", "condition", "role", "metric", *methods), lines)
    if more := len(ordered) - len(shown) + len(card.robustness):
        output.print_text(f"{more:,} more measurements: zoo info {card.name} --json")


def _value(row: Row) -> str:
    if row.interval is None:
        return f"{row.value:.3g}"
    return f"{row.value:.3g} [{row.interval[0]:.3g}, {row.interval[1]:.3g}]"


def _section(heading: str, rows: Iterable[Sequence[str]]) -> None:
    output.print_heading(heading)
    output.print_table("", ("", ""), rows)
