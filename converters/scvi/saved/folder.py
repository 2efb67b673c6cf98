"""A folder of `SCVI.save()` or `SCANVI.save()`, read without scvi-tools and without running it.

`model.pt` is a torch archive. Beside tensors its pickle holds numpy arrays (names of genes and
labels) and pandas tables (the course of the training). torch reads it with `weights_only=True` and
an exact list of further names, each of which stands for an inert stub: of arrays only text is kept,
of all else nothing, so neither numpy nor pandas takes part. Any other name is refused.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.importing.torch_file import read_torch, require_torch
from converters.scvi.saved.stubs import TextArray, allowed_globals
from zoo.errors import (
    FileMissing,
    MissingWeights,
    UnreadableWeights,
    UnsupportedWeights,
)

FORMAT = "scvi"
READ = ("SCVI", "SCANVI")
_MODEL = "model.pt"
_LEGACY = ("model_params.pt", "attr.pkl")
_NESTED = ("non_kwargs", "kwargs", "model_kwargs", "vae_kwargs")
_LARGEST = 4_000_000_000


@dataclass(frozen=True)
class SavedFolder:
    """What a saved folder holds.

    Attributes
    ----------
    path
        The archive.
    state
        Weights by their names in scvi-tools, as numpy arrays.
    genes
        In the order of the weights.
    attributes
        `init_params_`, `registry_` and others.

    """

    path: Path
    state: Mapping[str, Any]
    genes: tuple[str, ...]
    attributes: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> SavedFolder:
        """Read a folder, or its `model.pt`.

        Raises
        ------
        FileMissing, UnreadableWeights, ForbiddenGlobal, MissingWeights, UnsupportedWeights

        """
        archive = archive_of(path)
        content = load(archive)
        if not isinstance(content, dict):
            raise UnreadableWeights(str(archive), FORMAT, "it is no saved model of scvi-tools")
        for part in ("model_state_dict", "var_names", "attr_dict"):
            if part not in content:
                raise MissingWeights(str(archive), FORMAT, part)
        attributes = content["attr_dict"]
        _ensure_known_class(archive, attributes)
        names = content["var_names"]
        if not isinstance(names, TextArray) or not isinstance(content["model_state_dict"], Mapping):
            raise UnreadableWeights(
                str(archive), FORMAT, "its genes or weights are of no known kind"
            )
        state = {
            name: value.detach().cpu().numpy()
            for name, value in content["model_state_dict"].items()
            if isinstance(value, require_torch().Tensor)
        }
        return cls(archive, state, names.entries, attributes)

    @property
    def setup(self) -> Mapping[str, Any]:
        """Columns of the training data that the model was told."""
        return _mapping(self.registry.get("setup_args"))

    @property
    def registry(self) -> Mapping[str, Any]:
        """How the training data were set up."""
        found: Mapping[str, Any] = self.attributes["registry_"]
        return found

    def categories(self, field: str) -> tuple[str, ...]:
        """Names of the batches or labels in the order of their codes; none without such a field."""
        entry: Any = self.registry
        for key in ("field_registries", field, "state_registry"):
            entry = entry.get(key) if isinstance(entry, Mapping) else None
        names = entry.get("categorical_mapping") if isinstance(entry, Mapping) else None
        return names.entries if isinstance(names, TextArray) else ()

    def choices(self) -> dict[str, Any]:
        """The arguments of the model's constructor, with those that went through `**kwargs`."""
        found: dict[str, Any] = {}

        def collect(entries: Mapping[str, Any]) -> None:
            for name, value in entries.items():
                if isinstance(value, Mapping) and name in _NESTED:
                    collect(value)
                else:
                    found[name] = value

        collect(_mapping(self.attributes.get("init_params_")))
        return found


def archive_of(path: Path) -> Path:
    """The torch archive of a saved folder.

    Raises
    ------
    FileMissing, UnsupportedWeights

    """
    if path.is_file():
        return path
    if any((path / name).exists() for name in _LEGACY) and not (path / _MODEL).exists():
        part = "a folder of scvi-tools before 0.15"
        convert = "folders with model.pt: 'SCVI.convert_legacy_save(OLD, NEW)' makes one"
        raise UnsupportedWeights(str(path), FORMAT, part, [convert])
    prefixed = sorted(path.glob(f"*{_MODEL}"))  # save(prefix=...)
    archive = prefixed[0] if len(prefixed) == 1 else path / _MODEL
    if not archive.is_file():
        raise FileMissing(str(archive))
    return archive


def load(archive: Path) -> Any:
    """The content of a torch archive, through the list of allowed names.

    Raises
    ------
    UnreadableWeights, ForbiddenGlobal

    """
    _ensure_archive(archive)
    with require_torch().serialization.safe_globals(allowed_globals()):
        return read_torch(archive, FORMAT)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _ensure_archive(archive: Path) -> None:
    if not zipfile.is_zipfile(archive):
        detail = "it is no torch archive (a zip file), as 'SCVI.save()' writes it"
        raise UnreadableWeights(str(archive), FORMAT, detail)
    with zipfile.ZipFile(archive) as opened:
        size = sum(entry.file_size for entry in opened.infolist())
    if size > _LARGEST:
        raise UnreadableWeights(str(archive), FORMAT, f"it holds more than {_LARGEST:,} bytes")


def _ensure_known_class(archive: Path, attributes: Any) -> None:
    registry = attributes.get("registry_") if isinstance(attributes, dict) else None
    if not isinstance(registry, Mapping):
        raise MissingWeights(str(archive), FORMAT, "attr_dict.registry_")
    name = str(registry.get("model_name"))
    if name not in READ:
        raise UnsupportedWeights(str(archive), FORMAT, f"a model of the class {name}", READ)
