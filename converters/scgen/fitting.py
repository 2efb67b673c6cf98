"""Training of the variational autoencoder, and δ from its latent vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from converters.fit_run import FitRun
from converters.scgen.network import ResponseModel, Vae
from converters.scgnn.network import LogNormalization
from converters.training_cells import Flags, TrainingCells
from converters.typicality import Typicality
from zoo.errors import NoResponse

if TYPE_CHECKING:
    from converters.scgen.recipe import ScgenSettings

FEWEST_CELLS = 5
"""Of each condition of a label in a batch, for a difference of latent means."""

Pairs = list[tuple[Flags, Flags]]
"""bool [cells] twice: control and stimulated cells."""


def fit_response(cells: TrainingCells, settings: ScgenSettings, run: FitRun) -> ResponseModel:
    """Fit to the cells of the parts `train` and `validation`.

    Validation cells stop the training; the control cells among them calibrate p-values. δ is of
    both parts: no weight is learned from it.

    Raises
    ------
    NoResponse
        If no label has enough cells of both conditions.

    """
    pairs = responding(cells)
    training, validation = (
        torch.from_numpy(cells.of(part).dense()) for part in ("train", "validation")
    )
    normalization = LogNormalization(training.shape[1])
    normalization.fit(training)
    everything = torch.ones(training.shape[1])
    network = Vae(training.shape[1], settings.hidden, settings.latent, settings.dropout)
    with torch.no_grad():
        network.output.bias.copy_(normalization.mean)
    x, held_out = (normalization(counts, everything) for counts in (training, validation))
    _train(network, x, held_out, settings, run)
    network.eval()  # after a resumed training no epoch has done so
    with torch.no_grad():
        z = network.encode(normalization(torch.from_numpy(cells.dense()), everything))
    delta = latent_difference(z, pairs)
    model = ResponseModel(normalization, network, delta, residual=settings.residual).eval()
    control = _controls(cells)
    with torch.no_grad():
        model.typicality = Typicality(model(control, everything)[2])
    return model.eval()


def _train(network: Vae, x: Tensor, held_out: Tensor, settings: ScgenSettings, run: FitRun) -> None:
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, fused=True)
    keep = {"network": network, "optimizer": optimizer}
    for _ in run.epochs(
        "autoencoder", settings.epochs, keep=keep, best="network", patience=settings.patience
    ):
        network.train()
        found = []
        for rows in torch.randperm(len(x), generator=run.generator).split(settings.batch):
            if len(rows) < 2:  # one cell has no variance to normalize by
                continue
            loss = network.loss(x[rows], settings.kl_weight, run.generator)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        network.eval()
        with torch.no_grad():
            of_held_out = network.loss(held_out, settings.kl_weight, None).item()
        run.report(sum(found) / len(found), of_held_out)


def latent_difference(z: Tensor, pairs: Pairs) -> Tensor:
    """δ [latent]: the difference of each pair of cells z [cells, latent], then their mean.

    The published code takes the mean over all stimulated and over all control cells, balanced by
    cell type; a type that has control cells alone would then be taken for a part of the response.
    """
    differences = [
        z[torch.from_numpy(stimulated)].mean(dim=0) - z[torch.from_numpy(control)].mean(dim=0)
        for control, stimulated in pairs
    ]
    return torch.stack(differences).mean(dim=0)


def responding(cells: TrainingCells) -> Pairs:
    """Control and stimulated cells of each label in each batch that has enough of both.

    Raises
    ------
    NoResponse
        If there is no such label.

    """
    assert cells.stimulated is not None, "the recipe needs a perturbation"
    label = np.zeros(len(cells), np.int64) if cells.label is None else cells.label
    batch = np.zeros(len(cells), np.int64) if cells.batch is None else cells.batch
    pairs = []
    for of_label, of_batch in np.unique(np.stack([label, batch]), axis=1).T:
        here = (label == of_label) & (batch == of_batch)
        control, stimulated = (here & (cells.stimulated == code) for code in (0, 1))
        if min(control.sum(), stimulated.sum()) >= FEWEST_CELLS:
            pairs.append((control, stimulated))
    if not pairs:
        raise NoResponse(cells.path, FEWEST_CELLS)
    return pairs


def _controls(cells: TrainingCells) -> Tensor:
    """Counts of the control cells of the validation part; of all control cells where none is."""
    assert cells.stimulated is not None, "the recipe needs a perturbation"
    control = cells.where(cells.stimulated == 0)
    held_out = control.of("validation")
    return torch.from_numpy((held_out if len(held_out) else control).dense())
