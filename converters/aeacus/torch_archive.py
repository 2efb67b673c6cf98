"""A checkpoint of torch that also holds numpy arrays, read with `weights_only=True`.

torch's own reader of tensors refuses every name that is not in a list; numpy's reconstructors of
arrays, dtypes and scalars are added to it, and nothing else.
"""

from __future__ import annotations

import pickle  # noqa: TID251 - torch raises its errors
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import FileMissing, ForbiddenGlobal, UnreadableWeights

_REFUSED = re.compile(r"GLOBAL ([\w.]+)")


def read_checkpoint(path: Path, format: str) -> Any:
    """Tensors, arrays, numbers, texts, lists and dictionaries of a `.pt` file.

    Raises
    ------
    FileMissing, UnreadableWeights, ForbiddenGlobal

    """
    import torch

    if not path.is_file():
        raise FileMissing(str(path))
    try:
        with torch.serialization.safe_globals(_numpy_names()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if named := _REFUSED.search(str(error)):
            raise ForbiddenGlobal(str(path), format, named.group(1)) from error
        raise UnreadableWeights(str(path), format, "it is damaged or no checkpoint") from error
    except (RuntimeError, ValueError, EOFError, KeyError, OSError, zipfile.BadZipFile) as error:
        detail = " ".join(str(error).split())[:200] or type(error).__name__
        raise UnreadableWeights(str(path), format, f"it is no checkpoint ({detail})") from error


def _numpy_names() -> list[Any]:
    from numpy._core import multiarray

    kinds = [np.float16, np.float32, np.float64, np.int32, np.int64, np.bool_]
    dtypes = [type(np.dtype(kind)) for kind in kinds]
    # A file may have been written by numpy 1, whose modules had another name.
    old = [
        (getattr(multiarray, name), f"numpy.core.multiarray.{name}")
        for name in ("_reconstruct", "scalar")
    ]
    return [multiarray._reconstruct, multiarray.scalar, np.ndarray, np.dtype, *dtypes, *old]
