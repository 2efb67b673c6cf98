"""Finding models by words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from zoo.errors import NotCached, NotCarried
from zoo.pull import browse
from zoo.registry import Entry, Registry
from zoo.settings import Settings

# A word in the name says more about what was meant than one in a list of labels.
_WEIGHTS = {"name": 8, "task": 4, "tissues": 4, "organism": 3, "summary": 3, "labels": 2}


@dataclass(frozen=True)
class Searchable:
    """A model and the text that a search looks through.

    Attributes
    ----------
    entry
        Its entry in the registry.
    fields
        Field → text in small letters.

    """

    entry: Entry
    fields: Mapping[str, str]

    @classmethod
    def of(cls, entry: Entry, labels: str = "") -> Searchable:
        """The text of an entry and of a model's labels."""
        fields = {
            "name": entry.name,
            "task": entry.task.replace("_", " "),
            "tissues": " ".join(entry.tissues),
            "organism": entry.organism,
            "summary": entry.summary,
            "labels": labels,
        }
        return cls(entry, {field: _spelled(text) for field, text in fields.items()})

    def score(self, word: str) -> int:
        """How well a word fits: 0 where it is nowhere."""
        # A letter or two are in almost every text; as a word of its own ("T cell") they say much.
        part = rf"\b{re.escape(word)}\b" if len(word) < 3 else re.escape(word)
        return sum(_WEIGHTS[field] for field, text in self.fields.items() if re.search(part, text))


def search(models: Iterable[Searchable], words: Iterable[str]) -> list[Entry]:
    """Entries that hold a word, those with most of the words first, then by where they are."""
    wanted = [part for word in words for part in _spelled(word).replace("_", " ").split()]
    ranked = []
    for model in models:
        scores = [model.score(word) for word in wanted]
        if found := sum(score > 0 for score in scores):
            ranked.append((-found, -sum(scores), model.entry.name, model.entry))
    return [entry for *_, entry in sorted(ranked, key=lambda row: row[:3])]


def _spelled(text: str) -> str:
    """In small letters and one spelling: tasks say tumor, most cards tumour."""
    return text.lower().replace("tumour", "tumor")


def labels_of(entry: Entry, settings: Settings, registry: Registry) -> str:
    """The text of a model's labels and their ancestors; empty where they are not here."""
    try:
        model = browse(entry.reference, settings=replace(settings, offline=True), registry=registry)
    except (NotCached, NotCarried):
        return ""
    has_labels = model.manifest.file("labels") is not None
    return model.read("labels").decode("utf-8", "replace") if has_labels else ""
