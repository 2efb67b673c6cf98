"""Sizes on their way through a graph: from stored numbers to the operators that make tensors.

Each name is one of four things: numbers that are known; numbers that follow from stored ones in a
way that is not followed here; something that the values of the cells tell; or neither (weights on
their way with cells, and what `Shape` says). A tensor is made only as large as known numbers and
shapes say. What grows with a shape shows in the trial.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from zoo.gate.tensors import FEW, MAXIMUM_ELEMENTS, Refused

_SHAPED = {"ConstantOfShape": 0, "Expand": 1, "Reshape": 1, "Tile": 1, "OneHot": 1, "Pad": 1}
"""Operators whose result is as large as an input says, and which input that is."""
_GROWING = frozenset(_SHAPED) - {"Reshape"}  # a reshaped tensor has the elements that it had

_SAME = frozenset({"Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten"})
_CAST_TO = frozenset({1, 6, 7, 11})
_ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Max": max,
    "Min": min,
}
_EXACT = 1 << 24
"""Whole numbers up to here are exact in float32 and wrap in no integer that has 32 bits."""


@dataclass
class Sizes:
    """What is known of the numbers behind each name."""

    known: dict[str, list[int]] = field(default_factory=dict)
    stored: set[str] = field(default_factory=set)
    """Follows from stored numbers alone; those in `known` too."""
    told: set[str] = field(default_factory=set)
    """Depends on the values of the graph's inputs."""

    def store(self, name: str, numbers: list[int] | None) -> None:
        """A stored tensor."""
        self.stored.add(name)
        if numbers is not None:
            self.known[name] = numbers

    def follow(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], to: int = 0) -> None:
        """Hold a node against the limits, and follow its numbers.

        Parameters
        ----------
        kind
            The operator.
        to
            Data type to which a `Cast` casts.

        Raises
        ------
        Refused

        """
        self._check(kind, inputs)
        given = [name for name in inputs if name]
        if kind in ("Shape", "Size"):
            return
        if any(name in self.told for name in given):
            self.told.update(outputs)
        elif given and all(name in self.stored for name in given):
            self.stored.update(outputs)
            result = self._result(kind, given, to)
            if outputs and result is not None and len(result) <= FEW:
                self.known[outputs[0]] = result

    def _check(self, kind: str, inputs: Sequence[str]) -> None:
        if kind == "Range":
            self._check_range(inputs)
        place = _SHAPED.get(kind, len(inputs))
        if place >= len(inputs):
            return
        if kind in _GROWING:
            self._ensure_followed(kind, inputs[place])
        sizes = self.known.get(inputs[place], [])
        if kind == "Pad":  # on either side of each axis
            sizes = [1 + abs(size) for size in sizes]
        self.ensure_small(kind, sizes)

    @staticmethod
    def ensure_small(kind: str, sizes: Sequence[int]) -> None:
        """Refuse a shape with too many elements; sizes that are not positive count as one.

        Raises
        ------
        Refused

        """
        elements = math.prod(size for size in sizes if size > 0)
        if elements > MAXIMUM_ELEMENTS:
            raise Refused(f"{kind} makes a tensor of {elements:,} elements")

    def _check_range(self, inputs: Sequence[str]) -> None:
        for name in inputs:
            self._ensure_followed("Range", name)
        known = [self.known.get(name) for name in inputs]
        if len(known) == 3 and all(numbers and len(numbers) == 1 for numbers in known):
            start, stop, step = (numbers[0] for numbers in known if numbers)
            self.ensure_small("Range", [abs(stop - start) // max(abs(step), 1)])

    def _ensure_followed(self, kind: str, name: str) -> None:
        if name in self.told:
            raise Refused(f"{kind} makes a tensor as large as the values of the cells say")
        if name in self.stored and name not in self.known:
            raise Refused(f"{kind} makes a tensor of a size that cannot be followed")

    def _result(self, kind: str, inputs: Sequence[str], to: int) -> list[int] | None:
        values = [self.known.get(name) for name in inputs]
        first = values[0]
        if first is None:
            return None
        if kind in _SAME or (kind == "Cast" and to in _CAST_TO and _are_exact(first)):
            return first
        if any(numbers is None for numbers in values):
            return None
        lists = [numbers for numbers in values if numbers is not None]
        if kind == "Concat":
            return [number for numbers in lists for number in numbers]
        if kind in _ARITHMETIC and len(lists) == 2:
            return _combined(_ARITHMETIC[kind], *lists)
        return None


def _combined(how: Callable[[int, int], int], a: list[int], b: list[int]) -> list[int] | None:
    """Two lists of which one is a single number: of others, the axes would have to be known."""
    if not _are_exact([*a, *b]) or 1 not in (len(a), len(b)):
        return None
    return [how(x, y) for x in a for y in b]


def _are_exact(numbers: Sequence[int]) -> bool:
    return all(abs(number) <= _EXACT for number in numbers)
