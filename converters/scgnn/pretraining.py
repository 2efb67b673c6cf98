"""Training of the pretrained form: feature autoencoder, then graph layers over a frozen graph.

A share of a cell's nonzero counts is hidden from the input and asked back, as the imputation is
tested. The published training hides nothing; it would teach the network to copy its input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from converters.fit_run import FitRun
from converters.scgnn.masking import MaskedCells, hide, thin
from converters.scgnn.network import FeatureAutoencoder, GraphAutoencoder, LogNormalization
from converters.scgnn.reference import FrozenReference
from converters.scgnn.reference_graph import ReferenceGraph
from converters.scgnn.reference_network import ReferenceModel, ReferenceNetwork
from converters.typicality import Typicality

if TYPE_CHECKING:
    from converters.scgnn.recipe import ReferenceSettings

VALIDATION_SHARE = 0.1

Losses = Callable[[MaskedCells, Tensor | None], tuple[Tensor, Tensor]]
"""Imputation loss, and whatever is minimised beside it, of masked cells that are the given rows of
the training cells (None: that are not among them)."""


def pretrain(
    training: Tensor, validation: Tensor, settings: ReferenceSettings, run: FitRun
) -> ReferenceModel:
    """Fit to counts [cells, genes]; validation cells stop the training and calibrate p-values."""
    normalization = LogNormalization(training.shape[1])
    normalization.fit(training)
    fixed = torch.Generator().manual_seed(0)  # the same for every seed
    held_out = MaskedCells(validation, normalization, hide(validation, VALIDATION_SHARE, fixed))
    everything = torch.ones(training.shape[1])

    autoencoder = FeatureAutoencoder(training.shape[1], settings.hidden, settings.embedding)
    with torch.no_grad():
        autoencoder.w4.bias.copy_(normalization.mean)

    def features(cells: MaskedCells, rows: Tensor | None) -> tuple[Tensor, Tensor]:
        return cells.loss(autoencoder(cells.shown)[0], settings.masked_weight), torch.zeros(())

    train = _Training(training, held_out, normalization, settings, run)
    train("features", autoencoder, features)

    chosen = torch.randperm(len(training), generator=run.generator)[: settings.reference_cells]
    chosen = chosen.sort().values
    graph = GraphAutoencoder(settings.embedding, settings.graph_hidden, settings.graph_embedding)
    network = ReferenceNetwork(autoencoder, graph, linked=settings.graph)
    with torch.no_grad():
        z = autoencoder.encode(normalization(training, everything))
    cells = ReferenceGraph(z, chosen, network, settings)
    for layer in (autoencoder.w1, autoencoder.w2):
        layer.requires_grad_(False)
    train("graph", network, cells.losses)
    return _model(training, validation, normalization, network, cells.frozen())


def _model(
    training: Tensor,
    validation: Tensor,
    normalization: LogNormalization,
    network: ReferenceNetwork,
    reference: FrozenReference,
) -> ReferenceModel:
    """The whole graph, its level set on the training cells, its p-values on validation cells."""
    everything = torch.ones(training.shape[1])
    model = ReferenceModel(normalization, network, reference).eval()
    with torch.no_grad():
        model.level.fit(training, model.answers(training, everything)[1])
        model.typicality = Typicality(model.answers(validation, everything)[2])
    return model.eval()


class _Training:
    """Adam on cells with hidden counts; the best epoch on held-out cells stays."""

    def __init__(
        self,
        counts: Tensor,
        held_out: MaskedCells,
        normalization: LogNormalization,
        settings: ReferenceSettings,
        run: FitRun,
    ) -> None:
        self.counts, self.held_out, self.normalization = counts, held_out, normalization
        self.settings, self.run = settings, run

    def __call__(self, stage: str, network: nn.Module, losses: Losses) -> None:
        settings = self.settings
        learned = [p for p in network.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(learned, lr=settings.learning_rate)
        keep = {"network": network, "optimizer": optimizer}
        for _ in self.run.epochs(
            stage, settings.epochs, keep=keep, best="network", patience=settings.patience
        ):
            loss = self._epoch(losses, optimizer)
            with torch.no_grad():
                held_out = losses(self.held_out, None)[0]
            self.run.report(loss, held_out.item())

    def _epoch(self, losses: Losses, optimizer: torch.optim.Optimizer) -> float:
        """Mean imputation loss over the batches."""
        found = []
        order = torch.randperm(len(self.counts), generator=self.run.generator)
        for rows in order.split(self.settings.batch):
            counts = self.counts[rows]
            imputation, other = losses(self._masked(counts), rows)
            optimizer.zero_grad()
            (imputation + other).backward()
            optimizer.step()
            found.append(imputation.item())
        return sum(found) / len(found)

    def _masked(self, counts: Tensor) -> MaskedCells:
        settings, generator = self.settings, self.run.generator
        thinned = thin(counts, settings.thinned_share, settings.thinned_to, generator)
        hidden = hide(thinned, settings.masked_share, generator)
        return MaskedCells(counts, self.normalization, hidden, thinned=thinned)
