"""The manifest of a model folder: its card's block as JSON, and every file with role and sha256.

`manifest.json` is generated from the card and the files (`zoo registry build`). The runner reads it
and never the YAML. Its own sha256 is the model's digest: it pins every byte of the model.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePath, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from zoo.card import CardModel, CellZooBlock, Sha256
from zoo.card_file import ModelCard, problems_of
from zoo.digest import sha256_of, sha256_of_file
from zoo.errors import InvalidManifest, InvalidModelFile, UnsafeFileName
from zoo.json_text import json_text

FILE_NAME = "manifest.json"
MAXIMUM_BYTES = 8_000_000

FileRole = Literal[
    "card", "graph", "genes", "labels", "sample", "expected", "measurements", "figure", "explain",
    "pathways", "variant",
]  # fmt: skip

_ROLES: dict[str, FileRole] = {
    "README.md": "card",
    "model.onnx": "graph",
    "genes.tsv": "genes",
    "labels.tsv": "labels",
    "sample.h5ad": "sample",
    "expected.h5": "expected",
    "measurements.json": "measurements",
    "explain.onnx": "explain",
    "pathways.tsv": "pathways",
}
# A name that is the same file, and no device, on every system; also where case does not count.
_PLAIN_PART = re.compile(
    r"(?!(?i:con|prn|aux|nul|com\d|lpt\d)(?:\.|$))[A-Za-z0-9_][\w.+-]*(?<!\.)", re.A
)
MAXIMUM_FILES = 500

_ROLES_OF_FOLDERS: dict[str, FileRole] = {"figures": "figure", "variants": "variant"}

NEEDED_TO_RUN: frozenset[FileRole] = frozenset({"graph", "genes", "labels"})


class ModelFile(CardModel):
    """One file of a model folder."""

    path: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """Relative to the folder, with `/`."""
    role: FileRole
    sha256: Sha256
    size: Annotated[int, Field(ge=0)]
    """In bytes."""


class Manifest(CardModel):
    """What a model folder holds."""

    manifest_version: Literal[1]
    card: CellZooBlock
    files: list[ModelFile] = Field(min_length=1, max_length=MAXIMUM_FILES)

    @model_validator(mode="after")
    def _has_each_file_once(self) -> Self:
        paths = [file.path.lower() for file in self.files]
        if twice := sorted({path for path in paths if paths.count(path) > 1}):
            raise ValueError(f"a file is listed twice, or differs in case alone: {twice[0]!r}")
        if missing := {"card", "graph", "genes"} - {file.role for file in self.files}:
            raise ValueError(f"no file has the role {' or '.join(sorted(missing))}")
        if self.card.explanation is not None and self.file("explain") is None:
            raise ValueError("the card has an explanation, but there is no explain.onnx")
        return self

    @property
    def reference(self) -> str:
        """`name@version`."""
        return self.card.reference

    def file(self, role: FileRole) -> ModelFile | None:
        """The file with a role, if there is one."""
        return next((file for file in self.files if file.role == role), None)

    @classmethod
    def parse(cls, content: bytes, origin: str) -> Manifest:
        """Validate a manifest's bytes.

        Raises
        ------
        InvalidManifest
            If it is no JSON, too large, or breaks the schema.
        UnsafeFileName
            If it names a file outside the model folder.

        """
        if len(content) > MAXIMUM_BYTES:
            raise InvalidManifest(origin, f"larger than {MAXIMUM_BYTES:,} bytes")
        try:
            manifest = cls.model_validate_json(content)
        except ValidationError as error:
            raise InvalidManifest(origin, problems_of(error)) from error
        for file in manifest.files:
            if not _is_inside(file.path):
                raise UnsafeFileName(file.path, origin)
            if _role_of_path(PurePosixPath(file.path)) != file.role:
                detail = f"{file.path!r} cannot have the role {file.role}"
                raise InvalidManifest(origin, detail)
        return manifest

    @classmethod
    def of_folder(cls, folder: Path) -> Manifest:
        """The manifest that follows from a folder's card and files.

        Raises
        ------
        InvalidCard, InvalidModelFile

        """
        if not (folder / "README.md").is_file():
            raise InvalidModelFile(folder.name, "README.md", "the folder has no card")
        card = ModelCard.read(folder / "README.md")
        files = [
            ModelFile(
                path=path.relative_to(folder).as_posix(),
                role=_role_of(path, folder),
                sha256=sha256_of_file(path),
                size=path.stat().st_size,
            )
            for path in sorted(folder.rglob("*"))
            if (path.is_file() or path.is_symlink()) and path.name != FILE_NAME
        ]
        try:
            return cls(manifest_version=1, card=card.block, files=files)
        except ValidationError as error:
            raise InvalidManifest(str(folder), problems_of(error)) from error

    def render(self) -> bytes:
        """The bytes of `manifest.json`."""
        return json_text(self.model_dump(mode="json")).encode()

    @property
    def digest(self) -> str:
        """Sha256 of the rendered manifest: the model's digest."""
        return sha256_of(self.render())


def _role_of(path: Path, folder: Path) -> FileRole:
    relative = path.relative_to(folder)
    if path.is_symlink():
        raise InvalidModelFile(folder.name, relative.as_posix(), "it is a link")
    role = _role_of_path(relative)
    if role is None:
        raise InvalidModelFile(folder.name, relative.as_posix(), "a model folder has no such file")
    if not _is_inside(relative.as_posix()):
        detail = "its name is not plain: letters, digits and . _ + - alone"
        raise InvalidModelFile(folder.name, relative.as_posix(), detail)
    return role


def _role_of_path(relative: PurePath) -> FileRole | None:
    """The one role that a file at a place in the folder can have."""
    inner = _ROLES_OF_FOLDERS.get(relative.parts[0]) if len(relative.parts) > 1 else None
    return _ROLES.get(relative.as_posix()) or inner


def _is_inside(path: str) -> bool:
    """Whether a manifest's path is relative, plain and stays in its folder, on every system."""
    return all(_PLAIN_PART.fullmatch(part) for part in path.split("/"))
