"""Training: class-balanced batches of thinned cells, each seen through random gene lists."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from converters.augment import gene_gains, log_uniform, panel_of_size, panel_order, thin
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
    network.normalization.fit(counts, recipe.sd_floor)
    salience = gene_salience(counts, recipe)
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
        z = augmented(network, counts[rows], salience, recipe, generator)
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
    recipe: Recipe,
    generator: torch.Generator,
) -> Tensor:
    """Normalized values [cells, genes] of a batch after thinning, gene lists and gains."""
    cells = len(counts)
    fraction = log_uniform(recipe.smallest_fraction, cells, generator)
    fraction[torch.rand(cells, generator=generator) < recipe.unthinned_share] = 1
    present, gains = [], []
    for _ in range(recipe.panels):
        present.append(random_panel(salience, recipe, generator))
        sd = float(torch.rand(1, generator=generator)) * recipe.gain_sd
        gains.append(gene_gains(len(salience), sd, generator))
    each = cells // recipe.panels
    x = thin(counts, fraction[:, None], generator)
    x = x * torch.stack(gains).repeat_interleave(each, dim=0)
    error = torch.exp(torch.randn(cells, 1, generator=generator) * recipe.scale_sd)
    mask = torch.stack(present).repeat_interleave(each, dim=0)
    normalized: Tensor = network.normalization(x, mask, error)
    return normalized


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
