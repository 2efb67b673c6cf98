"""Training: class-balanced batches of thinned cells, each seen through random gene lists."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from converters.augment import (
    log_uniform,
    panel_of_size,
    panel_order,
    thin,
    with_ambient,
)
from converters.celltype.chemistry import gene_salience, random_gains
from converters.celltype.labelled_counts import LabelledCounts
from converters.celltype.network import CellTypeNetwork
from converters.celltype.recipe import CellTypeSettings
from converters.fit_run import FitRun


def train(
    training: LabelledCounts,
    held_out: LabelledCounts | None = None,
    *,
    classes: int,
    settings: CellTypeSettings,
    run: FitRun,
) -> CellTypeNetwork:
    """Fit a network; it comes back on the CPU.

    Batches and augmentation are drawn on the CPU, from the run's generator. On a GPU dropout draws
    from the GPU's own, so a training that was taken up again differs a little from one that was
    never stopped; on the CPU it does not.

    Parameters
    ----------
    training
        Raw counts and labels.
    held_out
        Cells whose loss is told; they stop the training only where `patience` says so.
    classes
        Number of classes.
    settings
        Hyper-parameters.
    run
        Seed, device, progress and checkpoints.

    """
    counts, labels = training.counts, training.labels
    network = CellTypeNetwork(counts.shape[1], classes, settings)
    network.normalization.fit(
        counts, dominant_share=settings.dominant_share, sd_floor=settings.sd_floor
    )
    salience = gene_salience(counts)
    states = within_class_residuals(network, counts, labels)
    odds = class_odds(labels, classes, settings.class_power)
    # Bayesian bootstrap: each member weighs the cells its own way.
    bootstrap = torch.empty(settings.members, len(counts)).exponential_(generator=run.generator)
    network.to(run.device)
    optimizer = torch.optim.AdamW(
        network.parameters(),
        settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, settings.steps, pct_start=0.1
    )
    keep = {"network": network, "optimizer": optimizer, "schedule": schedule}
    best, patience = ("network", settings.patience) if settings.patience else (None, None)
    for _ in run.epochs("network", settings.epochs, keep=keep, best=best, patience=patience):
        network.train()
        losses = []
        for _ in range(settings.steps_per_epoch):
            rows = torch.multinomial(
                odds, settings.batch, replacement=True, generator=run.generator
            )
            z = augmented(network, counts[rows], salience, states, settings, run)
            logits = network.ensemble.classify(network.ensemble.embed(z))
            shown, weight = labels[rows].to(run.device), bootstrap[:, rows].to(run.device)
            loss = member_loss(logits, shown, weight, settings.label_smoothing)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            losses.append(loss.detach())
        run.report(float(torch.stack(losses).mean()), validation_loss(network, held_out, run))
    return network.eval().cpu()


@torch.no_grad()
def validation_loss(
    network: CellTypeNetwork, held_out: LabelledCounts | None, run: FitRun
) -> float | None:
    """Mean cross entropy of held-out cells as they are; None without such cells."""
    if held_out is None or not len(held_out):
        return None
    network.eval()
    present = torch.ones(held_out.counts.shape[1], device=run.device)
    logits = [network(part.to(run.device), present)[0].cpu() for part in held_out.counts.split(512)]
    return float(functional.cross_entropy(torch.cat(logits), held_out.labels))


def member_loss(logits: Tensor, labels: Tensor, weight: Tensor, smoothing: float) -> Tensor:
    """Mean cross entropy of [members, cells, classes], each cell with its member's weight."""
    members = logits.shape[0]
    losses = functional.cross_entropy(
        logits.flatten(0, 1), labels.repeat(members), label_smoothing=smoothing, reduction="none"
    )
    return (losses * weight.flatten()).mean()


def augmented(
    network: CellTypeNetwork,
    counts: Tensor,
    salience: Tensor,
    states: Tensor,
    settings: CellTypeSettings,
    run: FitRun,
) -> Tensor:
    """Normalized values [cells, genes] of a batch after thinning, gene lists, gains and shifts."""
    generator = run.generator
    cells, genes = counts.shape
    fraction = log_uniform(settings.smallest_fraction, cells, generator)
    fraction[torch.rand(cells, generator=generator) < settings.unthinned_share] = 1
    present = [random_panel(salience, settings, generator) for _ in range(settings.panels)]
    gains = [random_gains(genes, settings, generator) for _ in range(settings.panels)]
    shifts = state_shifts(states, settings.shift_sd, settings.panels, generator)
    mask, factor, offset = (
        rows.repeat_interleave(cells // settings.panels, dim=0)
        for rows in (torch.stack(present), torch.stack(gains), shifts)
    )
    x = thin(counts, fraction[:, None], generator)
    x = with_ambient(x, settings.ambient, generator) * factor
    error = torch.exp(torch.randn(cells, 1, generator=generator) * settings.scale_sd)
    x, mask, error, offset = (part.to(run.device) for part in (x, mask, error, offset))
    return network.normalization(x, mask, error) + offset * mask


def within_class_residuals(network: CellTypeNetwork, counts: Tensor, labels: Tensor) -> Tensor:
    """[cells, genes]: normalized values less their class mean, over the root of the cell count."""
    z: Tensor = network.normalization(counts, torch.ones(counts.shape[1]))
    means = torch.stack([z[labels == k].mean(dim=0) for k in range(int(labels.max()) + 1)])
    return (z - means[labels]) / len(z) ** 0.5


def state_shifts(states: Tensor, largest: float, count: int, generator: torch.Generator) -> Tensor:
    """float32 [count, genes]: whole batches in other states, drawn as cells of one type differ.

    Normal with the covariance within the classes, so genes of one programme move together, times a
    size from 0 to `largest`.
    """
    size = torch.rand(count, 1, generator=generator) * largest
    return size * (torch.randn(count, len(states), generator=generator) @ states)


def random_panel(
    salience: Tensor, settings: CellTypeSettings, generator: torch.Generator
) -> Tensor:
    """float32 [genes]: presence of each gene in a random gene list, sometimes in all of them."""
    if float(torch.rand(1, generator=generator)) < settings.full_panel_share:
        return torch.ones(len(salience))
    share = float(log_uniform(settings.smallest_panel, 1, generator))
    tilt = float(torch.rand(1, generator=generator)) * settings.panel_tilt
    return panel_of_size(panel_order(salience, tilt, generator), round(share * len(salience)))


def class_odds(labels: Tensor, classes: int, power: float) -> Tensor:
    """float32 [cells]: odds of drawing each cell, so that a class weighs its size to a power."""
    size = torch.bincount(labels, minlength=classes).clamp(min=1).float()
    return (size ** (power - 1))[labels]
