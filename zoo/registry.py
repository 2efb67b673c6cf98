"""The registry: from a model's name to its versions, digests and places.

`registry.json` is generated from `cards/` (`zoo registry build`). A reference is `name` (the newest
version) or `name@version`; it is resolved once, to a digest that pins every byte.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from zoo.card import (
    CardModel,
    Line,
    Modality,
    ModelName,
    OutputName,
    Row,
    Sha256,
    Task,
    ValueKind,
    Version,
)
from zoo.card_file import problems_of
from zoo.errors import InvalidRegistry, MalformedReference, UnknownModel, UnknownVersion
from zoo.json_text import json_text
from zoo.manifest import Manifest

FILE_NAME = "registry.json"
MAXIMUM_BYTES = 64_000_000

_REFERENCE = re.compile(r"([a-z0-9]+(?:-[a-z0-9]+)*)(?:@(\d{1,5}\.\d{1,5}\.\d{1,5}))?")
_NAME_LIKE = re.compile(r"[\w.-]{1,64}")


class Score(CardModel):
    """The headline of a card with its numbers."""

    metric: Line
    value: float
    interval: tuple[float, float] | None
    """95% interval."""
    n: Annotated[int, Field(ge=0)]
    dataset: Line
    condition: Line
    """Of which cells and by which labels, e.g. `all cells: a T cell or none`."""
    baseline: Line | None
    """The best baseline of the same cells."""
    baseline_value: float | None


class Entry(CardModel):
    """One version of one model."""

    name: ModelName
    version: Version
    digest: Sha256
    """Sha256 of its manifest."""
    size: Annotated[int, Field(ge=0)]
    """Bytes of all its files."""
    task: Task
    architecture: Line
    modality: Modality
    value_kinds: list[ValueKind]
    organism: Line
    tissues: list[Line]
    summary: Line
    outputs: list[OutputName]
    interpretation: list[Line]
    """What explains an answer: `attribution` of `explain.onnx`, `pathway_attention`, `mask`."""
    headline: Score | None
    parameters: Annotated[int, Field(gt=0)]
    cells_per_second: Annotated[float, Field(gt=0)]
    """As measured for the card, on the machine that the card names."""
    license: Line
    validated: Literal["inspect", "surface", "deep"] | None = None
    """Level at which `zoo validate` passed before it was published; null where nobody says."""
    locations: list[Line] = Field(min_length=1)
    """URIs of the places where it really is."""

    @property
    def reference(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    @property
    def order(self) -> tuple[int, ...]:
        """Sorts versions."""
        return tuple(int(part) for part in self.version.split("."))

    @classmethod
    def of(
        cls, manifest: Manifest, locations: Iterable[str], *, digest: str | None = None
    ) -> Entry:
        """The entry that follows from a manifest; `digest` where its bytes were read, not made."""
        card = manifest.card
        return cls(
            name=card.name,
            version=card.version,
            digest=digest or manifest.digest,
            size=sum(file.size for file in manifest.files),
            task=card.task,
            architecture=card.architecture,
            modality=card.inputs.modality,
            value_kinds=card.inputs.value_kinds,
            organism=card.inputs.organism,
            tissues=card.inputs.tissues,
            summary=card.summary,
            outputs=list(card.output_names),
            interpretation=_interpretation(manifest),
            headline=_score(manifest),
            parameters=card.compute.parameters,
            cells_per_second=card.compute.cells_per_second,
            license=card.license,
            locations=list(locations),
        )


def _interpretation(manifest: Manifest) -> list[str]:
    own = [n for n in manifest.card.output_names if n in ("mask", "pathway_attention")]
    return (["attribution"] if manifest.file("explain") else []) + own


def _score(manifest: Manifest) -> Score | None:
    card = manifest.card
    if card.headline is None:
        return None
    rows: dict[str | None, Row] = {row.id: row for row in (*card.evaluation, *card.robustness)}
    row, baseline = rows[card.headline.row], rows.get(card.headline.baseline)
    return Score(
        metric=row.metric,
        value=row.value,
        interval=row.interval,
        n=row.n,
        dataset=row.dataset,
        condition=row.condition,
        baseline=baseline.method if baseline else None,
        baseline_value=baseline.value if baseline else None,
    )


class Registry(CardModel):
    """All models that can be pulled by name."""

    registry_version: Literal[1]
    models: list[Entry]

    @classmethod
    def parse(cls, content: bytes, origin: str) -> Registry:
        """Validate a registry's bytes.

        Raises
        ------
        InvalidRegistry
            If it is no JSON, too large, or breaks the schema.

        """
        if len(content) > MAXIMUM_BYTES:
            raise InvalidRegistry(origin, f"larger than {MAXIMUM_BYTES:,} bytes")
        try:
            registry = cls.model_validate_json(content)
        except ValidationError as error:
            raise InvalidRegistry(origin, problems_of(error)) from error
        seen = set[str]()
        for entry in registry.models:
            if entry.reference in seen:
                raise InvalidRegistry(origin, f"it names {entry.reference!r} twice")
            seen.add(entry.reference)
        return registry

    def render(self) -> bytes:
        """The bytes of `registry.json`."""
        return json_text(self.model_dump(mode="json")).encode()

    def resolve(self, reference: str) -> Entry:
        """The entry for `name` (its newest version) or `name@version`.

        Raises
        ------
        MalformedReference, UnknownModel, UnknownVersion

        """
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            name, at, version = reference.partition("@")
            versions = [entry.version for entry in self.models if entry.name == name]
            if versions and _NAME_LIKE.fullmatch(version):
                raise UnknownVersion(name, version, versions)
            if not at and _NAME_LIKE.fullmatch(name):
                raise UnknownModel(name, self._near(name))
            raise MalformedReference(reference)
        name, version = match.groups()
        entries = sorted((e for e in self.models if e.name == name), key=lambda e: e.order)
        if not entries:
            raise UnknownModel(name, self._near(name))
        if version is None:
            return entries[-1]
        for entry in entries:
            if entry.version == version:
                return entry
        raise UnknownVersion(name, version, [entry.version for entry in entries])

    def newest(self) -> list[Entry]:
        """The newest version of each model, by name."""
        latest: dict[str, Entry] = {}
        for entry in sorted(self.models, key=lambda e: (e.name, e.order)):
            latest[entry.name] = entry
        return list(latest.values())

    def _near(self, name: str) -> list[str]:
        names = sorted({entry.name for entry in self.models})
        close = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.6)
        return close or [known for known in names if name.lower() in known][:3]
