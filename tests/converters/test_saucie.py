"""SAUCIE on small simulated cells: shapes, invariances, clusters, refusals of settings, export."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from scipy import sparse  # noqa: E402

from converters.fit_run import FitRun  # noqa: E402
from converters.saucie.genes import dispersed_genes  # noqa: E402
from converters.saucie.network import BinaryCodes  # noqa: E402
from converters.saucie.recipe import Saucie, SaucieCytof  # noqa: E402
from converters.training_cells import TrainingCells  # noqa: E402
from zoo.errors import UnknownSetting  # noqa: E402

GENES, TYPES = 40, 3
SMALL = {"layers": (24, 12), "embedding": 2, "epochs": 60, "clusters": TYPES, "batch_size": 16}
SHAPES = {
    "embedding": (2,), "imputed": (GENES,), "cluster": (), "cluster_distance": (),
    "recon_error": (), "ood_z": (), "ood_p": (),
}  # fmt: skip


def simulated(count=360, seed=0, *, genes=GENES, batches=()):
    """Poisson counts; gene i is high in type i modulo 3. Half of the cells train."""
    rng = np.random.default_rng(seed)
    label = np.arange(count) % TYPES
    rate = np.where(np.arange(genes) % TYPES == label[:, None], 12.0, 2.0)
    counts = rng.poisson(rate * rng.uniform(0.6, 1.4, (count, 1))).astype(np.float32)
    return TrainingCells(
        path="simulated",
        counts=sparse.csr_matrix(counts),
        symbols=np.array([f"G{i}" for i in range(genes)]),
        gene_ids=None,
        names=np.array([f"c{i}" for i in range(count)]),
        part=np.where(np.arange(count) % 4 < 2, "train", "validation"),
        total_counts=counts.sum(axis=1),
        labels=tuple("abc"),
        label=label,
        batches=tuple(batches),
        batch=rng.integers(0, len(batches), count) if batches else None,
    )


def fitted(recipe, cells, **settings):
    torch.set_num_threads(1)
    chosen = recipe.settings.of(recipe.name, {**SMALL, **settings})
    return recipe.fit(cells.with_genes(recipe.genes(cells, chosen)), chosen, FitRun(0))


@pytest.fixture(scope="module")
def model():
    return fitted(Saucie(), simulated(), genes=GENES, dominant_share=1.0)


def ask(model, counts, present=None):
    present = torch.ones(counts.shape[1]) if present is None else present
    names = [output.name for output in model.outputs]
    with torch.no_grad():
        values = model.module(torch.as_tensor(np.asarray(counts)), present)
    return dict(zip(names, values, strict=True))


@pytest.mark.parametrize("cells", [1, 5])
def test_shapes_for_one_cell_and_more(model, cells):
    answers = ask(model, simulated().dense()[:cells])
    assert {name: tuple(value.shape[1:]) for name, value in answers.items()} == SHAPES
    assert all(len(value) == cells for value in answers.values())
    assert answers["cluster"].dtype == torch.int64
    assert set(model.tolerances) == set(SHAPES)


def test_clusters_are_the_types(model):
    cells = simulated(seed=1)
    clusters = ask(model, cells.dense())["cluster"].numpy()
    for label in range(TYPES):
        assert np.bincount(clusters[cells.label == label]).max() > 0.95 * (len(cells) / TYPES)


def test_a_cell_does_not_depend_on_its_batch(model):
    counts = simulated(seed=2).dense()
    together, alone = ask(model, counts), ask(model, counts[7:8])
    for name, value in alone.items():
        torch.testing.assert_close(value[0], together[name][7], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("factor", [0.3, 7.0])
def test_scale_of_a_cell_does_not_matter(model, factor):
    counts = simulated(seed=3).dense()[:60]
    plain, scaled = ask(model, counts), ask(model, counts * np.float32(factor))
    for name, value in plain.items():
        # Imputed counts are at the cell's own depth.
        value = value * factor if name == "imputed" else value
        torch.testing.assert_close(value, scaled[name], atol=1e-3, rtol=1e-3)


def test_counts_of_an_absent_gene_are_ignored_and_it_enters_as_the_mean(model):
    counts = simulated(seed=4).dense()[:30]
    present = torch.ones(GENES)
    present[::4] = 0
    answers = ask(model, counts, present)
    garbled = ask(model, counts + 99 * (1 - present.numpy()), present)
    for name, value in answers.items():
        torch.testing.assert_close(value, garbled[name])
    x = model.module.normalization(torch.as_tensor(counts), present)
    assert (x[:, ::4] == 0).all()


def test_most_cells_keep_their_cluster_with_half_the_genes(model):
    counts = simulated(seed=5).dense()
    present = (torch.arange(GENES) < GENES // 2).float()
    whole, part = ask(model, counts), ask(model, counts, present)
    assert (whole["cluster"] == part["cluster"]).float().mean() > 0.8
    # Its scale is that of all genes, so that errors can be held against the same table.
    ratio = part["recon_error"].median() / whole["recon_error"].median()
    assert 0.6 < float(ratio) < 1.7


@pytest.mark.parametrize("present", [0.0, 1.0])
def test_cells_without_counts_give_finite_numbers(model, present):
    answers = ask(model, torch.zeros(1, GENES), torch.full((GENES,), present))
    assert all(torch.isfinite(value.float()).all() for value in answers.values())


def test_p_values_are_calibrated_and_find_cells_that_do_not_belong(model):
    answers = ask(model, simulated(seed=6).dense())
    assert answers["ood_p"].min() > 0
    assert answers["ood_p"].max() <= 1
    assert (answers["ood_p"] < 0.05).float().mean() < 0.12
    strange = torch.zeros(20, GENES)
    strange[:, :4] = 100
    assert (ask(model, strange)["ood_p"] < 0.05).all()


def test_reconstruction_beats_the_mean_and_weights_are_shares(model):
    assert model.facts["validation_error"] < 0.8 * model.facts["validation_error_of_the_mean"]
    assert model.gene_weight.sum() == pytest.approx(1, abs=1e-5)
    assert model.gene_weight.min() >= 0


def test_imputed_counts_are_at_the_cells_own_depth_and_fill_what_was_hidden(model):
    counts = simulated(seed=9).dense()
    imputed = ask(model, counts)["imputed"].numpy()
    assert imputed.min() >= 0
    ratio = imputed.sum(axis=1) / counts.sum(axis=1)
    assert abs(ratio.mean() - 1) < 0.1
    hidden = counts.copy()
    hidden[:, 0] = 0  # high in type 0
    guess = ask(model, hidden)["imputed"].numpy()[:, 0]
    cells = simulated(seed=9).label
    assert guess[cells == 0].mean() > 2 * guess[cells != 0].mean()


def test_a_seed_repeats_a_fit(model):
    again = fitted(Saucie(), simulated(), genes=GENES, dominant_share=1.0)
    counts = simulated(seed=7).dense()[:9]
    for name, value in ask(model, counts).items():
        assert torch.equal(value, ask(again, counts)[name]), name


def test_published_losses_and_codes():
    published = {"lambda_b": 0.1, "lambda_c": 0.1, "lambda_d": 0.2, "cluster_by": "codes"}
    cells = simulated(batches=("one", "two"))
    model = fitted(Saucie(), cells, genes=GENES, epochs=3, smallest_code=2, **published)
    assert model.module.network.relu_codes
    answers = ask(model, cells.dense())
    assert answers["cluster"].min() >= -1
    assert ((answers["cluster"] >= 0) == (answers["cluster_distance"] == 0)).all()


def test_codes_are_matched_exactly_and_frozen():
    h = torch.tensor([[0.0, 2.0], [0.0, 1.0], [3.0, 0.0]])
    codes = BinaryCodes(h, smallest=1)  # only (0, 1) occurs more than once
    assert codes.found == 1
    cluster, bits = codes(h, torch.tensor([[0.0, 0.5], [9.0, 0.0], [1.0, 1.0]]))
    assert cluster.tolist() == [0, -1, -1]
    assert bits.tolist() == [0, 2, 1]
    assert BinaryCodes(h, smallest=5)(h, h)[0].tolist() == [-1, -1, -1]


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("lambda_d", {"lambda_d": 0.2}),
        ("lambda_b", {"lambda_b": 0.1}),
        ("cluster_by", {"cluster_by": "louvain"}),
    ],
)
def test_settings_that_cannot_be_are_refused(setting, values):
    with pytest.raises(UnknownSetting) as refusal:
        fitted(Saucie(), simulated(), **values)
    assert refusal.value.setting == setting


def test_neighbours_differ_from_the_settings_in_what_they_say():
    for recipe in (Saucie(), SaucieCytof()):
        plain = recipe.settings()
        names = set(recipe.neighbours(plain))
        assert any(name.endswith("codes") for name in names)
        assert all(found != plain for found in recipe.neighbours(plain).values())
        aligned = recipe.neighbours(plain.changed(lambda_b=0.01))
        assert {"lambda_b=0", "lambda_b=0.1"} <= set(aligned)
        assert aligned["lambda_b=0"].lambda_b == 0


def test_genes_with_more_variance_than_their_mean_explains():
    rng = np.random.default_rng(0)
    counts = rng.poisson(np.linspace(1, 30, 200), (300, 200)).astype(np.float32)
    counts[:, 50] = np.where(np.arange(300) % 2, 30, 0)
    counts[:, 7] = 0
    chosen = dispersed_genes(sparse.csr_matrix(counts), genes=20, min_cells=5)
    assert 50 in chosen
    assert 7 not in chosen
    assert len(chosen) == 20
    assert (np.diff(chosen) > 0).all()
    assert len(dispersed_genes(sparse.csr_matrix(counts), genes=500, min_cells=5)) == 199


def test_intensities_are_transformed_in_the_graph():
    cells = simulated(genes=8)
    cells = TrainingCells(**{**vars(cells), "counts": cells.counts * np.float32(20.7)})
    model = fitted(SaucieCytof(), cells)
    assert model.gene_coverage == 0.99
    assert model.thresholds.min_counts == 0
    values = cells.dense()
    normalization = model.module.normalization
    x = normalization(torch.as_tensor(values), torch.ones(8))
    by_hand = np.arcsinh(values / 5)
    by_hand = (by_hand - normalization.mean.numpy()) / normalization.sd.numpy()
    np.testing.assert_allclose(x.numpy(), by_hand, atol=1e-4)
    back = normalization.undone(x, torch.as_tensor(values), torch.ones(8))
    np.testing.assert_allclose(back.numpy(), values, rtol=1e-3, atol=1e-2)
    negative = ask(model, np.full((1, 8), -3.0, dtype=np.float32))
    assert all(torch.isfinite(value.float()).all() for value in negative.values())


@pytest.mark.slow
def test_the_graph_gives_what_torch_gives(model):
    pytest.importorskip("onnxscript")
    from converters.onnx_export import to_onnx
    from converters.parity import measured_tolerances, run_graph

    counts = simulated(seed=8).dense()
    present = torch.ones(GENES)
    names = [output.name for output in model.outputs]
    inputs = {"counts": torch.as_tensor(counts[:8]), "gene_present": present}
    graph = to_onnx(model.module, inputs, names, name="tiny", version="1.0.0", genes_table=b"genes")
    for some in (counts, counts[:1]):
        expected = {name: value.numpy() for name, value in ask(model, some).items()}
        found = run_graph(graph, {"counts": some, "gene_present": present.numpy()})
        measured_tolerances(found, expected, model.tolerances)
