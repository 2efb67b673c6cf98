"""Training as published: RMSprop, gradients clipped, smaller steps on a plateau, early stopping."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from converters.dca.network import CountAutoencoder, CountModel, SizeFactors
from converters.fit_run import FitRun
from converters.typicality import Typicality

if TYPE_CHECKING:
    from converters.dca.recipe import DcaSettings


def fit_counts(
    training: Tensor, validation: Tensor, settings: DcaSettings, run: FitRun, *, dropout: bool
) -> CountModel:
    """Fit to counts [cells, genes]; validation cells stop the training and calibrate p-values."""
    size_factors = SizeFactors(training.shape[1])
    size_factors.fit(training)
    network = CountAutoencoder(
        training.shape[1],
        settings.hidden,
        settings.bottleneck,
        dropout=dropout,
        conditional=settings.dispersion == "conditional",
        input_dropout=settings.input_dropout,
    )
    _train(network, size_factors, training, validation, settings, run)
    model = CountModel(size_factors, network).eval()
    with torch.no_grad():
        answers = model(validation, torch.ones(training.shape[1]))
        model.typicality = Typicality(answers[-3])
    return model.eval()


def _train(
    network: CountAutoencoder,
    size_factors: SizeFactors,
    training: Tensor,
    validation: Tensor,
    settings: DcaSettings,
    run: FitRun,
) -> None:
    everything = torch.ones(training.shape[1])
    (x, factor), (held_x, held_factor) = (
        size_factors(counts, everything) for counts in (training, validation)
    )
    learned = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.RMSprop(learned, lr=settings.learning_rate, alpha=0.9, eps=1e-7)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, patience=settings.smaller_steps_after
    )
    keep = {"network": network, "optimizer": optimizer, "plateau": plateau}
    for _ in run.epochs(
        "counts", settings.epochs, keep=keep, best="network", patience=settings.patience
    ):
        network.train()
        total = 0.0
        for rows in torch.randperm(len(x), generator=run.generator).split(settings.batch):
            if len(rows) < 2:  # one cell has no variance to normalize by
                continue
            loss = network.loss(x[rows], factor[rows], training[rows])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_value_(learned, settings.largest_gradient)
            optimizer.step()
            total += loss.item() * len(rows)
        network.eval()
        with torch.no_grad():
            held_out = network.loss(held_x, held_factor, validation).item()
        plateau.step(held_out)
        run.report(total / len(x), held_out)
