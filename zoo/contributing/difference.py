"""What changed between two versions or folders of a model, for people who must decide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from zoo.card import Row
from zoo.gate.graph import GraphFacts, read_graph
from zoo.manifest import Manifest
from zoo.pull import PulledModel
from zoo.vocabulary import GeneVocabulary

# Compared under headings of their own, or following from what is.
_ELSEWHERE = frozenset({"evaluation", "robustness", "headline"})
_LONGEST = 120


@dataclass(frozen=True)
class Change:
    """One difference.

    Attributes
    ----------
    part
        `card`, `metric`, `genes`, `labels`, `graph` or `file`.
    what
        Its name in that part.
    before, after
        Empty where there was, or is, nothing.

    """

    part: str
    what: str
    before: str
    after: str


def difference(before: PulledModel, after: PulledModel) -> list[Change]:
    """Everything that differs, part by part.

    Raises
    ------
    IntegrityError
        If a file of either cannot be read.

    """
    old, new = before.manifest, after.manifest
    return [
        *_card(old, new),
        *_metrics(old, new),
        *_genes(before, after),
        *_labels(before, after),
        *_graph(before, after),
        *_files(old, new),
    ]


def _card(old: Manifest, new: Manifest) -> Iterator[Change]:
    a, b = old.card.model_dump(mode="json"), new.card.model_dump(mode="json")
    for key in a:
        if key not in _ELSEWHERE:
            yield from _values(key, a[key], b[key])


def _values(place: str, a: Any, b: Any) -> Iterator[Change]:
    if a == b:
        return
    if isinstance(a, dict) and isinstance(b, dict):
        for key in dict.fromkeys((*a, *b)):
            yield from _values(f"{place}.{key}", a.get(key), b.get(key))
    else:
        yield Change("card", place, _short(a), _short(b))


def _short(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _metrics(old: Manifest, new: Manifest) -> Iterator[Change]:
    a, b = _rows(old), _rows(new)
    for name in dict.fromkeys((*a, *b)):
        before, after = a.get(name), b.get(name)
        if before is None or after is None or before.value != after.value:
            yield Change("metric", name, _number(before), _number(after))


def _rows(manifest: Manifest) -> dict[str, Row]:
    card = manifest.card
    return {row.id: row for row in (*card.evaluation, *card.robustness)}


def _number(row: Row | None) -> str:
    if row is None:
        return ""
    interval = "" if row.interval is None else f" ({row.interval[0]:.3f}–{row.interval[1]:.3f})"
    return f"{row.value:.4g}{interval}, n {row.n:,}"


def _genes(before: PulledModel, after: PulledModel) -> Iterator[Change]:
    a, b = before.read("genes"), after.read("genes")
    if a == b:
        return
    old = GeneVocabulary.parse(a, model=before.manifest.reference)
    new = GeneVocabulary.parse(b, model=after.manifest.reference)
    lost = sorted(set(old.names.tolist()) - set(new.names.tolist()))
    added = sorted(set(new.names.tolist()) - set(old.names.tolist()))
    yield Change("genes", "number", f"{len(old):,}", f"{len(new):,}")
    if lost:
        yield Change("genes", f"{len(lost):,} lost", _short(", ".join(lost)), "")
    if added:
        yield Change("genes", f"{len(added):,} added", "", _short(", ".join(added)))
    if not lost and not added:
        yield Change("genes", "order or weights", "", "changed")


def _labels(before: PulledModel, after: PulledModel) -> Iterator[Change]:
    a, b = _lines(before), _lines(after)
    for name in dict.fromkeys((*a, *b)):
        if a.get(name) != b.get(name):
            yield Change("labels", name, a.get(name, ""), b.get(name, ""))


def _lines(model: PulledModel) -> dict[str, str]:
    if model.manifest.file("labels") is None:
        return {}
    lines = model.read("labels").decode("utf-8", "replace").splitlines()[1:]
    return dict(line.partition("\t")[::2] for line in lines)


def _graph(before: PulledModel, after: PulledModel) -> Iterator[Change]:
    a, b = before.read("graph"), after.read("graph")
    if a == b:
        return
    old = _facts(read_graph(a, before.manifest.reference))
    new = _facts(read_graph(b, after.manifest.reference))
    changed = [key for key in old if old[key] != new[key]]
    for key in changed:
        yield Change("graph", key, old[key], new[key])
    if not changed:
        yield Change("graph", "weights", "", "changed")


def _facts(facts: GraphFacts) -> dict[str, str]:
    return {
        "inputs": ", ".join(facts.inputs),
        "outputs": ", ".join(facts.outputs),
        "operators": ", ".join(sorted(facts.operators)),
        "stored bytes": f"{facts.initializer_bytes:,}",
    }


def _files(old: Manifest, new: Manifest) -> Iterator[Change]:
    a, b = ({file.path: file for file in m.files} for m in (old, new))
    for path in sorted({*a, *b}):
        before, after = a.get(path), b.get(path)
        if before is None or after is None or before.sha256 != after.sha256:
            sizes = (f"{file.size:,} bytes" if file else "" for file in (before, after))
            yield Change("file", path, *sizes)
