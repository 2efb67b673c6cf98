"""aeacus' checkpoint: two experts, a gate between them, and how genes were scaled in training.

model/moe.pt            state dict, training mean and sd of each gene, temperature, threshold
model/geneorder.tsv     genes in the order of the weights
model/config.json       optional; wins over what the checkpoint says, as in the package
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.importing.names import GeneTable, read_lines
from converters.importing.torch_file import read_torch
from converters.importing.weights import Weights
from zoo.errors import FileMissing, UnreadableWeights, UnsupportedWeights

NAME = "aeacus"
EPSILON = 1e-5
"""torch's default for LayerNorm, which the package uses."""
_SMALLEST_SD = 1e-6

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """Linear, LayerNorm, GELU, Linear: an expert or the gate. Weights are [in, out]."""

    weight: Float64
    bias: Float64
    norm_weight: Float64
    norm_bias: Float64
    out_weight: Float64
    out_bias: Float64


@dataclass(frozen=True)
class Checkpoint:
    """The mixture of experts and what surrounds it.

    Attributes
    ----------
    experts, gate
        Each expert gives one logit, the gate a weight for each of them.
    mean, sd
        Of log(1 + counts per million) over the training cells, [genes].
    temperature, threshold
        The logit is divided by the one; a probability from the other on is malignant.
    facts
        Metrics and settings that the makers left in the file.

    """

    genes: GeneTable
    experts: tuple[Part, ...]
    gate: Part
    mean: Float64
    sd: Float64
    temperature: float
    threshold: float
    facts: Mapping[str, Any]
    weights: Path

    @classmethod
    def read(cls, path: Path, genes: GeneTable | None = None) -> Checkpoint:
        """Read the folder, or the checkpoint with the other files beside it.

        Raises
        ------
        FileMissing, UnreadableWeights, ForbiddenGlobal, MissingWeights, UnequalLengths
        WeightsNotFinite, UnsupportedWeights, RepeatedNames

        """
        file = path / "moe.pt" if path.is_dir() else path
        told = Weights(file, NAME, _checkpoint(file))
        state = Weights(file, NAME, _state(told), "model_state_dict")
        numbers = sorted({int(key.split(".")[1]) for key in state.parts if _is_expert(key)})
        if numbers != [0, 1]:
            raise UnsupportedWeights(str(file), NAME, f"{len(numbers)} experts", ["two experts"])
        experts = tuple(_part(state, f"experts.{number}") for number in numbers)
        gate = _part(state, "gate")
        mean, sd = told.array("train_mean", 1), told.array("train_std", 1)
        names = genes or _genes(file.with_name("geneorder.tsv"))
        inputs = len(gate.weight)
        told.ensure_equal("genes", len(names), "inputs of the gate", inputs)
        told.ensure_equal("values of 'train_mean'", len(mean), "inputs of the gate", inputs)
        told.ensure_equal("values of 'train_std'", len(sd), "inputs of the gate", inputs)
        for number, expert in enumerate(experts):
            what = f"inputs of expert {number}"
            told.ensure_equal("genes", len(names), what, len(expert.weight))
        facts = {**told.parts, **_config(file.with_name("config.json"))}
        return cls(
            names,
            experts,
            gate,
            mean,
            np.where(sd < _SMALLEST_SD, 1.0, sd),
            _number(file, facts, "temperature", 1.0),
            _number(file, facts, "threshold", 0.5),
            facts,
            file,
        )


# -- parts ---------------------------------------------------------------------------------------


def _checkpoint(file: Path) -> Mapping[str, Any]:
    found = read_torch(file, NAME, _numpy_names())
    if not isinstance(found, dict):
        raise UnreadableWeights(str(file), NAME, "it holds no dictionary")
    return found


def _numpy_names() -> list[Any]:
    """numpy's reconstructors of arrays, dtypes and scalars, as numpy 1 and 2 call them."""
    from numpy._core import multiarray

    own = [multiarray._reconstruct, multiarray.scalar]
    kinds = (np.float16, np.float32, np.float64, np.int32, np.int64, np.bool_)
    old = [(name, f"numpy.core.multiarray.{name.__name__}") for name in own]
    return [*own, *old, np.ndarray, np.dtype, *(type(np.dtype(kind)) for kind in kinds)]


def _state(told: Weights) -> Mapping[str, Any]:
    state = told.part("model_state_dict")
    if not isinstance(state, dict):
        raise UnreadableWeights(str(told.path), NAME, "'model_state_dict' is no dictionary")
    return state


def _is_expert(key: str) -> bool:
    parts = key.split(".")
    return parts[0] == "experts" and len(parts) == 4 and parts[1].isdigit()


def _part(state: Weights, name: str) -> Part:
    weight, bias = state.array(f"{name}.0.weight", 2).T, state.array(f"{name}.0.bias", 1)
    norm = state.array(f"{name}.1.weight", 1), state.array(f"{name}.1.bias", 1)
    out, out_bias = state.array(f"{name}.4.weight", 2).T, state.array(f"{name}.4.bias", 1)
    for what, length in (
        (f"values of '{name}.0.bias'", len(bias)),
        (f"values of '{name}.1.weight'", len(norm[0])),
        (f"values of '{name}.1.bias'", len(norm[1])),
        (f"inputs of '{name}.4'", len(out)),
    ):
        state.ensure_equal(f"outputs of '{name}.0'", weight.shape[1], what, length)
    state.ensure_equal(
        f"outputs of '{name}.4'", out.shape[1], f"values of '{name}.4.bias'", len(out_bias)
    )
    return Part(weight, bias, *norm, out, out_bias)


def _genes(path: Path) -> GeneTable:
    names = [entry.split("\t")[0] for entry in read_lines(path, NAME)]
    if names and names[0].strip().lower() in ("gene", "genes"):
        names = names[1:]
    return GeneTable.of(names, str(path))


def _config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UnreadableWeights(str(path), NAME, f"it is no JSON ({error})") from error
    return told if isinstance(told, dict) else {}


def _number(file: Path, facts: Mapping[str, Any], key: str, usual: float) -> float:
    try:
        value = float(facts.get(key, usual))
    except (TypeError, ValueError) as error:
        raise UnreadableWeights(str(file), NAME, f"{key!r} is no number") from error
    if not np.isfinite(value) or value <= 0:
        raise UnreadableWeights(str(file), NAME, f"{key!r} is {value}")
    return value


def ensure_there(path: Path) -> None:
    """Refuse a source that is not there.

    Raises
    ------
    FileMissing

    """
    if not path.exists():
        raise FileMissing(str(path))
