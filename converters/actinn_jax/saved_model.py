"""What actinn-jax saves: networks with their genes and classes, and the hierarchy between them.

reference/manifest.json                classes, their groups, Cell Ontology ids
reference/coarse.npz, coarse.json      groups
reference/fine_<group>.npz, .json      classes of one group; absent for a group of one class
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.importing.weights import Weights
from zoo.errors import FileMissing, MissingWeights, UnreadableWeights, UnsupportedWeights

Float32 = npt.NDArray[np.float32]
NAME = "actinn-jax"


@dataclass(frozen=True)
class Network:
    """One ACTINN: dense layers with ReLU between them over log2(1 + counts per 10,000).

    Attributes
    ----------
    genes
        Over which a cell is normalized, in the order of the first layer's rows.
    layers
        Weights [in, out] and biases [out]. Genes that were not chosen have zero rows, and a
        standardization, if there is one, is part of the first layer.

    """

    genes: tuple[str, ...]
    classes: tuple[str, ...]
    layers: tuple[tuple[Float32, Float32], ...]

    @classmethod
    def read(cls, path: Path) -> Network:
        """Read `<path>.npz` and `<path>.json`, or either of them.

        Raises
        ------
        FileMissing, UnreadableWeights, MissingWeights, UnequalLengths, WeightsNotFinite

        """
        stem = str(path).removesuffix(".npz").removesuffix(".json")
        archive = Path(f"{stem}.npz")
        weights = Weights(archive, NAME, _arrays(archive))
        told = read_json(Path(f"{stem}.json"))
        genes, classes = _names(told, "norm_genes", stem), _names(told, "classes", stem)
        chosen = weights.array("select_idx", 1).astype(np.int64)
        if len(chosen) and not 0 <= chosen.min() <= chosen.max() < len(genes):
            raise UnreadableWeights(str(archive), NAME, "'select_idx' points past the genes")
        layers = _layers(weights)
        first, bias = layers[0]
        weights.ensure_equal("chosen genes", len(chosen), "rows of 'W1'", len(first))
        weights.ensure_equal("classes", len(classes), "columns of the last W", len(layers[-1][1]))
        if "scale_mu" in weights:
            mean, sd = weights.array("scale_mu", 1), weights.array("scale_sd", 1)
            weights.ensure_equal("chosen genes", len(chosen), "values of 'scale_mu'", len(mean))
            first = first / sd[:, None]
            bias = bias - mean @ first
        whole = np.zeros((len(genes), first.shape[1]))
        whole[chosen] = first
        return cls(genes, classes, _as_float32([(whole, bias), *layers[1:]]))


@dataclass(frozen=True)
class Hierarchy:
    """A network over groups, and one over the classes of each group that has more than one.

    Attributes
    ----------
    fine
        By group.
    classes, group_of
        In the package's order; position of each one's group among the classes of `coarse`.

    """

    coarse: Network
    fine: Mapping[str, Network]
    classes: tuple[str, ...]
    group_of: npt.NDArray[np.int64]
    label_ids: Mapping[str, str]
    facts: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Hierarchy:
        """Read a saved hierarchy, or a single network as one that has no fine ones.

        Raises
        ------
        FileMissing, UnreadableWeights, MissingWeights, UnequalLengths, WeightsNotFinite
        UnsupportedWeights
            If fine networks normalize over other genes than the coarse one.

        """
        if not (folder / "manifest.json").is_file():
            network = Network.read(folder)
            every = np.arange(len(network.classes))
            return cls(network, {}, network.classes, every, {}, {})
        told = read_json(folder / "manifest.json")
        coarse = Network.read(folder / "coarse")
        classes = _names(told, "classes", str(folder))
        groups, kinds = _table(told, "type_to_group", folder), _table(told, "fine", folder)
        fine = {
            group: Network.read(folder / f"fine_{group}")
            for group, kind in kinds.items()
            if not (isinstance(kind, dict) and kind.get("single_label"))
        }
        for network in fine.values():
            if network.genes != coarse.genes:
                part = "fine networks whose genes are not those of the coarse one"
                raise UnsupportedWeights(str(folder), NAME, part, ["one list of genes for all"])
        _ensure_whole(folder, coarse, fine, classes, groups)
        place = {group: k for k, group in enumerate(coarse.classes)}
        ids = {str(k): str(v) for k, v in told.get("class_to_cl", {}).items()}
        facts = folder / "build_info.json"
        return cls(
            coarse,
            fine,
            classes,
            np.array([place[groups[name]] for name in classes], dtype=np.int64),
            {name: id_ for name, id_ in ids.items() if id_.startswith("CL:")},
            read_json(facts) if facts.is_file() else {},
        )

    @property
    def networks(self) -> list[Network]:
        """The coarse one, then the fine ones."""
        return [self.coarse, *self.fine.values()]


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises
    ------
    FileMissing, UnreadableWeights

    """
    if not path.is_file():
        raise FileMissing(str(path))
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise UnreadableWeights(str(path), NAME, f"it is no JSON ({error})") from error
    if not isinstance(told, dict):
        raise UnreadableWeights(str(path), NAME, "it holds no JSON object")
    return told


# -- parts ---------------------------------------------------------------------------------------


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    if not path.is_file():
        raise FileMissing(str(path))
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise UnreadableWeights(str(path), NAME, f"it is no intact .npz ({error})") from error


def _layers(weights: Weights) -> list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """W1, b1, W2, b2, … as long as there are any, each fitting the one before."""
    layers = [(weights.array("W1", 2), weights.array("b1", 1))]
    while f"W{len(layers) + 1}" in weights:
        number = len(layers) + 1
        layers.append((weights.array(f"W{number}", 2), weights.array(f"b{number}", 1)))
        before = layers[-2][0].shape[1]
        after = len(layers[-1][0])
        weights.ensure_equal(f"columns of 'W{number - 1}'", before, f"rows of 'W{number}'", after)
    for number, (weight, bias) in enumerate(layers, start=1):
        columns, values = weight.shape[1], len(bias)
        weights.ensure_equal(f"columns of 'W{number}'", columns, f"values of 'b{number}'", values)
    return layers


def _as_float32(layers: list[tuple[Any, Any]]) -> tuple[tuple[Float32, Float32], ...]:
    return tuple((w.astype(np.float32), b.astype(np.float32)) for w, b in layers)


def _names(told: Mapping[str, Any], key: str, path: str) -> tuple[str, ...]:
    names = told.get(key)
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise MissingWeights(path, NAME, key)
    return tuple(names)


def _table(told: Mapping[str, Any], key: str, folder: Path) -> dict[str, Any]:
    found = told.get(key)
    if not isinstance(found, dict):
        raise MissingWeights(str(folder / "manifest.json"), NAME, key)
    return found


def _ensure_whole(
    folder: Path,
    coarse: Network,
    fine: Mapping[str, Network],
    classes: tuple[str, ...],
    groups: Mapping[str, Any],
) -> None:
    """Each class has a group that the coarse network knows, and a place in that group's network."""
    for name in classes:
        group = groups.get(name)
        if group not in coarse.classes:
            raise MissingWeights(str(folder), NAME, f"group of {name!r} in coarse.json")
        if group in fine and name not in fine[group].classes:
            raise MissingWeights(str(folder), NAME, f"{name!r} in fine_{group}.json")
    for group in coarse.classes:
        members = [name for name in classes if groups[name] == group]
        if group in fine and set(fine[group].classes) != set(members):
            raise MissingWeights(str(folder), NAME, f"classes of fine_{group}.json in the manifest")
        if group not in fine and len(members) != 1:
            raise MissingWeights(str(folder), NAME, f"fine_{group}.npz")
