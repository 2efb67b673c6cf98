"""Files of `torch.save`, read with `weights_only=True`: tensors and plain containers alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.errors import (
    FileMissing,
    ForbiddenGlobal,
    MissingExtra,
    UnreadableWeights,
    UnsupportedWeights,
)

MAXIMUM_BYTES = 4 << 30
_GLOBAL = re.compile(r"(?:GLOBAL|global|Global)[: ]+([A-Za-z_][\w.]*\.\w+)")
_ACCEPTED = (
    "a state dict (torch.save(module.state_dict(), FILE))",
    "any module that lives in your own Python: see docs/convert.md",
)


def require_torch() -> Any:
    """The module torch.

    Raises
    ------
    MissingExtra

    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("train", "read a file of torch") from error
    return torch


def read_torch(path: Path, format: str, also: Sequence[Any] = ()) -> Any:
    """What the file holds, with its tensors on the CPU; no code of it is run.

    Parameters
    ----------
    also
        Names that the file may hold besides, as `torch.serialization.safe_globals` takes them.

    Raises
    ------
    FileMissing, UnreadableWeights, MissingExtra
    ForbiddenGlobal
        If it holds a whole module, or anything else than tensors, numbers, text and containers.
    UnsupportedWeights
        If it is a TorchScript program or an archive of `torch.export`.

    """
    torch = require_torch()
    if not path.is_file():
        raise FileMissing(str(path))
    if path.stat().st_size > MAXIMUM_BYTES:
        raise UnreadableWeights(str(path), format, f"it is larger than {MAXIMUM_BYTES:,} bytes")
    _refuse_programs(path, format)
    try:
        with torch.serialization.safe_globals(list(also)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen unrelated classes
        told = " ".join(str(error).split())
        if named := _GLOBAL.search(told):
            raise ForbiddenGlobal(str(path), format, named.group(1)) from error
        raise UnreadableWeights(str(path), format, told[:200] or type(error).__name__) from error


def _refuse_programs(path: Path, format: str) -> None:
    """Refuse archives that hold a program beside the weights: to load one is to run it.

    `torch.export.load` unpickles parts of its archive and evaluates the text of its symbolic
    shapes; a TorchScript program may read and write files.
    """
    import zipfile

    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    endings = {name.partition("/")[2] for name in names}
    if any(name.startswith("code/") for name in endings) or "constants.pkl" in endings:
        raise UnsupportedWeights(str(path), format, "a TorchScript program", _ACCEPTED)
    if "archive_format" in endings or any("serialized_exported_program" in n for n in names):
        raise UnsupportedWeights(str(path), format, "a torch.export archive", _ACCEPTED)
