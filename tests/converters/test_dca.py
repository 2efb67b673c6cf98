"""DCA: likelihoods against scipy, size factors by hand, and what holds of any fitted model."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy import sparse, stats  # noqa: E402

from converters.dca.likelihood import (  # noqa: E402
    nb_deviance,
    nb_log_likelihood,
    zinb_log_likelihood,
)
from converters.dca.network import SizeFactors  # noqa: E402
from converters.dca.recipe import DcaNb, DcaSettings, DcaZinb  # noqa: E402
from converters.fit_run import FitRun  # noqa: E402
from converters.onnx_export import to_onnx  # noqa: E402
from converters.parity import run_graph  # noqa: E402
from converters.training_cells import TrainingCells  # noqa: E402
from zoo.errors import UnknownSetting  # noqa: E402

GENES, TYPES = 60, 3
TINY = DcaSettings(epochs=80, genes=GENES, hidden=16, bottleneck=4, learning_rate=5e-3)


def counts_of(cells, seed):
    """Poisson counts; gene i is eight times as high in type i modulo 3."""
    generator = torch.Generator().manual_seed(seed)
    kind = torch.arange(cells) % TYPES
    rate = torch.where(torch.arange(GENES)[None, :] % TYPES == kind[:, None], 4.0, 0.5)
    return torch.poisson(rate, generator=generator)


def simulated(cells=200):
    counts = counts_of(cells, 0).numpy()
    return TrainingCells(
        path="simulated.h5ad",
        counts=sparse.csr_matrix(counts),
        symbols=np.array([f"G{i}" for i in range(GENES)]),
        gene_ids=None,
        names=np.array([f"cell{i}" for i in range(cells)]),
        part=np.where(np.arange(cells) % 5 == 4, "validation", "train"),
        total_counts=counts.sum(axis=1),
    )


@pytest.fixture(scope="module", params=[DcaNb, DcaZinb], ids=lambda recipe: recipe.name)
def fitted(request):
    torch.set_num_threads(1)
    return request.param().fit(simulated(), TINY, FitRun(0))


def ask(fitted, counts, present=None):
    present = torch.ones(GENES) if present is None else present
    with torch.no_grad():
        answers = fitted.module(counts, present)
    return dict(zip([o.name for o in fitted.outputs], answers, strict=True))


# -- likelihoods -----------------------------------------------------------------------------------


def drawn(seed=0):
    """Counts with means, dispersions and dropout probabilities, float64."""
    rng = np.random.default_rng(seed)
    mean, theta = rng.uniform(0.01, 30, (40, 5)), rng.uniform(0.05, 50, (40, 5))
    dropout = rng.uniform(0.001, 0.99, (40, 5))
    counts = rng.negative_binomial(theta, theta / (theta + mean)) * (rng.random((40, 5)) > 0.3)
    return counts.astype(float), mean, theta, dropout


def test_nb_is_that_of_scipy():
    counts, mean, theta, _ = drawn()
    found = nb_log_likelihood(*map(torch.from_numpy, (counts, mean, theta)))
    expected = stats.nbinom.logpmf(counts, theta, theta / (theta + mean))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-8, atol=1e-8)


def test_zinb_is_a_mixture_of_zeros_and_the_nb_of_scipy():
    counts, mean, theta, dropout = drawn()
    logits = np.log(dropout / (1 - dropout))
    found = zinb_log_likelihood(*map(torch.from_numpy, (counts, mean, theta, logits)))
    nb = stats.nbinom.pmf(counts, theta, theta / (theta + mean))
    expected = np.log(dropout * (counts == 0) + (1 - dropout) * nb)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-7, atol=1e-8)


def test_zinb_without_dropout_is_nb_and_extremes_stay_finite():
    counts, mean, theta, _ = map(torch.from_numpy, drawn())
    never = torch.full_like(mean, -60.0)
    nb = nb_log_likelihood(counts, mean, theta)
    torch.testing.assert_close(zinb_log_likelihood(counts, mean, theta, never), nb)
    always = zinb_log_likelihood(counts, mean, theta, torch.full_like(mean, 60.0))
    assert torch.isfinite(always).all()
    assert torch.isfinite(nb_log_likelihood(counts, torch.zeros_like(mean), theta)).all()


def test_deviance_is_twice_what_the_own_mean_gains():
    counts, mean, theta, _ = map(torch.from_numpy, drawn())
    own = nb_log_likelihood(counts, counts, theta)
    expected = 2 * (own - nb_log_likelihood(counts, mean, theta))
    torch.testing.assert_close(nb_deviance(counts, mean, theta), expected, atol=1e-6, rtol=1e-6)


# -- size factors ----------------------------------------------------------------------------------


def test_size_factors_by_hand():
    counts = torch.tensor([[1.0, 3.0], [4.0, 4.0], [8.0, 4.0]])
    size_factors = SizeFactors(2)
    size_factors.fit(counts)
    assert size_factors.median.item() == 8
    x, factor = size_factors(counts, torch.ones(2))
    assert factor.ravel().tolist() == [0.5, 1, 1.5]
    torch.testing.assert_close(x.mean(dim=0), torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(x.std(dim=0), torch.ones(2))
    logs = size_factors.logs(counts, factor)
    torch.testing.assert_close(logs[0], torch.log1p(torch.tensor([2.0, 6.0])))


def test_a_missing_gene_leaves_the_size_factor_as_it_would_be_and_enters_as_the_mean():
    counts = counts_of(300, 1)
    size_factors = SizeFactors(GENES)
    size_factors.fit(counts)
    present = torch.ones(GENES)
    present[:6] = 0
    x, factor = size_factors(counts, present)
    whole = size_factors.factor(counts, torch.ones(GENES))
    assert (factor / whole).mean().item() == pytest.approx(1, abs=0.02)
    assert (x[:, :6] == 0).all()


# -- fitted models ---------------------------------------------------------------------------------


def test_outputs_are_the_parameters_of_the_likelihood(fitted):
    answers = ask(fitted, counts_of(30, 2))
    assert (answers["mean"] > 0).all()
    assert (answers["dispersion"] > 0).all()
    if "dropout_prob" not in answers:
        torch.testing.assert_close(answers["imputed"], answers["mean"])
    else:
        expected = (1 - answers["dropout_prob"]) * answers["mean"]
        torch.testing.assert_close(answers["imputed"], expected)
        assert ((answers["dropout_prob"] >= 0) & (answers["dropout_prob"] <= 1)).all()
    assert answers["embedding"].shape == (30, TINY.bottleneck)


def test_imputed_counts_follow_the_depth_of_the_cell(fitted):
    counts = counts_of(10, 3)
    once = ask(fitted, counts)
    for scale in (0.3, 7.0):
        scaled = ask(fitted, scale * counts)
        for name in ("imputed", "mean"):
            torch.testing.assert_close(scaled[name], scale * once[name], atol=1e-4, rtol=1e-3)
        for name in ("dispersion", "embedding"):
            torch.testing.assert_close(scaled[name], once[name], atol=1e-4, rtol=1e-3)


def test_expected_counts_sum_to_about_what_the_cell_holds(fitted):
    counts = counts_of(90, 4)
    share = ask(fitted, counts)["imputed"].sum(dim=1) / counts.sum(dim=1)
    assert share.mean().item() == pytest.approx(1, abs=0.15)


def test_imputation_knows_what_the_cell_is(fitted):
    counts = counts_of(90, 5)
    imputed = ask(fitted, counts)["imputed"]
    marker = torch.arange(GENES)[None, :] % TYPES == (torch.arange(90) % TYPES)[:, None]
    assert imputed[marker].mean() > 2 * imputed[~marker].mean()


def test_an_empty_cell_and_a_file_without_genes_give_finite_answers(fitted):
    for counts, present in (
        (torch.zeros(2, GENES), torch.ones(GENES)),
        (counts_of(2, 6), torch.zeros(GENES)),
    ):
        for values in ask(fitted, counts, present).values():
            assert torch.isfinite(values.float()).all()


def test_counts_of_an_absent_gene_are_ignored(fitted):
    counts, present = counts_of(10, 7), torch.ones(GENES)
    present[::4] = 0
    plain, garbled = ask(fitted, counts, present), ask(fitted, counts + 99 * (1 - present), present)
    for name, values in plain.items():
        torch.testing.assert_close(garbled[name], values)


def test_answers_do_not_depend_on_batch_mates(fitted):
    counts = counts_of(30, 8)
    together, alone = ask(fitted, counts), ask(fitted, counts[7:8])
    for name, values in together.items():
        torch.testing.assert_close(alone[name], values[7:8], atol=1e-5, rtol=1e-4)


def test_unlike_cells_have_unexpected_counts(fitted):
    others = torch.zeros(40, GENES)
    others[:, :2] = torch.poisson(torch.full((40, 2), 60.0), torch.Generator().manual_seed(0))
    assert (ask(fitted, counts_of(60, 9))["ood_p"] < 0.05).float().mean() < 0.3
    assert (ask(fitted, others)["ood_p"] < 0.05).all()


def test_what_is_given_fits_the_contract(fitted):
    assert fitted.inputs == ("counts", "gene_present")
    assert {o.name for o in fitted.outputs} == set(fitted.tolerances)
    assert fitted.gene_weight.sum() == pytest.approx(1, abs=1e-4)


def test_a_dispersion_of_each_gene_is_the_same_in_all_cells():
    settings = TINY.changed(dispersion="gene", epochs=3)
    answers = ask(DcaNb().fit(simulated(), settings, FitRun(0)), counts_of(5, 10))
    assert (answers["dispersion"] == answers["dispersion"][:1]).all()


def test_an_unknown_dispersion_is_refused():
    with pytest.raises(UnknownSetting, match="'shared' is none of conditional, gene"):
        DcaNb().fit(simulated(), TINY.changed(dispersion="shared"), FitRun(0))


def test_a_resumed_fit_gives_the_same_model(tmp_path):
    cells, settings = simulated(60), TINY.changed(epochs=3)
    once = DcaZinb().fit(cells, settings, FitRun(1, folder=tmp_path, fingerprint="a"))
    again = FitRun(1, folder=tmp_path, fingerprint="a")
    twice = DcaZinb().fit(cells, settings, again)
    assert again.resumed
    counts = counts_of(5, 11)
    for name, values in ask(once, counts).items():
        torch.testing.assert_close(ask(twice, counts)[name], values)


def test_neighbouring_settings_change_one_thing():
    settings = DcaSettings()
    for name, neighbour in DcaNb().neighbours(settings).items():
        own = settings.as_json()
        changed = [key for key, value in neighbour.as_json().items() if value != own[key]]
        assert changed == [name.split("=")[0]]


@pytest.mark.slow
def test_the_graph_that_is_exported_answers_the_same(fitted):
    counts = counts_of(25, 12)
    graph = to_onnx(
        fitted.module,
        {"counts": counts, "gene_present": torch.ones(GENES)},
        [o.name for o in fitted.outputs],
        name="dca-test",
        version="1.0.0",
        genes_table=b"",
    )
    for rows in (counts, counts[:1], torch.zeros(1, GENES)):
        found = run_graph(
            graph, {"counts": rows.numpy(), "gene_present": np.ones(GENES, dtype=np.float32)}
        )
        for name, values in ask(fitted, rows).items():
            atol, rtol = fitted.tolerances[name]
            np.testing.assert_allclose(found[name], values.numpy(), atol=atol, rtol=rtol)
