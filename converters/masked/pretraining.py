"""Pretraining: some genes of a batch are hidden, and guessed from the others. No label is read."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from converters.augment import log_uniform, panel_of_size, panel_order, thin
from converters.celltype.chemistry import gene_salience
from converters.fit_run import FitRun
from converters.masked.network import MaskedEncoder
from converters.masked.recipe import MaskedSettings

_UNTHINNED = 0.5


def pretrain(counts: Tensor, settings: MaskedSettings, run: FitRun) -> MaskedEncoder:
    """An encoder that learned from counts [cells, genes] alone; on the CPU, in evaluation mode."""
    encoder = MaskedEncoder(counts.shape[1], settings)
    encoder.normalization.fit(
        counts, dominant_share=settings.dominant_share, sd_floor=settings.sd_floor
    )
    if not settings.pretrained:
        return encoder.eval()
    decoder = nn.Linear(settings.embedding, counts.shape[1])
    salience = gene_salience(counts)
    encoder.to(run.device)
    decoder.to(run.device)
    steps = max(1, len(counts) // settings.batch)
    optimizer = torch.optim.AdamW(
        [*encoder.parameters(), *decoder.parameters()],
        settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, steps * settings.epochs
    )
    keep = {"encoder": encoder, "decoder": decoder, "optimizer": optimizer, "schedule": schedule}
    for _ in run.epochs("pretraining", settings.epochs, keep=keep):
        encoder.train()
        losses = []
        order = torch.randperm(len(counts), generator=run.generator)
        for rows in order.split(settings.batch)[:steps]:
            shown = random_mask(salience, settings, run.generator).to(run.device)
            whole = counts[rows]
            seen = thinned(whole, settings, run.generator).to(run.device)
            loss = masked_loss(encoder, decoder, seen, whole.to(run.device), shown)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            losses.append(loss.detach())
        run.report(float(torch.stack(losses).mean()))
    return encoder.eval().cpu()


def masked_loss(
    encoder: MaskedEncoder, decoder: nn.Module, seen: Tensor, whole: Tensor, shown: Tensor
) -> Tensor:
    """Mean squared error over hidden genes, in log units: genes that vary more count for more.

    Parameters
    ----------
    seen, whole
        float32 [cells, genes]: counts that the encoder gets, perhaps thinned, and those that are to
        be guessed.
    shown
        float32 [genes]: 1 for genes that the encoder sees.

    """
    target = encoder.normalization(whole, torch.ones_like(shown))
    guess = decoder(functional.gelu(encoder(seen, shown)))
    weight = (1 - shown) * encoder.normalization.sd**2
    error: Tensor = ((guess - target) ** 2 * weight).sum() / (weight.sum() * len(whole))
    return error


def thinned(counts: Tensor, settings: MaskedSettings, generator: torch.Generator) -> Tensor:
    """Counts [cells, genes] of which half of the cells are sequenced less deeply."""
    fraction = log_uniform(settings.smallest_fraction, len(counts), generator)
    fraction[torch.rand(len(counts), generator=generator) < _UNTHINNED] = 1
    return thin(counts, fraction[:, None], generator)


def random_mask(salience: Tensor, settings: MaskedSettings, generator: torch.Generator) -> Tensor:
    """float32 [genes]: 1 for the genes of a batch that are shown.

    Half of the lists favour variable genes, as published gene lists do.
    """
    low, high = settings.smallest_mask, settings.largest_mask
    hidden = low + (high - low) * float(torch.rand(1, generator=generator))
    tilt = settings.panel_tilt * float(torch.rand(1, generator=generator) < 0.5)
    order = panel_order(salience, tilt, generator)
    return panel_of_size(order, round((1 - hidden) * len(salience)))
