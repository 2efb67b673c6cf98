"""Parity: does a model give its stored answers on this machine?

Every model folder holds a sample and the outputs that the source framework gave for it. `zoo test`
runs the sample here, without that framework, and compares within the card's tolerances.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.card import Tolerance, ValueKind
from zoo.count_stream import CountStream
from zoo.errors import InvalidModelFile
from zoo.examination import examine
from zoo.inference import Inference
from zoo.parts import ModelParts
from zoo.portions import portions_of
from zoo.pull import PulledModel
from zoo.reading import confined, open_dataset
from zoo.session import Device, Session
from zoo.validation import raise_first

Arrays = dict[str, npt.NDArray[Any]]

_BATCH_SIZE = 256


@dataclass(frozen=True)
class OutputParity:
    """How one output compares.

    Attributes
    ----------
    largest
        Largest absolute difference.
    exceeding
        Values outside the tolerance.

    """

    name: str
    largest: float
    exceeding: int
    tolerance: Tolerance

    @property
    def holds(self) -> bool:
        """Whether every value is within the tolerance."""
        return self.exceeding == 0

    def sentence(self) -> str:
        """The comparison in words."""
        return (
            f"{self.name}: {self.exceeding:,} values differ by more than {self.tolerance.atol:g} + "
            f"{self.tolerance.rtol:g} × value (largest difference {self.largest:.3g})"
        )


def check_parity(pulled: PulledModel, *, device: Device = "cpu") -> list[OutputParity]:
    """Run a model on its own sample and compare every output with the stored one.

    Raises
    ------
    InvalidModelFile
        If the model has no sample, or its expected outputs do not fit it.

    """
    parts = ModelParts.of(pulled)
    with tempfile.TemporaryDirectory(prefix="zoo-test-") as folder:
        sample, expected = Path(folder, "sample.h5ad"), Path(folder, "expected.h5")
        sample.write_bytes(pulled.read("sample"))
        expected.write_bytes(pulled.read("expected"))
        actual = sample_outputs(parts, sample, device)
        stored = _stored(expected, parts, len(next(iter(actual.values()))))
    return [
        compare(name, actual[name], stored[name], parts.card.tolerances[name])
        for name in parts.card.tolerances
    ]


def compare(
    name: str, actual: npt.NDArray[Any], stored: npt.NDArray[Any], tolerance: Tolerance
) -> OutputParity:
    """Compare two arrays of one shape."""
    a, b = actual.astype(np.float64), stored.astype(np.float64)
    difference = np.abs(a - b)
    # NaN compares as false: ask for what holds, not for what exceeds.
    within = difference <= tolerance.atol + tolerance.rtol * np.abs(b)
    return OutputParity(name, float(difference.max(initial=0)), int((~within).sum()), tolerance)


def sample_outputs(parts: ModelParts, sample: Path, device: Device = "cpu") -> Arrays:
    """All outputs of the graph for a sample's file."""
    with open_dataset(sample) as dataset:
        kinds = parts.card.inputs.value_kinds
        # Intensities cannot be told by evidence; of its own sample, a model knows.
        declared: ValueKind | None = "intensity" if list(kinds) == ["intensity"] else None
        examination = examine(dataset, parts, value_kind=declared)
        raise_first(examination.findings, force=False)
        assert examination.alignment is not None, "an examination with a model aligns"
        assert examination.evidence is not None, "nothing red was found"
        session = Session.open(parts.graph, card=parts.card, genes=parts.genes, device=device)
        everything = frozenset(parts.card.output_names)
        inference = Inference(parts, session, examination.alignment, everything)
        stream = CountStream(dataset, examination.source, examination.evidence)
        portions = portions_of(examination.slides, parts.card.inputs.graph_recipe, _BATCH_SIZE)
        # The sample of a spatial model is one slide, so portions come in the file's order.
        found = [inference.predict(portion)[0] for portion in portions.of(stream)]
    return {name: np.concatenate([outputs[name] for outputs in found]) for name in found[0]}


def _stored(path: Path, parts: ModelParts, cells: int) -> Arrays:
    arrays: Arrays = {}
    with confined.opened(str(path)) as root:
        for name in parts.card.tolerances:
            array = root.get(name)
            if not isinstance(array, confined.ConfinedArray) or array.shape[:1] != (cells,):
                detail = f"no output {name!r} for {cells:,} cells"
                raise InvalidModelFile(parts.card.reference, "expected.h5", detail)
            arrays[name] = array.read(0, cells)
    return arrays
