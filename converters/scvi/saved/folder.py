"""A folder of `SCVI.save()` or `SCANVI.save()`, read without scvi-tools and without running it.

`model.pt` is a torch archive. Beside tensors its pickle holds numpy arrays (names of genes and
labels) and pandas tables (the course of the training). torch reads it with `weights_only=True` and
an exact list of further names: numpy's reconstructors, and pandas' classes by their full names as
inert stubs that keep nothing. Any other name is refused, and nothing of it is run.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zoo.errors import (
    FileMissing,
    ForbiddenGlobal,
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


class Inert:
    """Stands for a pandas object: takes whatever it is made of and keeps nothing."""

    def __new__(cls, *args: Any) -> Inert:
        """Forget the arguments."""
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        """Forget the state."""


def plain_dict(*_: Any) -> dict[Any, Any]:
    """Stands for `collections.defaultdict`, into which torch's reader puts no entries."""
    return {}


_PANDAS = (
    "pandas.core.frame.DataFrame",
    "pandas.core.series.Series",
    "pandas.core.internals.managers.BlockManager",
    "pandas.core.internals.managers.SingleBlockManager",
    "pandas.core.internals.blocks.new_block",
    "pandas._libs.internals._unpickle_block",
    "pandas.core.indexes.base._new_Index",
    "pandas.core.indexes.base.Index",
    "pandas.core.indexes.range.RangeIndex",
    "pandas.core.indexes.numeric.Int64Index",
)
_DTYPES = tuple(
    getattr(np.dtypes, name)
    for name in ("ObjectDType", "BoolDType", "Int32DType", "Int64DType", "Float32DType",
                 "Float64DType", "StrDType")
)  # fmt: skip


def allowed_globals() -> list[Any]:
    """What the pickle may name beyond torch's own list: (object, full name) or the object."""
    reconstruct, scalar = np._core.multiarray._reconstruct, np._core.multiarray.scalar
    numpy = [
        (value, f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")
        for name, value in (("_reconstruct", reconstruct), ("scalar", scalar))
    ]
    inert = [(Inert, name) for name in _PANDAS]
    plain = [dict, slice, bytes, np.ndarray, np.dtype, (plain_dict, "collections.defaultdict")]
    return [*plain, *_DTYPES, *numpy, *inert]


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
        state = {
            name: value.detach().cpu().numpy()
            for name, value in content["model_state_dict"].items()
            if isinstance(value, torch.Tensor)
        }
        return cls(archive, state, tuple(str(gene) for gene in names), attributes)

    @property
    def registry(self) -> Mapping[str, Any]:
        """How the training data were set up."""
        found: Mapping[str, Any] = self.attributes["registry_"]
        return found

    def categories(self, field: str) -> tuple[str, ...]:
        """Names of the batches or labels in the order of their codes; none without such a field."""
        registry = self.registry.get("field_registries", {}).get(field, {})
        names = registry.get("state_registry", {}).get("categorical_mapping", ())
        return tuple(str(name) for name in names)

    def choices(self) -> dict[str, Any]:
        """The arguments of the model's constructor, with those that went through `**kwargs`."""
        found: dict[str, Any] = {}

        def collect(entries: Mapping[str, Any]) -> None:
            for name, value in entries.items():
                if isinstance(value, Mapping) and name in _NESTED:
                    collect(value)
                else:
                    found[name] = value

        collect(self.attributes.get("init_params_", {}))
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
    with torch.serialization.safe_globals(allowed_globals()):
        try:
            forbidden = torch.serialization.get_unsafe_globals_in_checkpoint(str(archive))
            content = None if forbidden else torch.load(archive, "cpu", weights_only=True)
        except Exception as error:  # torch tells of a damaged file in many ways
            detail = f"torch says: {' '.join(str(error).split())[-200:]}"
            raise UnreadableWeights(str(archive), FORMAT, detail) from error
    if forbidden:
        raise ForbiddenGlobal(str(archive), FORMAT, sorted(forbidden)[0])
    return content


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
