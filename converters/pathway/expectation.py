"""Does attention say anything? Expected pathways of known types, and what its pathways are worth.

Pairs of a cell type and a pathway that a textbook would name for it (`expected.tsv`) were written
down before any model was looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from converters.building.subject import TorchSubject
from converters.pathway.network import PathwayModel, PathwayNetwork
from zoo.block import Float32, Int64
from zoo.evaluation import metrics
from zoo.evaluation.asked import Asked
from zoo.evaluation.cells import LabelledCells, Placed
from zoo.evaluation.metrics import Measure
from zoo.evaluation.sampling import Sampling
from zoo.pathways import PathwayTable
from zoo.table import parse_table

EXPECTED = Path(__file__).with_name("expected.tsv")
TOP, DELETED = 10, 3
_FEWEST_CELLS = 5
_CELLS_AT_ONCE = 512

Scores = Mapping[str, Float32]
"""Attention (`model`) and gene-set scores (`set_score`), each [cells, pathways]."""


@dataclass(frozen=True)
class AttentionMeasurer:
    """Takes rows about `pathway_attention`.

    Rows, over the pairs whose type has cells: `expected_in_top10`, the share of pairs whose pathway
    is among the ten with the largest mean attention of the type's cells, beside ten fixed ones
    (`global_top`: the largest over all types) and a plain score of gene sets (`set_score`: mean
    standardised value of their genes); `expected_in_top10_specific`, the same after the mean over
    the types was taken off; `expected_auroc`, how well a pathway's attention tells its type from
    the other cells (0.5: not at all); `expected_rank:<type>: <pathway>`. Over cells:
    `accuracy_without_top3`, with the genes of each cell's three most attended pathways taken away,
    beside three random ones (`random_pathways`).

    Attributes
    ----------
    pairs
        int64 [pairs, 2]: class and pathway.

    """

    network: PathwayNetwork
    names: tuple[str, ...]
    pairs: Int64

    @classmethod
    def of(cls, subject: TorchSubject, training: LabelledCells) -> AttentionMeasurer:
        """For a fit; pairs of which it lacks the type or the pathway do not count."""
        del training  # a row of attention needs no training cells
        module, fitted = subject.fitted.module, subject.fitted
        assert isinstance(module, PathwayModel)
        names = PathwayTable.parse(fitted.files["pathways.tsv"], model="this fit").names
        table = parse_table(
            EXPECTED.read_bytes(), ("label", "pathway"), model="pathway", file=EXPECTED.name
        )
        pairs = [
            (fitted.labels.index(label), names.index(pathway))
            for label, pathway in zip(table["label"], table["pathway"], strict=True)
            if label in fitted.labels and pathway in names
        ]
        return cls(module.network, names, np.array(pairs, dtype=np.int64).reshape(-1, 2))

    def __call__(self, asked: Asked) -> None:
        """Measure one data set."""
        if not asked.known.any() or "pathway_attention" not in asked.outputs:
            return
        asked = asked.where(asked.known)
        self._measure_deletion(asked)
        label = asked.cells.label
        assert label is not None, "known cells have labels"
        sizes = np.bincount(label, minlength=len(asked.cells.labels))
        pairs = self.pairs[sizes[self.pairs[:, 0]] >= _FEWEST_CELLS]
        if len(pairs) and (sizes >= _FEWEST_CELLS).sum() > 1:
            attention = asked.outputs["pathway_attention"].astype(np.float32)
            scores = {"model": attention, "set_score": self.set_scores(asked.cells.placed)}
            types = np.flatnonzero(sizes >= _FEWEST_CELLS)
            self._measure_pairs(asked, label, types, pairs, scores)

    def _measure_pairs(
        self, asked: Asked, label: Int64, types: Int64, pairs: Int64, scores: Scores
    ) -> None:
        for method, values in scores.items():
            profile = np.full((len(asked.cells.labels), values.shape[1]), -np.inf)
            for k in types:
                profile[k] = values[label == k].mean(axis=0)
            everywhere = profile[types].mean(axis=0)
            ranks = ranks_of(profile, pairs)
            _add(asked, "expected_in_top10", ranks <= TOP, method)
            if method == "model":
                fixed = np.tile(everywhere, (len(profile), 1))
                _add(asked, "expected_in_top10", ranks_of(fixed, pairs) <= TOP, "global_top")
                for (k, p), rank in zip(pairs, ranks, strict=True):
                    told = f"expected_rank:{asked.cells.labels[k]}: {self.names[p]}"
                    n = int((label == k).sum())
                    asked.into.add(asked.setting, told, Measure(float(rank), n, None, None))
            specific = ranks_of(profile - everywhere, pairs) <= TOP
            _add(asked, "expected_in_top10_specific", specific, method)
            found = [metrics.auroc(np.asarray(label == k), values[:, p]) for k, p in pairs]
            auroc = np.array(found)
            measured = Sampling.of(len(pairs)).mean(auroc, asked.seed)
            asked.into.add(asked.setting.by(method), "expected_auroc", measured)

    @torch.no_grad()
    def set_scores(self, placed: Placed) -> Float32:
        """float32 [cells, pathways]: mean standardised value of the genes of each set."""
        tokens = self.network.tokens
        z = self._values(placed)
        taken = z.index_select(1, tokens.genes.flatten()).view(-1, *tokens.genes.shape)
        score: Float32 = ((taken * tokens.real).sum(dim=2) / tokens.real.sum(dim=1)).numpy()
        return score

    def _measure_deletion(self, asked: Asked) -> None:
        attention = asked.outputs["pathway_attention"]
        top = np.argsort(-attention, axis=1, kind="stable")[:, :DELETED]
        rng = np.random.default_rng(asked.seed)
        random = np.argsort(rng.random(attention.shape), axis=1)[:, :DELETED]
        truth = asked.cells.label
        for method, chosen in (("model", top), ("random_pathways", random)):
            right = self.without(asked.cells.placed, chosen) == truth
            measured = asked.sampling.share(np.asarray(right, dtype=bool), asked.seed)
            asked.add("accuracy_without_top3", measured, method)

    @torch.no_grad()
    def without(self, placed: Placed, chosen: npt.NDArray[np.integer]) -> Int64:
        """Labels int64 [cells] with the genes of some pathways [cells, k] at the training mean."""
        tokens, found = self.network.tokens, []
        z = self._values(placed)
        member = torch.zeros(len(tokens.genes), z.shape[1])
        member.scatter_add_(1, tokens.genes, tokens.real)
        for values, rows in _portions(z, torch.from_numpy(chosen)):
            kept = (member[rows].sum(dim=1) == 0).to(values)  # (cells, genes)
            found.append(self.network.look(values * kept)[0].argmax(dim=1))
        labels: Int64 = torch.cat(found).numpy()
        return labels

    def _values(self, placed: Placed) -> torch.Tensor:
        counts, present = torch.from_numpy(placed.counts), torch.from_numpy(placed.present)
        values: torch.Tensor = self.network.normalization(counts, present)
        return values


def ranks_of(profile: npt.NDArray[np.floating], pairs: Int64) -> Int64:
    """int64 [pairs]: place of each pair's pathway among all of its type, from 1; ties are last."""
    value = profile[pairs[:, 0], pairs[:, 1]]
    ranks: Int64 = (profile[pairs[:, 0]] >= value[:, None]).sum(axis=1)
    return ranks


def _add(asked: Asked, metric: str, flags: npt.NDArray[np.bool_], method: str) -> None:
    asked.into.add(asked.setting.by(method), metric, metrics.share(flags))


def _portions(z: torch.Tensor, chosen: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    return zip(z.split(_CELLS_AT_ONCE), chosen.split(_CELLS_AT_ONCE), strict=True)
