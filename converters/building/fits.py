"""Fitting: one call for each seed, each neighbouring setting and each group that is left out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from converters.building.order import Order
from converters.building.subject import FoldedSubject, TorchSubject
from converters.fit_run import FitRun
from converters.recipe import Fitted, Settings
from converters.training_cells import Int64, Strings, TrainingCells
from converters.vocabulary import genes_table
from zoo.errors import DeviceUnavailable, TooFewCells
from zoo.recipes import TrainWatch
from zoo.session import Device
from zoo.vocabulary import GeneVocabulary


@dataclass(frozen=True)
class Fit:
    """A fitted model with the genes that it reads.

    Attributes
    ----------
    columns
        int64 [genes]: columns of the training cells.
    table
        Content of `genes.tsv`.
    seconds
        Wall time of the fit.

    """

    fitted: Fitted
    columns: Int64
    table: bytes
    vocabulary: GeneVocabulary
    seconds: float
    resumed: bool


@dataclass(frozen=True)
class Fitting:
    """Where and how fits are made.

    Attributes
    ----------
    data_digest
        Sha256 of the training file.
    checkpoints
        Folder of the checkpoints.

    """

    order: Order
    data_digest: str
    checkpoints: Path
    watch: TrainWatch

    def fit(
        self, cells: TrainingCells, seed: int, *, settings: Settings | None = None, fold: str = ""
    ) -> Fit:
        """Choose genes from the training cells and fit; test cells are out of reach.

        Raises
        ------
        TooFewCells

        """
        recipe, settings = self.order.recipe, settings or self.order.settings
        training = cells.of("train")
        if len(training) < recipe.minimum_cells:
            raise TooFewCells(cells.path, "train", len(training), recipe.minimum_cells)
        start = time.perf_counter()
        columns = np.asarray(recipe.genes(training, settings), dtype=np.int64)
        seen = cells.seen().with_genes(columns)
        run = FitRun(
            seed,
            device=torch_device(self.order.request.device),
            watch=self.watch,
            folder=self.checkpoints / fold if fold else self.checkpoints,
            fingerprint=self.order.fingerprint(self.data_digest, settings, fold),
        )
        fitted = recipe.fit(seen, settings, run)
        table = genes_file(seen.symbols, seen.gene_ids, fitted, recipe.value_kinds)
        vocabulary = GeneVocabulary.parse(table, model=self.order.name)
        seconds = time.perf_counter() - start
        return Fit(fitted, columns, table, vocabulary, seconds, run.resumed)

    def subject(self, fit: Fit) -> TorchSubject:
        """A fit as a subject of an evaluation."""
        return TorchSubject(fit.fitted, fit.vocabulary, self.order.recipe.graph_recipe)

    def folded(self, fits: list[Fit], cells: TrainingCells) -> FoldedSubject:
        """Fits of several folds, over the union of their genes."""
        columns = np.unique(np.concatenate([fit.columns for fit in fits]))
        union = cells.with_genes(columns)
        weight = np.full(len(columns), 1 / len(columns), dtype=np.float32)
        ids = union.gene_ids if has_ids(union.gene_ids, self.order.recipe.value_kinds) else None
        table = genes_table(union.symbols, ids, weight, kind=kind_of(self.order.recipe.value_kinds))
        subjects = tuple(self.subject(fit) for fit in fits)
        return FoldedSubject(subjects, GeneVocabulary.parse(table, model=self.order.name))


def torch_device(device: Device) -> str:
    """`cuda` where it is asked for or there is one, else `cpu`.

    Raises
    ------
    DeviceUnavailable

    """
    import torch

    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return "cpu"
    if not torch.cuda.is_available():
        raise DeviceUnavailable("cuda", "torch finds no GPU")
    return "cuda"


def kind_of(value_kinds: tuple[str, ...]) -> str:
    """The id kind of the vocabulary's first column."""
    return "marker" if "intensity" in value_kinds else "symbol"


def has_ids(gene_ids: Strings | None, value_kinds: tuple[str, ...]) -> bool:
    """Whether Ensembl ids go into the vocabulary: there, unique, and of genes."""
    return (
        gene_ids is not None
        and "intensity" not in value_kinds
        and len(np.unique(gene_ids)) == len(gene_ids)
    )


def genes_file(
    symbols: Strings, gene_ids: Strings | None, fitted: Fitted, value_kinds: tuple[str, ...]
) -> bytes:
    """Content of `genes.tsv`."""
    ids = gene_ids if has_ids(gene_ids, value_kinds) else None
    return genes_table(symbols, ids, fitted.gene_weight, kind=kind_of(value_kinds))
