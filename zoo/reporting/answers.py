"""What a result file says of its cells, read with the care that a stranger's file needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.confidence import VERDICTS
from zoo.errors import CorruptMatrix, DeclaredSize, NotAResult
from zoo.predictions import Coded, Summary
from zoo.reading.elements import Array, Group, array_at, is_number, whole
from zoo.reading.frames import Frame, frame_at
from zoo.slides import COORDINATES
from zoo.top_genes import GroupGene

CODED = ("call", "call_id", "label", "verdict", "group_call", "domain", "slide")
NUMBERS = ("prob", "conformal_p", "ood_z", "ood_p", "set_size", "group_agreement")
UNKNOWN = "unknown"

# No model has more classes; each costs a pass over the cells.
_CATEGORIES_LIMIT = 10_000
_FACTS_LIMIT = 200
_DEPTH_LIMIT = 4
_LIST_LIMIT = 50
_FINDINGS_LIMIT = 100
_LINES_LIMIT = 200_000


@dataclass(frozen=True)
class Answers:
    """The columns and the provenance of a result file, open for reading.

    Attributes
    ----------
    coded, numbers
        Columns of obs by name, those that the model gives.
    embedding
        `obsm['X_embedding']`, None where the model gives none.
    coordinates
        `obsm['spatial']`, None where the model takes none.
    provenance
        What `uns['cellzoo']` holds.
    explanation
        What the labels of groups rest on, where `zoo explain` wrote the file.

    """

    obs: Frame
    coded: Mapping[str, Coded]
    numbers: Mapping[str, npt.NDArray[np.float32]]
    embedding: Array | None
    coordinates: Array | None
    provenance: Mapping[str, Any]
    explanation: tuple[GroupGene, ...] = ()

    @classmethod
    def read(cls, root: Group) -> Answers:
        """Read the columns of a result file.

        Raises
        ------
        NotAResult
            If the file was not written by a run.
        CorruptMatrix, DeclaredSize, UnsupportedEncoding, TruncatedFile

        """
        provenance = _facts(_group(root, "uns/cellzoo"), _DEPTH_LIMIT)
        if not isinstance(provenance.get("model"), str):
            raise NotAResult(root.path, "uns['cellzoo'] names no model")
        _group(root, "obs")
        obs = frame_at(root, "obs")
        return cls(
            obs,
            {name: _coded(root, obs, name) for name in CODED if name in obs.columns},
            {name: _numbers(obs, name, root.path) for name in NUMBERS if name in obs.columns},
            _array(root, "obsm/X_embedding", obs.rows),
            _coordinates(root, obs.rows),
            provenance,
            _explanation(root),
        )

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.obs.rows

    @property
    def verdict(self) -> npt.NDArray[np.int8] | None:
        """int8 [cells]: indices into `VERDICTS`, -1 where there is none; None without a column."""
        if "verdict" not in self.coded:
            return None
        column = self.coded["verdict"]
        known = [VERDICTS.index(c) if c in VERDICTS else -1 for c in column.categories]
        verdict: npt.NDArray[np.int8] = np.array([*known, -1], dtype=np.int8)[column.codes]
        return verdict

    def summary(self) -> Summary:
        """How many cells got which call and verdict; labels stand for calls that nobody made."""
        columns = {name: column for name, column in self.coded.items() if name != "call_id"}
        if "call" not in columns and "label" in columns:
            columns["call"] = columns["label"]
        return Summary.of(columns, self.numbers.get("prob"), self.cells)

    def verdict_counts(self) -> dict[str, int]:
        """Cells by verdict; empty without verdicts."""
        verdict = self.verdict
        if verdict is None:
            return {}
        return {name: int(np.count_nonzero(verdict == code)) for code, name in enumerate(VERDICTS)}

    def findings(self) -> list[dict[str, str]]:
        """The findings about the input; none where they cannot be read."""
        try:
            listed = json.loads(str(self.provenance.get("findings", "[]")))
        except (ValueError, RecursionError):
            return []
        found = listed if isinstance(listed, list) else []
        return [
            {key: str(entry.get(key, "")) for key in ("level", "code", "message", "hint")}
            for entry in found[:_FINDINGS_LIMIT]
            if isinstance(entry, dict)
        ]


def _group(root: Group, key: str) -> Group:
    element = root.get(key)
    if not isinstance(element, Group):
        raise NotAResult(root.path, f"it has no {key}")
    return element


def _coded(root: Group, obs: Frame, name: str) -> Coded:
    """A column of strings as codes; missing values become `unknown`."""
    element = root.get(f"obs/{name}")
    if not isinstance(element, Group) or element.get("categories") is None:
        column = Coded.of(obs.column(name).astype(np.str_))
        _ensure_few(column.categories, root.path, name)
        return column
    categories = whole(array_at(element, "categories")).astype(np.str_).tolist()
    _ensure_few(categories, root.path, name)
    codes = whole(array_at(element, "codes"))
    if len(codes) != obs.rows or codes.dtype.kind not in "iu":
        detail = f"{len(codes):,} codes for {obs.rows:,} cells"
        raise CorruptMatrix(root.path, f"obs/{name}", detail)
    if codes.max(initial=-1) >= len(categories):
        detail = f"code {codes.max()} where there are {len(categories):,} categories"
        raise CorruptMatrix(root.path, f"obs/{name}", detail)
    if codes.min(initial=0) < 0:
        codes = np.where(codes < 0, len(categories), codes)
        categories.append(UNKNOWN)
    return Coded(codes.astype(np.int64), categories)


def _ensure_few(categories: Any, path: str, name: str) -> None:
    if len(categories) > _CATEGORIES_LIMIT:
        raise DeclaredSize(path, f"obs/{name}/categories", len(categories), _CATEGORIES_LIMIT)


def _explanation(root: Group) -> tuple[GroupGene, ...]:
    """The lines of `uns['explanation']`; none where the file has no such table."""
    if not isinstance(root.get("uns/explanation"), Group):
        return ()
    table = frame_at(root, "uns/explanation")
    if table.rows > _LINES_LIMIT:
        raise DeclaredSize(root.path, "uns/explanation", table.rows, _LINES_LIMIT)
    names = list(GroupGene.__annotations__)
    if missing := set(names) - set(table.columns):
        raise CorruptMatrix(root.path, "uns/explanation", f"no column {sorted(missing)[0]!r}")
    texts = {name: table.column(name).astype(np.str_) for name in ("group", "state", "gene")}
    numbers = {name: _numbers(table, name, root.path) for name in ("rank", "attribution", "share")}
    return tuple(
        GroupGene(
            str(texts["group"][row]),
            str(texts["state"][row]),
            int(numbers["rank"][row]),
            str(texts["gene"][row]),
            float(numbers["attribution"][row]),
            float(numbers["share"][row]),
        )
        for row in range(table.rows)
    )


def _numbers(obs: Frame, name: str, path: str) -> npt.NDArray[np.float32]:
    values = obs.column(name)
    if not is_number(values.dtype):
        raise CorruptMatrix(path, f"obs/{name}", "it holds no numbers")
    return values.astype(np.float32)


def _coordinates(root: Group, cells: int) -> Array | None:
    element = _array(root, f"obsm/{COORDINATES}", cells)
    if element is not None and (element.shape[1] < 2 or not is_number(element.dtype)):
        raise CorruptMatrix(root.path, element.key, f"{element.dtype} {element.shape}")
    return element


def _array(root: Group, key: str, cells: int) -> Array | None:
    element = root.get(key)
    if not isinstance(element, Array):
        return None
    if len(element.shape) != 2 or element.shape[0] != cells:
        detail = f"shape {element.shape} for {cells:,} cells"
        raise CorruptMatrix(root.path, key, detail)
    return element


def _facts(group: Group, depth: int) -> dict[str, Any]:
    """Scalars, short lists and mappings of `uns['cellzoo']`."""
    facts: dict[str, Any] = {}
    for name in list(group.members())[:_FACTS_LIMIT]:
        element = group.get(name)
        if isinstance(element, Group):
            if depth > 1:
                facts[name] = _facts(element, depth - 1)
        elif element is not None and len(element.shape) == 1:
            facts[name] = element.read(0, min(element.shape[0], _LIST_LIMIT)).tolist()
        elif element is not None and not element.shape:
            value = element.scalar()
            if value is not None:
                facts[name] = value.item() if isinstance(value, np.generic) else value
    return facts
