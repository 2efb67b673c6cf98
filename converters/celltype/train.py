"""Training: class-balanced batches of thinned cells, each seen through random gene lists."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from converters.augment import (
    gene_gains,
    log_uniform,
    panel_of_size,
    panel_order,
    thin,
    with_ambient,
)
from converters.celltype.network import CellTypeNetwork
from converters.celltype.recipe import Recipe


def train(
    counts: Tensor, labels: Tensor, *, classes: int, recipe: Recipe, seed: int
) -> CellTypeNetwork:
    """Fit a network.

    Parameters
    ----------
    counts
        float32 [cells, genes], raw counts of the training cells.
    labels
        int64 [cells].
    classes
        Number of classes.
    recipe
        Hyper-parameters.
    seed
        Seed of initialisation, batches and augmentation.

    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network = CellTypeNetwork(counts.shape[1], classes, recipe)
    network.normalization.fit(
        counts, dominant_share=recipe.dominant_share, sd_floor=recipe.sd_floor
    )
    salience = gene_salience(counts, recipe)
    states = within_class_residuals(network, counts, labels)
    odds = class_odds(labels, classes, recipe.class_power)
    # Bayesian bootstrap: each member weighs the cells its own way.
    bootstrap = torch.empty(recipe.members, len(counts)).exponential_(generator=generator)
    optimizer = torch.optim.AdamW(
        network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, recipe.steps, pct_start=0.1
    )
    network.train()
    for _ in range(recipe.steps):
        rows = torch.multinomial(odds, recipe.batch, replacement=True, generator=generator)
        z = augmented(network, counts[rows], salience, states, recipe, generator)
        logits = network.ensemble.classify(network.ensemble.embed(z))
        loss = member_loss(logits, labels[rows], bootstrap[:, rows], recipe.label_smoothing)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return network.eval()


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
    recipe: Recipe,
    generator: torch.Generator,
) -> Tensor:
    """Normalized values [cells, genes] of a batch after thinning, gene lists, gains and shifts."""
    cells, genes = counts.shape
    fraction = log_uniform(recipe.smallest_fraction, cells, generator)
    fraction[torch.rand(cells, generator=generator) < recipe.unthinned_share] = 1
    present = [random_panel(salience, recipe, generator) for _ in range(recipe.panels)]
    gains = [random_gains(genes, recipe, generator) for _ in range(recipe.panels)]
    shifts = state_shifts(states, recipe.shift_sd, recipe.panels, generator)
    mask, factor, offset = (
        rows.repeat_interleave(cells // recipe.panels, dim=0)
        for rows in (torch.stack(present), torch.stack(gains), shifts)
    )
    x = thin(counts, fraction[:, None], generator)
    x = with_ambient(x, recipe.ambient, generator) * factor
    error = torch.exp(torch.randn(cells, 1, generator=generator) * recipe.scale_sd)
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


def random_gains(genes: int, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """float32 [genes]: gains of a random chemistry, from hardly another one to quite another."""
    sd, dead = torch.rand(2, generator=generator).tolist()
    return gene_gains(genes, sd * recipe.gain_sd, generator, dead_share=dead * recipe.dead_share)


def random_panel(salience: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """float32 [genes]: presence of each gene in a random gene list, sometimes in all of them."""
    if float(torch.rand(1, generator=generator)) < recipe.full_panel_share:
        return torch.ones(len(salience))
    share = float(log_uniform(recipe.smallest_panel, 1, generator))
    tilt = float(torch.rand(1, generator=generator)) * recipe.panel_tilt
    return panel_of_size(panel_order(salience, tilt, generator), round(share * len(salience)))


def gene_salience(counts: Tensor, recipe: Recipe) -> Tensor:
    """float32 [genes]: standardised log of a gene's spread, by which gene lists favour genes."""
    fractions = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
    log_sd = torch.log(torch.log1p(fractions * recipe.target).std(dim=0) + 1e-3)
    return (log_sd - log_sd.mean()) / log_sd.std()


def class_odds(labels: Tensor, classes: int, power: float) -> Tensor:
    """float32 [cells]: odds of drawing each cell, so that a class weighs its size to a power."""
    size = torch.bincount(labels, minlength=classes).clamp(min=1).float()
    return (size ** (power - 1))[labels]
