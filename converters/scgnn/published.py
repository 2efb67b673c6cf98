"""Training of the published form, stage by stage, and its freezing into a graph for new cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from converters.fit_run import FitRun
from converters.scgnn.cell_graph import normalized, pruned_graph
from converters.scgnn.clusters import agreement, cell_types
from converters.scgnn.network import FeatureAutoencoder, LogNormalization
from converters.scgnn.published_network import Centres, PublishedModel
from converters.scgnn.reference import FrozenReference
from converters.scgnn.rounds import Rounds, embed, imputation_weight, step
from converters.typicality import Typicality
from zoo.errors import UnknownSetting

if TYPE_CHECKING:
    from converters.scgnn.recipe import PublishedSettings


def fit_published(
    training: Tensor, validation: Tensor, settings: PublishedSettings, run: FitRun
) -> tuple[PublishedModel, dict[str, Any]]:
    """Fit to counts [cells, genes]; validation cells calibrate p-values and do nothing else.

    Returns
    -------
    tuple
        The model, and what the rounds found: `rounds`, `converged`, `clusters`, and
        `cluster_agreement` of the frozen clusters with those of the last round.

    """
    normalization = LogNormalization(training.shape[1])
    normalization.fit(training)
    everything = torch.ones(training.shape[1])
    x = normalization(training, everything)
    start = FeatureAutoencoder(training.shape[1], settings.hidden, settings.embedding)
    first = {name: value.clone() for name, value in start.state_dict().items()}
    _train("features", start, x, None, settings.epochs, settings, run)
    with torch.no_grad():
        reconstructed, z = start(x)
    _ensure_alive(z, settings)
    rounds = Rounds(start, reconstructed, settings, run)
    for _ in run.epochs("rounds", settings.rounds, keep={"rounds": rounds}):
        if not rounds.converged:
            run.report(rounds.go())
    with torch.no_grad():
        z = rounds.network.encode(rounds.x)
    _ensure_alive(z, settings)
    cells = pruned_graph(z, settings.neighbours)
    weight = imputation_weight(cells, rounds.labels, settings)
    imputer = FeatureAutoencoder(training.shape[1], settings.hidden, settings.embedding)
    imputer.load_state_dict(first)
    _train("imputation", imputer, x, weight, settings.round_epochs, settings, run)
    model, labels = _frozen(training, normalization, imputer, rounds.network, settings, run)
    with torch.no_grad():
        distance = model.reference.join(model.encode(validation, everything)[1]).distance
    model.typicality = Typicality(distance.mean(dim=1))
    facts = {
        "rounds": rounds.done,
        "converged": rounds.converged,
        "clusters": len(model.centres.places),
        "cluster_agreement": round(agreement(rounds.labels, labels), 4),
    }
    return model.eval(), facts


def _frozen(
    training: Tensor,
    normalization: LogNormalization,
    imputer: FeatureAutoencoder,
    encoder: FeatureAutoencoder,
    settings: PublishedSettings,
    run: FitRun,
) -> tuple[PublishedModel, Any]:
    """Graph, embedding and cell types once more, on what a new cell will be compared with."""
    with torch.no_grad():
        z = encoder.encode(normalization(training, torch.ones(training.shape[1])))
    _ensure_alive(z, settings)
    cells = pruned_graph(z, settings.neighbours)
    threshold = z.mean(dim=0)
    reference = FrozenReference(
        len(z), z.shape[1], z.shape[1], settings.graph_hidden, k=settings.neighbours
    )
    reference.set_graph(z, (z > threshold).float(), cells)
    values, graph = z, None
    if settings.graph_embedding_used:
        values, graph = embed(z, cells, settings, run)
        with torch.no_grad():
            reference.hidden = graph.hide(torch.sparse.mm(normalized(cells), reference.features))
    types = cell_types(values, cells, run.seed)
    model = PublishedModel(
        normalization,
        imputer,
        encoder,
        threshold=threshold,
        graph=graph,
        reference=reference,
        centres=Centres(torch.from_numpy(types.centres).float()),
        typicality=Typicality(),
    )
    return model, types.labels


def _train(
    stage: str,
    network: FeatureAutoencoder,
    x: Tensor,
    weight: Tensor | None,
    epochs: int,
    settings: PublishedSettings,
    run: FitRun,
) -> None:
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    for _ in run.epochs(stage, epochs, keep={"network": network, "optimizer": optimizer}):
        run.report(step(network, optimizer, x, weight, settings) / x.numel())


def _ensure_alive(z: Tensor, settings: PublishedSettings) -> None:
    """Refuse an autoencoder that gives every cell the same embedding.

    Raises
    ------
    UnknownSetting
        The published weight of the parameters' absolute values is held against a sum over cells
        and genes: with few of them it wins, and everything becomes 0.

    """
    if (z.std(dim=0) > 1e-6).sum() < 2:
        raise UnknownSetting(
            "scgnn",
            "l1",
            f"with the weight {settings.l1:g} every cell got the same embedding: the sum of the "
            "absolute weights outweighs the error of so few cells and genes; take a smaller one",
        )
