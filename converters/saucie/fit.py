"""Training SAUCIE, freezing its clusters, and calibrating how typical a cell's error is."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from converters.augment import log_uniform, panel_of_size, panel_order, thin
from converters.recipe import Fitted
from converters.saucie import losses
from converters.saucie.limits import limits
from converters.saucie.network import (
    BinaryCodes,
    CountNormalization,
    IntensityNormalization,
    NearestCentroid,
    SaucieModel,
    SaucieNetwork,
    halved,
)
from converters.saucie.outputs import TOLERANCES, outputs
from converters.training_cells import TrainingCells
from converters.typicality import Typicality
from zoo.errors import UnknownSetting

if TYPE_CHECKING:
    from converters.fit_run import FitRun
    from converters.saucie.recipe import SaucieSettings

_CHUNK = 4096
_RETRANSFORMED = (0.1, 10.0)
_MOST_CLUSTERED = 50_000  # cells that k-means sees


def fit(
    cells: TrainingCells,
    settings: SaucieSettings,
    run: FitRun,
    *,
    recipe: str,
    intensities: bool,
) -> Fitted:
    """Fit a model to the parts `train` and `validation` of the cells."""
    training, validation = cells.of("train"), cells.of("validation")
    reference = _reference(training, settings, recipe)
    normalization = _normalization(training, settings, intensities)
    network = SaucieNetwork(
        cells.counts.shape[1],
        layers=settings.layers,
        embedding=settings.embedding,
        relu_codes=settings.lambda_c > 0,
    ).to(run.device)
    _train(network, normalization.to(run.device), training, validation, settings, run, reference)
    network = halved(network.cpu().eval())
    with torch.no_grad():
        model = _assembled(normalization.cpu(), network, training, validation, settings, run.seed)
        coverage, thresholds = limits(model, validation, settings, run.generator, intensities)
        facts = _facts(model, training, validation)
    return Fitted(
        module=model.eval(),
        inputs=("counts", "gene_present"),
        outputs=outputs(settings, intensities),
        tolerances=TOLERANCES,
        gene_weight=_gene_weight(model, training),
        thresholds=thresholds,
        gene_coverage=coverage,
        facts=facts,
    )


def dense(counts: sparse.csr_matrix, rows: np.ndarray | slice) -> Tensor:
    """float32 [cells, genes]: some rows."""
    return torch.from_numpy(np.asarray(counts[rows].toarray(), dtype=np.float32))


# -- training ------------------------------------------------------------------------------------


def _train(
    network: SaucieNetwork,
    normalization: CountNormalization | IntensityNormalization,
    training: TrainingCells,
    validation: TrainingCells,
    settings: SaucieSettings,
    run: FitRun,
    reference: int,
) -> None:
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, fused=True)
    keep = {"network": network, "optimizer": optimizer}
    genes = training.counts.shape[1]
    batches = None if training.batch is None else torch.from_numpy(training.batch)
    for _ in run.epochs(
        "autoencoder", settings.epochs, keep=keep, best="network", patience=settings.patience
    ):
        network.train()
        order = torch.randperm(len(training), generator=run.generator)
        told = []
        for rows in order.split(settings.batch_size):
            if len(rows) < 2:
                continue
            counts = dense(training.counts, rows.numpy()).to(run.device)
            x = normalization(counts, torch.ones(genes, device=run.device))
            present = _panel(genes, settings, run.generator).to(run.device)
            shown = counts
            if isinstance(normalization, CountNormalization):
                shown = _thinned(counts, settings, run.generator)
            z = network.encode(normalization(shown, present))
            h, reconstruction = network.decode(z)
            loss = (reconstruction - x).square().mean()
            told.append(loss.item())
            if settings.lambda_c or settings.lambda_d:
                act = losses.normalized_activations(h)
                loss = loss + settings.lambda_c * losses.information_dimension(act)
                loss = loss + settings.lambda_d * losses.intracluster_distance(act, x)
            if settings.lambda_b and batches is not None:
                codes = batches[rows].to(run.device)
                mmd = losses.maximal_mean_discrepancy(z, codes, reference)
                loss = loss + settings.lambda_b * mmd
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        run.report(float(np.mean(told)), _mean_error(network, normalization, validation, run))


@torch.no_grad()
def _mean_error(
    network: SaucieNetwork,
    normalization: CountNormalization | IntensityNormalization,
    cells: TrainingCells,
    run: FitRun,
) -> float:
    """Mean squared error of the reconstruction: what early stopping looks at."""
    network.eval()
    present = torch.ones(cells.counts.shape[1], device=run.device)
    total = 0.0
    for start in range(0, len(cells), _CHUNK):
        counts = dense(cells.counts, slice(start, start + _CHUNK)).to(run.device)
        x = normalization(counts, present)
        total += float((network.decode(network.encode(x))[1] - x).square().mean(dim=1).sum())
    return total / max(len(cells), 1)


def _panel(genes: int, settings: SaucieSettings, generator: torch.Generator) -> Tensor:
    """float32 [genes]: 1 for the genes that the network is shown, a random part of them or all."""
    draw, size = torch.rand(2, generator=generator).tolist()
    if settings.smallest_panel >= 1 or draw < settings.full_panel_share:
        return torch.ones(genes)
    left = settings.smallest_panel + (1 - settings.smallest_panel) * size
    order = panel_order(torch.zeros(genes), 0.0, generator)
    return panel_of_size(order, round(left * genes))


def _thinned(counts: Tensor, settings: SaucieSettings, generator: torch.Generator) -> Tensor:
    """Counts of the same cells in a shallower sequencing, in half of the minibatches."""
    draw = float(torch.rand((), generator=generator))
    if settings.smallest_fraction >= 1 or draw < 0.5:
        return counts
    fraction = log_uniform(settings.smallest_fraction, len(counts), generator)[:, None]
    shown = counts.cpu().clone()
    seen = shown > 0  # few entries, and zeros stay zeros
    shown[seen] = thin(shown[seen], fraction.expand_as(shown)[seen], generator)
    return shown.to(counts.device)


def _reference(cells: TrainingCells, settings: SaucieSettings, recipe: str) -> int:
    """The largest batch, which the MMD draws the others to."""
    if settings.lambda_d and not settings.lambda_c:
        detail = "lambda_d weighs distances by the codes that lambda_c makes; set both"
        raise UnknownSetting(recipe, "lambda_d", detail)
    if settings.cluster_by not in ("kmeans", "codes"):
        detail = f"it is 'kmeans' or 'codes', not {settings.cluster_by!r}"
        raise UnknownSetting(recipe, "cluster_by", detail)
    sizes = np.zeros(0) if cells.batch is None else np.bincount(cells.batch[cells.batch >= 0])
    if settings.lambda_b and (sizes > 1).sum() < 2:
        detail = "it aligns batches, and the training cells are of one: name their column (--batch)"
        raise UnknownSetting(recipe, "lambda_b", detail)
    return int(sizes.argmax()) if len(sizes) else -1


def _normalization(
    cells: TrainingCells, settings: SaucieSettings, intensities: bool
) -> CountNormalization | IntensityNormalization:
    values = dense(cells.counts, slice(None))
    genes = cells.counts.shape[1]
    if intensities:
        arcsinh = IntensityNormalization(genes, cofactor=settings.cofactor)
        arcsinh.fit(values)
        return arcsinh
    normalization = CountNormalization(genes, target=settings.target)
    normalization.fit(values, dominant_share=settings.dominant_share)
    return normalization


# -- what is frozen after it ---------------------------------------------------------------------


def _assembled(
    normalization: CountNormalization | IntensityNormalization,
    network: SaucieNetwork,
    training: TrainingCells,
    validation: TrainingCells,
    settings: SaucieSettings,
    seed: int,
) -> SaucieModel:
    """The graph with clusters of the training cells and the errors of the validation cells."""
    z, h, _ = _encoded(normalization, network, training)
    clusters: NearestCentroid | BinaryCodes
    if settings.cluster_by == "codes":
        clusters = BinaryCodes(h, smallest=settings.smallest_code)
    else:
        clusters = NearestCentroid(_centroids(z, settings.clusters, seed))
    model = SaucieModel(normalization, network, clusters)
    if isinstance(normalization, CountNormalization):
        model.retransformation = _retransformation(model, training)
    _, _, squared = _encoded(normalization, network, validation)
    model.gene_error = squared.mean(dim=0)
    model.typicality = Typicality(squared.mean(dim=1))
    return model


def _encoded(
    normalization: CountNormalization | IntensityNormalization,
    network: SaucieNetwork,
    cells: TrainingCells,
) -> tuple[Tensor, Tensor, Tensor]:
    """Embedding, activations of the clustering layer, and squared errors of each gene."""
    present = torch.ones(cells.counts.shape[1])
    parts = []
    for start in range(0, len(cells), _CHUNK):
        x = normalization(dense(cells.counts, slice(start, start + _CHUNK)), present)
        z = network.encode(x)
        h, reconstruction = network.decode(z)
        parts.append((z, h, (x - reconstruction).square()))
    z, h, squared = (torch.cat(part) for part in zip(*parts, strict=True))
    return z, h, squared


def _retransformation(model: SaucieModel, cells: TrainingCells) -> Tensor:
    """float32 [genes]: counts of the training cells over what the decoder gives back for them."""
    present = torch.ones(cells.counts.shape[1])
    given = torch.zeros_like(present)
    for start in range(0, len(cells), _CHUNK):
        given += model(dense(cells.counts, slice(start, start + _CHUNK)), present)[1].sum(dim=0)
    counts = torch.from_numpy(np.asarray(cells.counts.sum(axis=0), dtype=np.float32).ravel())
    return (counts / given.clamp(min=1e-6)).clamp(*_RETRANSFORMED)


def _centroids(z: Tensor, clusters: int, seed: int) -> Tensor:
    from sklearn.cluster import KMeans

    points = z.double().numpy()
    if len(points) > _MOST_CLUSTERED:
        rng = np.random.default_rng(seed)
        points = points[rng.choice(len(points), _MOST_CLUSTERED, replace=False)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer distinct points than clusters: tiny data
        found = KMeans(clusters, n_init=10, random_state=seed).fit(points)
    return torch.from_numpy(found.cluster_centers_).float()


def _gene_weight(model: SaucieModel, cells: TrainingCells) -> np.ndarray:
    """float32 [genes]: squared norm of a gene's first weights times its variance, as shares."""
    x = model.normalization(dense(cells.counts, slice(None)), torch.ones(cells.counts.shape[1]))
    energy = model.network.encoder[0].weight.float().square().sum(dim=0) * x.var(dim=0)
    weight: np.ndarray = (energy / energy.sum()).numpy()
    return weight


def _facts(
    model: SaucieModel, training: TrainingCells, validation: TrainingCells
) -> dict[str, float | int]:
    """How well validation cells are reconstructed, and how many codes a published run would see."""
    _, h, _ = _encoded(model.normalization, model.network, training)
    x = model.normalization(
        dense(validation.counts, slice(None)), torch.ones(validation.counts.shape[1])
    )
    bits = (h > 1e-6 * h.max()).float()
    return {
        "validation_error": round(float(model.gene_error.mean()), 5),
        "validation_error_of_the_mean": round(float(x.square().mean()), 5),
        "distinct_codes": len(torch.unique(bits, dim=0)),
        "clusters_frozen": _frozen(model),
    }


def _frozen(model: SaucieModel) -> int:
    clusters = model.clusters
    return len(clusters.centroids) if isinstance(clusters, NearestCentroid) else clusters.found
