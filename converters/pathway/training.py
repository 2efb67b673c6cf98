"""Training: batches of thinned cells, each batch seen through a random chemistry and gene list."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from converters.augment import log_uniform, panel_of_size, panel_order, thin
from converters.celltype.chemistry import gene_salience, random_gains
from converters.celltype.labelled_counts import LabelledCounts
from converters.celltype.train import class_odds
from converters.fit_run import FitRun
from converters.pathway.network import PathwayNetwork
from converters.pathway.recipe import PathwaySettings

_UNTHINNED = 0.5


def train(
    training: LabelledCounts,
    sets: tuple[Tensor, Tensor],
    *,
    classes: int,
    settings: PathwaySettings,
    run: FitRun,
) -> PathwayNetwork:
    """Fit a network; it comes back on the CPU, in evaluation mode.

    Parameters
    ----------
    sets
        Gene columns of each pathway, int64 [pathways, most genes], and which of them are real.

    """
    network = PathwayNetwork(training.counts.shape[1], classes, sets, settings)
    network.normalization.fit(
        training.counts, dominant_share=settings.dominant_share, sd_floor=settings.sd_floor
    )
    salience = gene_salience(training.counts)
    odds = class_odds(training.labels, classes, settings.class_power)
    network.to(run.device)
    optimizer = torch.optim.AdamW(
        network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    steps = settings.epochs * settings.steps_per_epoch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, steps)
    keep = {"network": network, "optimizer": optimizer, "schedule": schedule}
    for _ in run.epochs("network", settings.epochs, keep=keep):
        network.train()
        losses = []
        for _ in range(settings.steps_per_epoch):
            rows = torch.multinomial(
                odds, settings.batch, replacement=True, generator=run.generator
            )
            counts, present = disturbed(training.counts[rows], salience, settings, run.generator)
            logits, _, _ = network(counts.to(run.device), present.to(run.device))
            loss = functional.cross_entropy(
                logits,
                training.labels[rows].to(run.device),
                label_smoothing=settings.label_smoothing,
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            losses.append(loss.detach())
        run.report(float(torch.stack(losses).mean()))
    return network.eval().cpu()


def disturbed(
    counts: Tensor, salience: Tensor, settings: PathwaySettings, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Counts [cells, genes] of another depth and chemistry, and presence of genes [genes]."""
    cells, genes = counts.shape
    fraction = log_uniform(settings.smallest_fraction, cells, generator)
    fraction[torch.rand(cells, generator=generator) < _UNTHINNED] = 1
    seen = thin(counts, fraction[:, None], generator)
    if float(torch.rand(1, generator=generator)) < settings.full_panel_share:
        return seen, torch.ones(genes)
    share = float(log_uniform(settings.smallest_panel, 1, generator))
    tilt = float(torch.rand(1, generator=generator)) * settings.panel_tilt
    present = panel_of_size(panel_order(salience, tilt, generator), round(share * genes))
    return seen * random_gains(genes, settings, generator), present
