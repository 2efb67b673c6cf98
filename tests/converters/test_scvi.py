"""The recipes `scvi` and `scanvi`: likelihoods by their formulas, a batch-free graph, learning."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
stats = pytest.importorskip("scipy.stats")

from labelled_cells import labelled_cells  # noqa: E402

from converters.fit_run import FitRun  # noqa: E402
from converters.scvi.fitting import ScviModel  # noqa: E402
from converters.scvi.likelihood import log_nb, log_zinb  # noqa: E402
from converters.scvi.limits import kept_variance  # noqa: E402
from converters.scvi.losses import divergence_from_prior, latent_loss  # noqa: E402
from converters.scvi.network import ScanviNetwork, ScviNetwork  # noqa: E402
from converters.scvi.recipe import Scanvi, ScanviSettings, Scvi, ScviSettings  # noqa: E402
from zoo.errors import UnknownSetting  # noqa: E402

SMALL = {"genes": 60, "hidden": 16, "latent": 4, "epochs": 30, "kl_warmup": 10, "batch_size": 32}
SMALL |= {"dominant_share": 0.2, "smallest_fraction": 0.5, "dropout": 0.0, "learning_rate": 5e-3}


def with_donors(cells):
    """The same cells of two donors; the second one has a third of the genes twice as high."""
    donor = np.arange(len(cells)) // 3 % 2
    counts = cells.counts.toarray()
    counts[np.ix_(donor == 1, np.arange(40, 60))] *= 2
    return replace(
        cells, counts=type(cells.counts)(counts), batches=("one", "two"), batch=donor.astype(int)
    )


def fitted(recipe, settings, cells):
    torch.set_num_threads(1)
    seen = cells.with_genes(recipe.genes(cells.of("train"), settings))
    return seen, recipe.fit(seen, settings, FitRun(0))


@pytest.fixture(scope="module")
def scvi():
    return fitted(Scvi(), ScviSettings(**SMALL), with_donors(labelled_cells()))


@pytest.fixture(scope="module")
def scanvi():
    settings = ScanviSettings(
        **SMALL, classifier_epochs=15, calibration_repeats=1, table_size=64, shrinkage=0.2
    )
    return fitted(Scanvi(), settings, with_donors(labelled_cells()))


def answers(found, counts, present=None):
    present = torch.ones(counts.shape[1]) if present is None else present
    with torch.no_grad():
        values = found.module(torch.as_tensor(counts), present)
    names = [output.name for output in found.outputs]
    return {name: value.numpy() for name, value in zip(names, values, strict=True)}


# -- likelihood and losses -----------------------------------------------------------------------

COUNTS = torch.tensor([[0.0, 1, 2, 17, 0, 300]])
MEANS = torch.tensor([[0.3, 0.7, 5, 12, 40, 250]])
THETA = torch.tensor([0.5, 2, 10, 1, 3, 0.1])
DROPOUT = torch.tensor([[-2.0, 0, 1, 3, -5, 0.5]])


def nb_by_scipy():
    return stats.nbinom.logpmf(COUNTS.numpy(), THETA.numpy(), (THETA / (THETA + MEANS)).numpy())


def test_negative_binomial_is_scipys():
    np.testing.assert_allclose(log_nb(COUNTS, MEANS, THETA).numpy(), nb_by_scipy(), rtol=1e-4)


def test_zero_inflated_negative_binomial_is_its_formula():
    lost = 1 / (1 + np.exp(-DROPOUT.numpy().astype(float)))
    expected = np.log(lost * (COUNTS.numpy() == 0) + (1 - lost) * np.exp(nb_by_scipy()))
    found = log_zinb(COUNTS, MEANS, THETA, DROPOUT).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_zero_inflated_probabilities_sum_to_one():
    counts = torch.arange(4000.0)[None, :]
    one = torch.ones(1, 4000)
    total = log_zinb(counts, 20 * one, 1.5 * one[0], 0.3 * one).exp().sum()
    assert float(total) == pytest.approx(1, abs=1e-4)


def test_likelihoods_stay_finite_where_a_mean_is_zero():
    counts, mean = torch.tensor([[0.0, 3.0]]), torch.zeros(1, 2, requires_grad=True)
    loss = log_zinb(counts, mean, torch.ones(2), torch.zeros(1, 2)).sum()
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(mean.grad).all()


def test_divergence_is_the_one_of_torchs_distributions():
    mean, variance = torch.randn(5, 3), torch.rand(5, 3) + 0.1
    one = torch.distributions.Normal(mean, variance.sqrt())
    prior = torch.distributions.Normal(torch.zeros(5, 3), torch.ones(5, 3))
    expected = torch.distributions.kl_divergence(one, prior).sum(dim=1)
    torch.testing.assert_close(divergence_from_prior(mean, variance), expected)


def test_latent_loss_weighs_each_class_by_its_probability():
    torch.manual_seed(0)
    scvi = ScviNetwork(6, batches=0, hidden=8, latent=2, dropout=0.0)
    network = ScanviNetwork(scvi, classes=3, hidden=8, latent=2, dropout=0.0).eval()
    for part in (network.encoder_z2, network.decoder_z):  # nothing to draw: variance as small as is
        torch.nn.init.zeros_(part.log_variance.weight)
        torch.nn.init.constant_(part.log_variance.bias, -30.0)
    z, variance = torch.randn(4, 2), torch.full((4, 2), 0.5)
    torch.nn.init.zeros_(network.classifier[1].weight)
    network.classifier[1].bias.data = torch.tensor([50.0, 0.0, 0.0])
    found = latent_loss(network, z, z, variance)
    y = torch.tensor([1.0, 0, 0]).expand(4, 3)
    mean2, variance2 = network.encoder_z2(torch.cat([z, y], dim=1))
    expected = divergence_from_prior(mean2, variance2) + np.log(3)
    torch.testing.assert_close(found[:, 1], expected, rtol=1e-3, atol=1e-3)


# -- the graph -----------------------------------------------------------------------------------


def test_embedding_holds_types_and_not_donors(scvi):
    seen, found = scvi
    z = answers(found, seen.dense())["embedding"]
    assert z.shape == (len(seen), 4)

    def explained(codes):
        means = np.stack([z[codes == code].mean(axis=0) for code in np.unique(codes)])
        return ((means[codes] - z.mean(axis=0)) ** 2).sum() / ((z - z.mean(axis=0)) ** 2).sum()

    assert explained(seen.label) > 0.7
    assert explained(seen.batch) < 0.05


def test_graph_is_the_mean_of_the_encoder_without_batch_and_decoder():
    network = ScviNetwork(20, batches=3, hidden=8, latent=2, dropout=0.5)
    counts, present = torch.poisson(torch.full((7, 20), 2.0)), torch.ones(20)
    network.normalization.fit(counts, dominant_share=1.0)
    model = ScviModel(network).eval()
    assert not any("decoder" in name or "variance" in name for name, _ in model.named_parameters())
    (z,) = model(counts, present)
    torch.testing.assert_close(z, network.encoder(network.normalization(counts, present))[0])
    torch.testing.assert_close(z, model(counts, present)[0])  # nothing is drawn


def test_a_cell_of_the_usual_depth_enters_as_scvi_has_it():
    network = ScviNetwork(20, batches=0, hidden=8, latent=2, dropout=0.0)
    counts = torch.poisson(torch.full((51, 20), 2.0))
    network.normalization.fit(counts, dominant_share=1.0)
    usual = counts.sum(dim=1) == network.normalization.depth
    assert usual.any()
    values = network.normalization(counts, torch.ones(20))
    torch.testing.assert_close(values[usual], torch.log1p(counts[usual]))


def test_absent_genes_enter_as_the_training_mean(scvi):
    seen, found = scvi
    normalization = found.module.normalization
    counts = torch.from_numpy(seen.dense())
    present = torch.ones(counts.shape[1])
    present[::2] = 0
    values = normalization(counts, present)
    torch.testing.assert_close(values[:, ::2], normalization.mean[::2].expand(len(seen), -1))
    garbled = answers(found, counts + 50 * (1 - present), present)
    np.testing.assert_array_equal(
        answers(found, counts, present)["embedding"], garbled["embedding"]
    )


@pytest.mark.parametrize("factor", [0.3, 7.0])
def test_scale_of_a_cell_does_not_matter(scanvi, factor):
    seen, found = scanvi
    said = answers(found, seen.dense())
    scaled = answers(found, seen.dense() * np.float32(factor))
    np.testing.assert_array_equal(scaled["label"], said["label"])
    np.testing.assert_allclose(scaled["prob"], said["prob"], atol=1e-5)
    np.testing.assert_allclose(scaled["embedding"], said["embedding"], atol=1e-4)


def test_scanvi_learns_labels_with_confidence(scanvi):
    seen, found = scanvi
    fresh = with_donors(labelled_cells(seed=3))
    fresh = fresh.with_genes(np.flatnonzero(np.isin(fresh.symbols, seen.symbols)))
    said = answers(found, fresh.dense())
    assert (said["label"] == fresh.label).mean() > 0.9
    assert said["in_set"][np.arange(len(fresh)), fresh.label].mean() > 0.8
    assert found.calibration is not None
    assert [output.name for output in found.outputs][-1] == "embedding"


@pytest.mark.parametrize("model", ["scvi", "scanvi"])
def test_empty_cells_give_finite_numbers(model, request):
    seen, found = request.getfixturevalue(model)
    genes = seen.counts.shape[1]
    for present in (torch.zeros(genes), torch.ones(genes)):
        said = answers(found, np.zeros((1, genes), dtype=np.float32), present)
        assert all(np.isfinite(values.astype(float)).all() for values in said.values())


def test_limits_ask_for_variance_that_is_kept(scvi):
    z = torch.randn(50, 3)
    assert kept_variance(z, z) == pytest.approx(1)
    assert kept_variance(z, z.mean(dim=0).expand(50, 3)) == pytest.approx(0, abs=1e-5)
    _, found = scvi
    assert 0 < found.gene_coverage < 1
    assert found.gene_weight.sum() == pytest.approx(1, abs=1e-5)


def test_cells_without_labels_and_without_donors_take_part():
    cells = labelled_cells(cells=90)
    cells = replace(cells, label=np.where(np.arange(90) % 9 < 3, -1, cells.label))
    settings = ScanviSettings(
        **(SMALL | {"epochs": 1}), classifier_epochs=1, calibration_repeats=1, table_size=64
    )
    _, found = fitted(Scanvi(), settings, cells)
    assert found.labels == cells.labels


def test_a_fit_that_was_stopped_goes_on_as_it_would_have(tmp_path):
    cells = with_donors(labelled_cells(cells=90))
    settings = ScviSettings(**(SMALL | {"epochs": 2}))
    recipe = Scvi()
    _, whole = fitted(recipe, settings, cells)
    seen = cells.with_genes(recipe.genes(cells.of("train"), settings))
    recipe.fit(seen, settings.changed(epochs=1), FitRun(0, folder=tmp_path))
    run = FitRun(0, folder=tmp_path)
    again = recipe.fit(seen, settings, run)
    assert run.resumed
    for name, value in again.module.state_dict().items():
        assert torch.equal(value, whole.module.state_dict()[name]), name


def test_a_likelihood_that_is_none_is_refused():
    with pytest.raises(UnknownSetting, match="'zinb' or 'nb', not 'poisson'"):
        fitted(Scvi(), ScviSettings(**SMALL, likelihood="poisson"), labelled_cells(cells=30))


def test_neighbours_change_one_setting_each():
    found = Scvi().neighbours(ScviSettings())
    assert set(found) == {"likelihood=nb", "latent=30", "full_panel_share=1"}
    near = Scanvi().neighbours(ScanviSettings()).values()
    assert all(isinstance(settings, ScanviSettings) for settings in near)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["scvi", "scanvi"])
def test_onnx_gives_what_torch_gives(model, request):
    from converters.onnx_export import to_onnx
    from converters.parity import measured_tolerances, run_graph

    seen, found = request.getfixturevalue(model)
    counts, present = seen.dense(), np.ones(seen.counts.shape[1], dtype=np.float32)
    names = [output.name for output in found.outputs]
    shown = {"counts": torch.from_numpy(counts[:8]), "gene_present": torch.from_numpy(present)}
    graph = to_onnx(
        found.module, shown, names, name="simulated", version="1.0.0", genes_table=b"genes"
    )
    ran = run_graph(graph, {"counts": counts, "gene_present": present})
    measured_tolerances(ran, answers(found, counts), dict(found.tolerances))
