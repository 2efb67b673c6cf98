"""An explanation put into a model folder: graph, card, measurements, manifest; all or nothing."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from zoo.card import CellZooBlock, Explanation, Row
from zoo.card_file import ModelCard
from zoo.evaluation import measurements
from zoo.evaluation.tables import key_of, markdown, number, tables
from zoo.manifest import FILE_NAME, Manifest
from zoo.writing.model_folder import model_folder

_BEGIN, _END = "<!-- explanation: begin -->", "<!-- explanation: end -->"
_DELETED = "prob_of_label_without_20_genes"
_MEANING = {
    "completeness_gap": "how far attributions miss the change in log-odds that they should add up "
    "to, as a share",
    "attribution_correlation": "with attributions by weights that were not rounded",
    "top_20_agreement": "of the 20 top genes with those by weights that were not rounded",
    _DELETED: "the mean probability of a cell's label after 20 of its expressed genes are set to 0 "
    "(lower is more faithful), beside random and the most highly expressed ones; `prob_of_label` "
    "is the one before",
    "absent_share": "how much of what speaks for a label is genes that are absent",
    "marker_recall": "the share of canonical markers among the 20 top genes of a label, beside "
    "rankings that need no model",
}
_SECTION = re.compile(rf"\n*{re.escape(_BEGIN)}.*?{re.escape(_END)}\n*", re.S)


def write(folder: Path, content: bytes, explanation: Explanation) -> None:
    """Put an explanation into a model folder; a former one is replaced.

    Raises
    ------
    InvalidCard, InvalidManifest, InvalidModelFile, OutputUnwritable, DiskFull

    """
    card = ModelCard.read(folder / "README.md")
    changed = {**card.block.model_dump(), "explanation": explanation.model_dump()}
    block = CellZooBlock.model_validate(changed)
    with model_folder(folder, overwrite=True) as staging:
        shutil.copytree(folder, staging, dirs_exist_ok=True)
        (staging / "explain.onnx").write_bytes(content)
        _write_rows(staging / "measurements.json", card.block, explanation.rows)
        text = ModelCard(block, _prose(card.prose, explanation)).render()
        (staging / "README.md").write_text(text, encoding="utf-8")
        (staging / FILE_NAME).write_bytes(Manifest.of_folder(staging).render())


def _write_rows(path: Path, before: CellZooBlock, rows: Sequence[Row]) -> None:
    """Rows of explanations beside all others; those of a former explanation go."""
    known, facts = measurements.read(path) if path.is_file() else ([], {})
    former = {row.id for row in before.explanation.rows} if before.explanation else set()
    kept = [row for row in known if row.id not in former]
    measurements.write(path, [*kept, *rows], facts)


def _prose(prose: str, explanation: Explanation) -> str:
    about = explanation
    integral = f"{about.steps} step{'s' if about.steps > 1 else ''}"
    parts = [
        _BEGIN,
        "## Explanations",
        f"`zoo explain` says which genes a label rests on: {about.method} of {about.of}, in "
        f"{integral} from a reference cell, {about.reference_cell}. Genes that are present in a "
        "cell and genes whose absence speaks for its label are listed apart. `explain.onnx` keeps "
        f"its weights as {about.storage}.",
        _how_measured(about.rows),
        *([f"Markers from: {about.markers}."] if about.markers else []),
        *(markdown(table) for table in tables(about.rows)),
        *_failures(about.rows),
        _END,
    ]
    return _SECTION.sub("\n", prose).rstrip("\n") + "\n\n" + "\n\n".join(parts) + "\n"


def _how_measured(rows: Sequence[Row]) -> str:
    measured = {row.metric for row in rows}
    told = [f"`{name}`, {what}" for name, what in _MEANING.items() if name in measured]
    return f"How it was measured: {'; '.join(told)}."


def _failures(rows: Sequence[Row]) -> Iterator[str]:
    """A sentence for each data set on which genes chosen without the model do as well."""
    deletions = [row for row in rows if row.metric == _DELETED and ":" not in row.id]
    for own in (row for row in deletions if row.method == "model"):
        others = [r for r in deletions if r.method != "model" and key_of(r) == key_of(own)]
        best = min(others, key=lambda row: row.value, default=None)
        if best is not None and best.value <= (own.interval[1] if own.interval else own.value):
            yield (
                f"**Not shown to be faithful on {key_of(own)}**: without its 20 top genes a cell "
                f"keeps a probability of {number(own)}, without the {best.method.replace('_', ' ')}"
                f" {number(best)}."
            )
