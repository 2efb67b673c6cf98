"""Predictions: what a model says of each cell, as arrays with names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zoo.confidence import VERDICTS
from zoo.errors import MissingExtra

if TYPE_CHECKING:
    import pandas as pd

Arrays = Mapping[str, npt.NDArray[Any]]

CODED_COLUMNS = ("call", "label", "verdict")


@dataclass(frozen=True)
class CallSummary:
    """One line of a summary: the cells that got one call."""

    call: str
    cells: int
    share: float
    median_prob: float
    verdicts: Mapping[str, int]


@dataclass(frozen=True)
class Summary:
    """How many cells got which call, label and verdict.

    Attributes
    ----------
    cells
        Number of cells.
    calls
        One line a call, most frequent first.
    labels, verdicts
        Number of cells by label and by verdict.

    """

    cells: int
    calls: tuple[CallSummary, ...]
    labels: Mapping[str, int]
    verdicts: Mapping[str, int]

    @classmethod
    def of(cls, columns: Mapping[str, Coded], prob: npt.NDArray[Any] | None, cells: int) -> Summary:
        """Summarise the columns `call`, `label` and `verdict` where present; prob is [cells]."""
        verdict = columns.get("verdict", Coded(np.zeros(cells, np.int8), ("in",)))
        lines = []
        if "call" in columns and prob is not None:
            for call, members in columns["call"].groups():
                lines.append(
                    CallSummary(
                        call=call,
                        cells=len(members),
                        share=len(members) / cells,
                        median_prob=float(np.median(prob[members])),
                        verdicts=_verdict_counts(verdict, members),
                    )
                )
        labels = columns["label"].groups() if "label" in columns else []
        return cls(
            cells,
            tuple(lines),
            {label: len(members) for label, members in labels},
            _verdict_counts(verdict, slice(None)),
        )


@dataclass(frozen=True)
class Coded:
    """A column of few different strings: codes [cells] into categories."""

    codes: npt.NDArray[np.integer]
    categories: Sequence[str]

    @classmethod
    def of(cls, values: npt.NDArray[np.str_]) -> Coded:
        """The coded form of a column of strings."""
        categories, codes = np.unique(values, return_inverse=True)
        return cls(codes, [str(name) for name in categories])

    def groups(self) -> list[tuple[str, npt.NDArray[np.int64]]]:
        """Each value that occurs with the rows that have it, most frequent first."""
        counts = np.bincount(self.codes, minlength=len(self.categories))
        order = [int(code) for code in np.argsort(-counts, kind="stable") if counts[code]]
        return [(self.categories[code], np.flatnonzero(self.codes == code)) for code in order]


def _verdict_counts(verdict: Coded, rows: slice | npt.NDArray[np.int64]) -> dict[str, int]:
    counts = np.bincount(verdict.codes[rows], minlength=len(verdict.categories))
    by_name = dict(zip(verdict.categories, counts.tolist(), strict=True))
    return {name: by_name.get(name, 0) for name in VERDICTS}


@dataclass(frozen=True, repr=False)
class Predictions:
    """What a model says of each cell, in the file's order.

    Attributes
    ----------
    cell_names
        str [cells].
    obs
        Columns, each [cells]: `label`, `label_id`, `call`, `call_id` (str), `prob`, `conformal_p`
        (of the label), `ood_z`, `ood_p` (float32), `set_size` (int32), `verdict` (str).
    obsm
        Arrays [cells, dims]: `X_embedding`, and `prob`, `conformal_p`, `in_set` if asked for.
    layers
        Per-gene arrays [cells, genes of the vocabulary], if asked for.
    provenance
        What `uns['cellzoo']` of a result file holds.

    """

    cell_names: npt.NDArray[np.str_]
    obs: Arrays
    obsm: Arrays
    layers: Arrays
    provenance: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.cell_names)

    def __repr__(self) -> str:
        model = f"{self.provenance.get('model')}@{self.provenance.get('version')}"
        names = ", ".join([*self.obs, *self.obsm, *self.layers])
        return f"<zoo.Predictions of {model} for {len(self):,} cells: {names}>"

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """A column of obs or an array of obsm or layers by name."""
        for arrays in (self.obs, self.obsm, self.layers):
            if name in arrays:
                return arrays[name]
        present = [*self.obs, *self.obsm, *self.layers]
        raise KeyError(f"no {name!r} among the predictions; there are {', '.join(present)}")

    def summary(self) -> Summary:
        """How many cells got which call, label and verdict."""
        present = [name for name in CODED_COLUMNS if name in self.obs]
        columns = {name: Coded.of(self.obs[name]) for name in present}
        return Summary.of(columns, self.obs.get("prob"), len(self))

    def to_frame(self) -> pd.DataFrame:
        """The columns of obs as a data frame indexed by cell name.

        Raises
        ------
        MissingExtra
            If pandas is not installed.

        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtra("anndata", "make a data frame") from error
        return pd.DataFrame(dict(self.obs), index=pd.Index(self.cell_names.astype(object)))
