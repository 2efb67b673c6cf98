"""The index of a bundle: what it holds, byte for byte."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from zoo.card import CardModel, Line, Sha256
from zoo.card_file import problems_of
from zoo.errors import InvalidBundle
from zoo.manifest import FILE_NAME as MANIFEST
from zoo.manifest import Manifest
from zoo.registry import Entry

INDEX = "bundle.json"
MODEL = "model/"
IMAGE = "image.tar"

MAXIMUM_INDEX = 8_000_000
MAXIMUM_FILE = 1_000_000_000
MAXIMUM_IMAGE = 20_000_000_000
MAXIMUM_FILES = 1_000

_IMAGE_NAME = re.compile(r"cellzoo/([a-z0-9]+(?:-[a-z0-9]+)*):(\d+\.\d+\.\d+[a-z0-9.]*)")


class BundleFile(CardModel):
    """One file of a bundle."""

    path: Annotated[str, StringConstraints(min_length=1, max_length=220)]
    """Its name in the archive."""
    sha256: Sha256
    size: Annotated[int, Field(ge=0, le=MAXIMUM_IMAGE)]
    """In bytes."""

    @property
    def is_of_model(self) -> bool:
        """Whether it belongs to the model's folder."""
        return self.path.startswith(MODEL)


class BundleIndex(CardModel):
    """What a bundle holds."""

    bundle_version: Literal[1]
    zoo_version: Line
    """Version of the CellZoo that made it."""
    entry: Entry
    """The model, as the registry names it."""
    files: Annotated[list[BundleFile], Field(min_length=1, max_length=MAXIMUM_FILES)]
    image: Annotated[str, StringConstraints(pattern=_IMAGE_NAME.pattern, max_length=200)] | None
    """Name of the container image in `image.tar`; null if there is none."""
    signature: None = None
    """Bundles of version 1 carry no signature yet."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        by_path = {file.path: file for file in self.files}
        if len(by_path) != len(self.files):
            raise ValueError("a file is listed twice")
        manifest = by_path.get(MODEL + MANIFEST)
        if manifest is None or manifest.sha256 != self.entry.digest:
            raise ValueError("its manifest is not the one that its entry names")
        if (IMAGE in by_path) != (self.image is not None):
            raise ValueError("'image' and 'image.tar' do not fit together")
        if self.image and self._names_another_model(self.image):
            raise ValueError(f"its image {self.image!r} is of another model")
        for file in self.files:
            if not file.is_of_model and file.path != IMAGE:
                raise ValueError(f"a bundle has no file {file.path!r}")
            if file.is_of_model and file.size > MAXIMUM_FILE:
                raise ValueError(f"{file.path!r} is larger than {MAXIMUM_FILE:,} bytes")
        return self

    def _names_another_model(self, image: str) -> bool:
        match = _IMAGE_NAME.fullmatch(image)
        if match is None:
            return True
        return match.groups() != (self.entry.name, self.entry.version) and match[1] != "runner"

    @classmethod
    def parse(cls, content: bytes, path: str) -> BundleIndex:
        """Validate the bytes of `bundle.json`.

        Raises
        ------
        InvalidBundle
            If it is no JSON, breaks the schema, or is of a newer version.

        """
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            raise InvalidBundle(path, problems_of(error)) from error

    def render(self) -> bytes:
        """The bytes of `bundle.json`."""
        return f"{self.model_dump_json(indent=1)}\n".encode()

    def hold_against(self, manifest: Manifest, path: str) -> None:
        """Refuse an index that does not say of the model what its manifest says.

        Raises
        ------
        InvalidBundle

        """
        follows = Entry.of(manifest, self.entry.locations, digest=self.entry.digest)
        if follows.model_copy(update={"validated": self.entry.validated}) != self.entry:
            raise InvalidBundle(path, "its entry does not follow from its manifest")
        listed = {(f.path, f.sha256, f.size) for f in self.files if f.is_of_model}
        listed = {row for row in listed if row[0] != MODEL + MANIFEST}
        if listed != {(MODEL + f.path, f.sha256, f.size) for f in manifest.files}:
            raise InvalidBundle(path, "its files are not those of its manifest")
