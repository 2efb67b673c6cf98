"""What stands for numpy and pandas while a saved folder is read: stubs that run nothing.

torch's reader makes objects of allowed classes and hands them their state. Numpy's own would trust
the state of a dtype, which a hostile file can make up, so neither numpy nor pandas takes part.
"""

from __future__ import annotations

from typing import Any

import numpy as np


class Inert:
    """Stands for a pandas object: takes whatever it is made of and keeps nothing."""

    def __new__(cls, *args: Any) -> Inert:
        """Forget the arguments."""
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        """Forget the state."""


class ArrayType(Inert):
    """Stands for a numpy dtype: its code, such as `O8` or `U12`."""

    def __init__(self, code: Any = "", *_: Any) -> None:
        self.code = str(code)


class TextArray:
    """Stands for a numpy array: its `entries` where it holds text, else none."""

    entries: tuple[str, ...] = ()

    def __setstate__(self, state: Any) -> None:
        """Keep text, which is a list of objects or the bytes of fixed-width characters."""
        _, _, dtype, _, content = state
        code = getattr(dtype, "code", "")
        if isinstance(content, list):
            self.entries = tuple(str(e) for e in content if isinstance(e, str | int | float))
        elif code.startswith("U") and isinstance(content, bytes):
            self.entries = tuple(np.frombuffer(content, dtype=f"<U{int(code[1:])}").tolist())


def new_array(*_: Any) -> TextArray:
    """Stands for numpy's function that makes an array before its content is there."""
    return TextArray()


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


def allowed_globals() -> list[Any]:
    """What the pickle may name beyond torch's own list, and what each name stands for."""
    numpy = [
        (stub, f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")
        for name, stub in (("_reconstruct", new_array), ("scalar", Inert))
    ]
    numpy += [(TextArray, "numpy.ndarray"), (ArrayType, "numpy.dtype")]
    inert = [(Inert, name) for name in _PANDAS]
    return [dict, slice, bytes, (plain_dict, "collections.defaultdict"), *numpy, *inert]
