"""Training: the decoder must give the whole cell, the encoder sees it through other eyes.

In a part of the minibatches the encoder sees fewer molecules, a random gene list and the gains of
another chemistry, as later files have them. So this is a denoising autoencoder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from converters.augment import log_uniform, panel_of_size, panel_order, thin
from converters.celltype.chemistry import random_gains
from converters.fit_run import FitRun, Stateful
from converters.scvi.losses import (
    divergence_from_prior,
    drawn,
    latent_loss,
    reconstruction_loss,
)
from converters.scvi.network import ScanviNetwork, ScviNetwork
from converters.scvi.recipe import ScanviSettings, ScviSettings
from converters.training_cells import TrainingCells
from zoo.errors import UnknownSetting

_CHUNK = 2048


def train_scvi(cells: TrainingCells, settings: ScviSettings, run: FitRun) -> ScviNetwork:
    """Fit the autoencoder to `train`; the loss on `validation` is told and stops nothing."""
    if settings.likelihood not in ("zinb", "nb"):
        detail = f"it is 'zinb' or 'nb', not {settings.likelihood!r}"
        raise UnknownSetting("scvi", "likelihood", detail)
    training, validation = cells.of("train"), cells.of("validation")
    network = ScviNetwork(
        cells.counts.shape[1],
        batches=len(training.batches) if settings.donor_decoder else 0,
        hidden=settings.hidden,
        latent=settings.latent,
        dropout=settings.dropout,
    )
    network.normalization.fit(
        torch.from_numpy(training.dense()), dominant_share=settings.dominant_share
    )
    network.to(run.device)
    optimizer = _optimizer(network, settings)
    for epoch in run.epochs("scvi", settings.epochs, keep=_kept(network, optimizer)):
        weight = min(1.0, (epoch + 1) / max(settings.kl_warmup, 1))
        network.train()
        told = []
        for x, batch, _ in _minibatches(training, network, settings, run):
            mean, variance = network.encoder(seen(network, x, settings, run))
            z = drawn(mean, variance)
            loss = reconstruction_loss(network.decoder, x, z, batch, settings.likelihood)
            loss = (loss + weight * divergence_from_prior(mean, variance)).mean()
            told.append(_step(loss, optimizer))
        run.report(float(np.mean(told)), lower_bound(network, validation, settings, run))
    return network.eval().cpu()


def train_scanvi(
    scvi: ScviNetwork, cells: TrainingCells, settings: ScanviSettings, run: FitRun
) -> ScanviNetwork:
    """Go on from a fitted autoencoder with the labels of `train`; cells without one take part."""
    training, validation = cells.of("train"), cells.of("validation")
    network = ScanviNetwork(
        scvi, classes=len(cells.labels), hidden=settings.hidden, latent=settings.latent,
        dropout=settings.dropout,
    ).to(run.device)  # fmt: skip
    optimizer = _optimizer(network, settings)
    kept = _kept(network, optimizer)
    for _ in run.epochs("scanvi", settings.classifier_epochs, keep=kept):
        network.train()
        told = []
        for x, batch, label in _minibatches(training, scvi, settings, run):
            mean, variance = scvi.encoder(seen(scvi, x, settings, run))
            z = drawn(mean, variance)
            loss = reconstruction_loss(scvi.decoder, x, z, batch, settings.likelihood)
            loss = (loss + latent_loss(network, z, mean, variance).sum(dim=1)).mean()
            if (label >= 0).any():
                wrong = functional.cross_entropy(network.classifier(z), label, ignore_index=-1)
                loss = loss + settings.classification_ratio * wrong
            told.append(_step(loss, optimizer))
        run.report(float(np.mean(told)), lower_bound(scvi, validation, settings, run))
    return network.eval().cpu()


def seen(network: ScviNetwork, x: Tensor, settings: ScviSettings, run: FitRun) -> Tensor:
    """What the encoder sees of counts [cells, genes]: all, or what another file would have."""
    genes, generator = x.shape[1], run.generator
    everything = torch.ones(genes, device=x.device)
    draw, size = torch.rand(2, generator=generator).tolist()
    if draw < settings.full_panel_share:
        return network.normalization(x, everything)
    counts = x.cpu().clone()
    fraction = log_uniform(settings.smallest_fraction, len(x), generator)[:, None]
    nonzero = counts > 0  # few entries, and zeros stay zeros
    counts[nonzero] = thin(counts[nonzero], fraction.expand_as(counts)[nonzero], generator)
    counts = counts * random_gains(genes, settings, generator)
    left = settings.smallest_panel + (1 - settings.smallest_panel) * size
    order = panel_order(torch.zeros(genes), 0.0, generator)
    present = panel_of_size(order, round(left * genes))
    return network.normalization(counts.to(x.device), present.to(x.device))


@torch.no_grad()
def lower_bound(
    network: ScviNetwork, cells: TrainingCells, settings: ScviSettings, run: FitRun
) -> float | None:
    """Mean negative evidence lower bound at the mean of z; None without cells."""
    if not len(cells):
        return None
    network.eval()
    total = 0.0
    for start in range(0, len(cells), _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, len(cells)))
        x, batch, _ = _rows(cells, rows, network, run)
        mean, variance = network.encoder(
            network.normalization(x, torch.ones(x.shape[1], device=x.device))
        )
        loss = reconstruction_loss(network.decoder, x, mean, batch, settings.likelihood)
        total += float((loss + divergence_from_prior(mean, variance)).sum())
    return total / len(cells)


def _minibatches(
    cells: TrainingCells, network: ScviNetwork, settings: ScviSettings, run: FitRun
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    order = torch.randperm(len(cells), generator=run.generator)
    for rows in order.split(settings.batch_size):
        yield _rows(cells, rows.numpy(), network, run)


def _rows(
    cells: TrainingCells, rows: np.ndarray, network: ScviNetwork, run: FitRun
) -> tuple[Tensor, Tensor, Tensor]:
    """Counts [cells, genes], one-hot batch [cells, batches] and label [cells] of some cells."""
    x = torch.from_numpy(np.asarray(cells.counts[rows].toarray(), dtype=np.float32))
    batches = network.decoder.batches
    batch = torch.zeros(len(rows), batches)
    if batches and cells.batch is not None:
        code = torch.from_numpy(cells.batch[rows])
        batch = functional.one_hot(code.clamp(min=0), batches) * (code >= 0)[:, None]
    label = np.full(len(rows), -1) if cells.label is None else cells.label[rows]
    parts = (x, batch.float(), torch.from_numpy(label.astype(np.int64)))
    x, batch, known = (part.to(run.device) for part in parts)
    return x, batch, known


def _optimizer(network: nn.Module, settings: ScviSettings) -> torch.optim.Adam:
    return torch.optim.Adam(
        network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )


def _kept(network: nn.Module, optimizer: torch.optim.Adam) -> Mapping[str, Stateful]:
    return {"network": network, "optimizer": optimizer}


def _step(loss: Tensor, optimizer: torch.optim.Adam) -> float:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss.detach())
