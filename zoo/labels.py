"""The label table of a classifier: names, Cell Ontology ids, and the ancestors of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from zoo.errors import InvalidModelFile
from zoo.table import parse_table


@dataclass(frozen=True, slots=True)
class Term:
    """A Cell Ontology term; `id` is empty where a label has none."""

    id: str
    name: str


UNKNOWN = Term("", "unknown")


@dataclass(frozen=True)
class LabelTable:
    """The classes of a model in the order of its outputs.

    Attributes
    ----------
    labels
        One term a class: the name shown to people and the Cell Ontology id.
    ancestors
        For each class its own term and its ancestors, most specific first, in one order that is
        the same for all classes. Only terms that a biologist would use are kept.

    """

    labels: tuple[Term, ...]
    ancestors: tuple[tuple[Term, ...], ...]

    @classmethod
    def parse(cls, content: bytes, *, model: str) -> LabelTable:
        """Read `labels.tsv`: columns `label`, `label_id`, `ancestors` (`CL:…|name;CL:…|name`).

        Raises
        ------
        InvalidModelFile

        """
        table = parse_table(
            content, ("label", "label_id", "ancestors"), model=model, file="labels.tsv"
        )
        labels = tuple(
            Term(id_, name) for id_, name in zip(table["label_id"], table["label"], strict=True)
        )
        if not labels or len({term.name for term in labels}) != len(labels):
            raise InvalidModelFile(model, "labels.tsv", "labels are missing or not unique")
        ancestors = tuple(
            tuple(Term(*entry.split("|", 1)) for entry in cell.split(";") if "|" in entry)
            for cell in table["ancestors"]
        )
        return cls(labels, ancestors)

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The name of each class."""
        return tuple(term.name for term in self.labels)

    def common_ancestor(self, classes: Iterable[int]) -> Term:
        """The most specific term that covers all the classes; a single class is itself.

        Returns `UNKNOWN` for no class, and for classes without a common ancestor.
        """
        members = list(classes)
        if len(members) == 1:
            return self.labels[members[0]]
        if not members:
            return UNKNOWN
        others = [{term.id for term in self.ancestors[i]} for i in members[1:]]
        for term in self.ancestors[members[0]]:
            if all(term.id in ids for ids in others):
                return term
        return UNKNOWN
