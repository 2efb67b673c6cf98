"""A recipe small enough for every test: softmax regression of log-normalized counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from converters.fit_run import FitRun
from converters.recipe import Fitted, Recipe, Settings
from converters.training_cells import Int64, TrainingCells
from converters.typicality import Typicality
from zoo.card import Output


@dataclass(frozen=True, kw_only=True)
class TinySettings(Settings):
    """See `Settings`."""

    epochs: int = 20
    learning_rate: float = 0.1
    patience: int = 5
    stop_after: int = 0
    """Raise KeyboardInterrupt after so many epochs: a user's Ctrl-C."""


class TinyNetwork(nn.Module):
    """label, prob, embedding, recon_error, ood_z, ood_p."""

    def __init__(self, genes: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(genes, classes)
        self.typicality = Typicality()

    def logits(self, counts: Tensor) -> tuple[Tensor, Tensor]:
        total = counts.sum(dim=1, keepdim=True).clamp(min=1)
        z = torch.log1p(counts / total * 100)
        return self.linear(z), z

    def forward(self, counts: Tensor, gene_present: Tensor) -> tuple[Tensor, ...]:
        logits, z = self.logits(counts * gene_present)
        error = (z - z.mean(dim=1, keepdim=True)).square().mean(dim=1)
        ood_z, ood_p = self.typicality(error)
        return logits.argmax(dim=1), torch.softmax(logits, dim=1), logits, error, ood_z, ood_p


OUTPUTS = (
    Output(name="label", description="class", unit="class index"),
    Output(name="prob", description="probability", unit="probability"),
    Output(name="embedding", description="logits", unit="log odds"),
    Output(name="recon_error", description="spread", unit="squared logs"),
    Output(name="ood_z", description="z", unit="standard deviations"),
    Output(name="ood_p", description="p", unit="p-value"),
)


class Tiny(Recipe):
    name = "tiny"
    summary = "Softmax regression, for tests"
    architecture = "linear"
    task = "cell_type_annotation"
    settings = TinySettings
    needs = frozenset({"label"})
    minimum_cells = 12

    def genes(self, cells: TrainingCells, settings: TinySettings) -> Int64:
        return np.arange(cells.counts.shape[1])

    def fit(self, cells: TrainingCells, settings: TinySettings, run: FitRun) -> Fitted:
        train, held = cells.of("train"), cells.of("validation")
        network = TinyNetwork(train.counts.shape[1], len(cells.labels))
        optimizer = torch.optim.Adam(network.parameters(), settings.learning_rate)
        x, y = torch.from_numpy(train.dense()), torch.from_numpy(train.label)
        v, w = torch.from_numpy(held.dense()), torch.from_numpy(held.label)
        loss_of = nn.CrossEntropyLoss()
        keep = {"network": network, "optimizer": optimizer}
        for epoch in run.epochs(
            "softmax", settings.epochs, keep=keep, best="network", patience=settings.patience
        ):
            order = torch.randperm(len(x), generator=run.generator)
            loss = loss_of(network.logits(x[order])[0], y[order])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                run.report(loss.item(), loss_of(network.logits(v)[0], w).item())
            if epoch + 1 == settings.stop_after:
                raise KeyboardInterrupt
        with torch.no_grad():
            z = network.logits(v)[1]
            error = (z - z.mean(dim=1, keepdim=True)).square().mean(dim=1)
        network.typicality = Typicality(error)
        tolerances = {output.name: (1e-4, 1e-4) for output in OUTPUTS}
        weight = np.full(x.shape[1], 1 / x.shape[1], dtype=np.float32)
        return Fitted(
            network.eval(), ("counts", "gene_present"), OUTPUTS, tolerances, weight, cells.labels
        )

    def neighbours(self, settings: TinySettings) -> Mapping[str, Settings]:
        return {"epochs=1": settings.changed(epochs=1)}


def write_training_file(path: Any, *, donors: int = 3, cells: int = 90, seed: int = 0) -> Any:
    """Cells of three types from some donors; names are genes of people."""
    import anndata as ad
    import pandas as pd
    from scipy import sparse

    rng = np.random.default_rng(seed)
    genes = ["CD3D", "MS4A1", "LYZ", "NKG7", "PPBP", "FCER1A"]
    kind = np.arange(cells) % 3
    counts = rng.poisson(1.0, (cells, len(genes))).astype(np.float32)
    counts[np.arange(cells), kind] += rng.poisson(12, cells)
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical(np.array(["T cell", "B cell", "monocyte"])[kind]),
            "donor": pd.Categorical([f"d{i * donors // cells + 1}" for i in range(cells)]),
        },
        index=[f"cell-{i}" for i in range(cells)],
    )
    table = ad.AnnData(
        sparse.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=genes),
        uns={"organism": "Homo sapiens", "license": "CC0-1.0", "source": "made up"},
    )  # fmt: skip
    table.write_h5ad(path)
    return path
