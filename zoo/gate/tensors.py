"""Tensors that are stored in a graph: what they announce against what they carry.

Field numbers are those of `TensorProto` in onnx.proto3.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from zoo.gate.wire import Value, integer, message, text, varints

MAXIMUM_ELEMENTS = 1 << 28
"""Elements of one stored tensor, and of one tensor whose shape stands in the graph."""
FEW = 64
"""Elements of a tensor that may be a shape."""
_MOST_AXES = 32

_EXTERNAL = 1
_REPEATED = frozenset({1, 4, 5, 6, 7, 10, 11, 13, 16})

# Bits of an element by TensorProto.DataType; texts (8) have none and are refused.
_BITS = {
    1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64,
    15: 128, 16: 16, 17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4,
}  # fmt: skip
# Types in which sizes are stored: how an element of `raw_data` is read, and the typed list's field.
_READ = {1: ("<f", 4), 6: ("<i", 5), 7: ("<q", 7), 11: ("<d", 10)}

Fields = Callable[[memoryview, frozenset[int]], Iterator[tuple[int, Value]]]
"""Gives the fields of a message; those that are not in the set come at most once."""


class Refused(Exception):
    """What a graph holds and may not hold."""


@dataclass(frozen=True)
class StoredTensor:
    """A stored tensor that carries what it announces.

    Attributes
    ----------
    size
        In bytes.
    numbers
        Its values, if they are few and whole.

    """

    name: str
    size: int
    numbers: list[int] | None


def read_tensor(data: memoryview, fields: Fields) -> StoredTensor:
    """Read a `TensorProto`.

    Raises
    ------
    Refused
        If it lies in another file, holds no numbers, or announces more than it carries.
    Malformed

    """
    dims: list[int] = []
    typed: dict[int, list[Value]] = {}
    kind, name, external = 0, "", False
    raw: memoryview | None = None
    for number, value in fields(data, _REPEATED):
        if number == 1:
            dims.extend(islice(varints(value), _MOST_AXES + 1))
            if len(dims) > _MOST_AXES:
                raise Refused(f"it holds a tensor of more than {_MOST_AXES} axes")
        elif number == 2:
            kind = integer(value)
        elif number == 8:
            name = text(value)
        elif number == 9:
            raw = message(value)
        elif number == 13 or (number == 14 and value == _EXTERNAL):
            external = True
        elif number in (4, 5, 7, 10, 11):
            typed.setdefault(number, []).append(value)
    if external:
        raise Refused(f"its tensor {shown(name)} lies in another file")
    if kind not in _BITS:
        raise Refused(f"its tensor {shown(name)} holds no numbers (data type {kind})")
    if any(size < 0 for size in dims):
        raise Refused(f"its tensor {shown(name)} has the shape {dims}")
    elements = math.prod(dims)
    if elements > MAXIMUM_ELEMENTS:
        raise Refused(f"its tensor {shown(name)} announces {elements:,} elements")
    needed = (elements * _BITS[kind] + 7) // 8
    if raw is not None and len(raw) != needed:
        told = f"announces {needed:,} bytes and carries {len(raw):,}"
        raise Refused(f"its tensor {shown(name)} {told}")
    carried = sum(_least(number, value) for number, list_ in typed.items() for value in list_)
    if raw is None and carried * 8 < elements:  # two elements of four bits share a number
        told = f"announces {elements:,} elements and carries {carried:,}"
        raise Refused(f"its tensor {shown(name)} {told}")
    few = elements <= FEW and kind in _READ
    return StoredTensor(name, needed, _numbers(kind, raw, typed) if few else None)


def shown(name: str) -> str:
    """A name from a graph as a message shows it: quoted, escaped, and not longer than a line."""
    return repr(name if len(name) <= 80 else f"{name[:77]}...")


def _least(number: int, value: Value) -> int:
    """Numbers in a typed list, at least: packed varints have a byte each or more."""
    return len(value) // {4: 4, 10: 8}.get(number, 1) if isinstance(value, memoryview) else 1


def _numbers(kind: int, raw: memoryview | None, typed: dict[int, list[Value]]) -> list[int] | None:
    layout, place = _READ[kind]
    if raw is not None:
        found: list[float] = [piece[0] for piece in struct.iter_unpack(layout, raw)]
    else:
        every = (number for value in typed.get(place, ()) for number in _in(value, layout))
        found = list(islice(every, FEW))
    return [int(number) for number in found] if all(map(_is_whole, found)) else None


def _in(value: Value, layout: str) -> Iterator[float]:
    if layout in ("<i", "<q"):
        yield from varints(value)
    elif isinstance(value, memoryview):
        # What is left over after the last number is damage, which the runtime sees.
        whole = len(value) // struct.calcsize(layout) * struct.calcsize(layout)
        yield from (piece[0] for piece in struct.iter_unpack(layout, value[:whole]))
    else:
        yield value


def _is_whole(number: float) -> bool:
    return math.isfinite(number) and number == int(number)
