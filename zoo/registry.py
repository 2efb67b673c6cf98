"""The registry: from a model's name to its versions, digests and places.

`registry.json` is generated from `cards/` (`zoo registry build`). A reference is `name` (the newest
version) or `name@version`; it is resolved once, to a digest that pins every byte.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from zoo.card import CardModel, Line, Modality, ModelName, Sha256, Task, Version
from zoo.card_file import problems_of
from zoo.errors import InvalidRegistry, MalformedReference, UnknownModel, UnknownVersion
from zoo.manifest import Manifest

FILE_NAME = "registry.json"
MAXIMUM_BYTES = 64_000_000

_REFERENCE = re.compile(r"([a-z0-9]+(?:-[a-z0-9]+)*)(?:@(\d{1,5}\.\d{1,5}\.\d{1,5}))?")
_NAME_LIKE = re.compile(r"[\w.-]{1,64}")


class Entry(CardModel):
    """One version of one model."""

    name: ModelName
    version: Version
    digest: Sha256
    """Sha256 of its manifest."""
    size: Annotated[int, Field(ge=0)]
    """Bytes of all its files."""
    task: Task
    modality: Modality
    organism: Line
    tissues: list[Line]
    summary: Line
    license: Line
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
    def of(cls, manifest: Manifest, locations: Iterable[str]) -> Entry:
        """The entry that follows from a manifest."""
        card = manifest.card
        return cls(
            name=card.name,
            version=card.version,
            digest=manifest.digest,
            size=sum(file.size for file in manifest.files),
            task=card.task,
            modality=card.inputs.modality,
            organism=card.inputs.organism,
            tissues=card.inputs.tissues,
            summary=card.summary,
            license=card.license,
            locations=list(locations),
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
            return cls.model_validate_json(content)
        except ValidationError as error:
            raise InvalidRegistry(origin, problems_of(error)) from error

    def render(self) -> bytes:
        """The bytes of `registry.json`."""
        text = json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False)
        return f"{text}\n".encode()

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
