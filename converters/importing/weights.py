"""Arrays of a source by name, checked when they are taken: there, finite, of the right length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.importing.restricted_pickle import Stub
from zoo.errors import MissingWeights, UnequalLengths, UnreadableWeights, WeightsNotFinite


@dataclass(frozen=True)
class Weights:
    """Parts of a source by name: the state of an object, a state dict, an archive.

    Attributes
    ----------
    owner
        Whose parts they are, before their names in errors: `Scaler_`; empty for the source itself.

    """

    path: Path
    format: str
    parts: Mapping[str, Any]
    owner: str = ""

    @classmethod
    def of_stub(cls, stub: Stub, path: Path, format: str) -> Weights:
        """What an object of a pickle holds.

        Raises
        ------
        MissingWeights
            If it holds nothing.

        """
        if not isinstance(stub.state, dict):
            raise MissingWeights(str(path), format, f"state of {stub.kind}")
        return cls(path, format, stub.state, stub.kind)

    def plain(self) -> dict[str, Any]:
        """The settings that an object keeps beside its weights: single numbers and words."""
        return {
            name: value
            for name, value in sorted(self.parts.items())
            if not name.startswith("_")
            and not name.endswith("_")
            and isinstance(value, str | int | float | bool)
        }

    def __contains__(self, name: str) -> bool:
        return self.parts.get(name) is not None

    def part(self, name: str) -> Any:
        """A part of any kind.

        Raises
        ------
        MissingWeights

        """
        if name not in self:
            raise MissingWeights(str(self.path), self.format, self._named(name))
        return self.parts[name]

    def array(self, name: str, dimensions: int) -> npt.NDArray[np.float64]:
        """A finite array of numbers.

        Raises
        ------
        MissingWeights, UnreadableWeights, WeightsNotFinite

        """
        return self.finite(name, self.part(name), dimensions)

    def finite(self, name: str, value: Any, dimensions: int) -> npt.NDArray[np.float64]:
        """`value` as a finite array of numbers, named `name` in errors.

        Raises
        ------
        UnreadableWeights, WeightsNotFinite

        """
        try:
            array = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise UnreadableWeights(
                str(self.path), self.format, f"{self._named(name)!r} is no array of numbers"
            ) from error
        if array.ndim != dimensions:
            detail = f"{self._named(name)!r} has {array.ndim} axes where {dimensions} are expected"
            raise UnreadableWeights(str(self.path), self.format, detail)
        if bad := int((~np.isfinite(array)).sum()):
            raise WeightsNotFinite(str(self.path), self._named(name), bad)
        return array

    def ensure_equal(self, first: str, one: int, second: str, other: int) -> None:
        """Refuse two lengths that differ.

        Raises
        ------
        UnequalLengths

        """
        if one != other:
            raise UnequalLengths(
                str(self.path), first=first, first_length=one, second=second, second_length=other
            )

    def _named(self, name: str) -> str:
        return f"{self.owner}.{name}" if self.owner else name
