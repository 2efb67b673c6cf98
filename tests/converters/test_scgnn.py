"""scGNN: the cell graph by hand, and what holds of a fitted model whatever its weights are."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy import sparse  # noqa: E402

from converters.fit_run import FitRun  # noqa: E402
from converters.onnx_export import to_onnx  # noqa: E402
from converters.parity import run_graph  # noqa: E402
from converters.recipe import Settings  # noqa: E402
from converters.scgnn.cell_graph import (  # noqa: E402
    communities,
    kept,
    nearest,
    normalized,
    pruned_graph,
)
from converters.scgnn.masking import MaskedCells, hide, thin  # noqa: E402
from converters.scgnn.network import Level, LogNormalization, link_loss  # noqa: E402
from converters.scgnn.recipe import (  # noqa: E402
    PublishedSettings,
    ReferenceSettings,
    Scgnn,
    ScgnnReference,
)
from converters.scgnn.reference import FrozenReference  # noqa: E402
from converters.scgnn.rounds import imputation_weight  # noqa: E402
from converters.training_cells import TrainingCells  # noqa: E402
from zoo.errors import UnknownSetting  # noqa: E402

GENES, TYPES = 60, 3
TINY = ReferenceSettings(
    epochs=8, genes=GENES, hidden=24, embedding=8, graph_hidden=8, graph_embedding=4,
    neighbours=5, reference_cells=80, batch=32, learning_rate=5e-3,
)  # fmt: skip
TINY_ROUNDS = PublishedSettings(
    epochs=80, rounds=2, round_epochs=10, cluster_epochs=5, graph_epochs=10, genes=GENES,
    hidden=24, embedding=8, graph_hidden=8, graph_embedding=4, l1=0.01,
)  # fmt: skip


def counts_of(cells, seed):
    """Poisson counts; gene i is eight times as high in type i modulo 3."""
    generator = torch.Generator().manual_seed(seed)
    kind = torch.arange(cells) % TYPES
    rate = torch.where(torch.arange(GENES)[None, :] % TYPES == kind[:, None], 4.0, 0.5)
    return torch.poisson(rate, generator=generator)


def simulated(cells=150):
    counts = counts_of(cells, 0).numpy()
    part = np.where(np.arange(cells) % 5 == 4, "validation", "train")
    return TrainingCells(
        path="simulated.h5ad",
        counts=sparse.csr_matrix(counts),
        symbols=np.array([f"G{i}" for i in range(GENES)]),
        gene_ids=None,
        names=np.array([f"cell{i}" for i in range(cells)]),
        part=part,
        total_counts=counts.sum(axis=1),
    )


@pytest.fixture(scope="module")
def pretrained():
    torch.set_num_threads(1)
    return ScgnnReference().fit(simulated(), TINY, FitRun(0))


@pytest.fixture(scope="module")
def published():
    torch.set_num_threads(1)
    return Scgnn().fit(simulated(), TINY_ROUNDS, FitRun(0))


@pytest.fixture(scope="module", params=["pretrained", "published"])
def fitted(request):
    return request.getfixturevalue(request.param)


def ask(fitted, counts, present=None):
    present = torch.ones(GENES) if present is None else present
    with torch.no_grad():
        answers = fitted.module(counts, present)
    return dict(zip([o.name for o in fitted.outputs], answers, strict=True))


# -- the cell graph --------------------------------------------------------------------------------


def test_far_neighbours_are_pruned_and_near_ones_stay():
    # Mean 2, standard deviation √2: the limit is 3.41.
    distance = torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0]])
    assert kept(distance).tolist() == [[True, True, True, True, False]]


def test_equal_distances_are_all_kept():
    assert kept(torch.full((1, 7), 0.1)).all()


def test_the_pruned_graph_of_a_line_by_hand():
    # 0 - 1 - 2 at unit steps, 3 far away: it is linked because it has no nearer ones, and of its
    # two distances, 8 and 9, none is above mean + sd = 9.
    z = torch.tensor([[0.0], [1.0], [2.0], [10.0]])
    graph = pruned_graph(z, 2).toarray()
    # 0 keeps 1 and 2 (1, 2: limit 2); 1 keeps 0 and 2; 2 keeps 1 and 0; 3 keeps 2 and 1.
    expected = np.array([[0, 1, 1, 0], [1, 0, 1, 1], [1, 1, 0, 1], [0, 1, 1, 0]])
    np.testing.assert_array_equal(graph, expected)


def test_pruning_cuts_a_long_edge_from_the_graph():
    z = torch.tensor([[0.0], [1.0], [2.0], [3.0], [20.0]])
    whole, far = pruned_graph(z, 4).toarray(), 4
    # 20's own distances 17 to 20 vary little, so 20 keeps some; nobody else keeps 20.
    assert whole[far].sum() < 4
    assert np.diag(whole).sum() == 0


def test_more_neighbours_than_cells_are_cut_to_the_others():
    assert pruned_graph(torch.tensor([[0.0], [1.0]]), 10).toarray().tolist() == [[0, 1], [1, 0]]


def test_normalized_adjacency_is_that_of_kipf_and_welling():
    links = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=np.float32)
    a = links + np.eye(3)
    d = np.diag(1 / np.sqrt(a.sum(axis=1)))
    found = normalized(sparse.csr_matrix(links)).to_dense().numpy()
    np.testing.assert_allclose(found, d @ a @ d, rtol=1e-6)


def test_two_cliques_are_two_communities():
    clique = np.ones((5, 5)) - np.eye(5)
    links = sparse.csr_matrix(sparse.block_diag([clique, clique]))
    assert communities(links, seed=0) == 2


def test_nearest_leaves_out_the_cell_itself_and_its_distance_is_exact():
    z = torch.tensor([[1000.0, 0.0], [1000.0, 1e-2], [0.0, 0.0]])
    found, distance = nearest(z, z, 1, apart_from=torch.arange(3))
    assert found[:2].ravel().tolist() == [1, 0]
    torch.testing.assert_close(distance[0, 0], torch.tensor(1e-2))


def test_a_reference_cell_that_comes_back_sums_its_frozen_neighbours():
    reference = FrozenReference(3, 1, 1, 1, k=2)
    z = torch.tensor([[0.0], [1.0], [2.0]])
    reference.set_graph(z, z, pruned_graph(z, 2))
    joined = reference.join(torch.tensor([[0.4]]))
    assert joined.found.tolist() == [[0, 1]]
    # Both are kept: own degree 3, theirs 3 (each has both others), so every entry of Â is 1/3.
    torch.testing.assert_close(joined.sum(torch.tensor([[0.4]]), z), torch.tensor([[1.4 / 3]]))


# -- losses and masks ------------------------------------------------------------------------------


def test_regularisers_of_the_imputation_are_a_weight_of_each_cell():
    rng = np.random.default_rng(0)
    error = rng.random((6, 4))
    labels = np.array([0, 0, 0, 1, 1, 2])
    links = np.triu(rng.random((6, 6)) < 0.5, 1).astype(float)
    links = links + links.T
    same = (labels[:, None] == labels[None, :]).astype(float)
    published = 0.3 * (links @ error).sum() + 0.1 * (same @ error).sum()
    weight = imputation_weight(sparse.csr_matrix(links), labels, PublishedSettings())
    assert (weight.numpy()[:, None] * error).sum() == pytest.approx(published, rel=1e-6)


def test_link_loss_weighs_links_and_others_the_same():
    linked = torch.eye(10)
    logits = torch.zeros(10, 10)
    assert link_loss(logits, linked).item() == pytest.approx(np.log(2), rel=1e-5)


def test_only_nonzero_counts_are_hidden_and_asked_back():
    counts = counts_of(20, 3)
    hidden = hide(counts, 0.5, torch.Generator().manual_seed(0))
    assert hidden.any()
    assert (counts[hidden] > 0).all()
    normalization = LogNormalization(GENES)
    normalization.fit(counts)
    cells = MaskedCells(counts, normalization, hidden)
    assert (cells.shown[hidden] == 0).all()
    assert (cells.target[hidden] > 0).all()
    assert cells.loss(cells.target, 10).item() == 0


def test_thinned_cells_lose_molecules_and_gain_none():
    counts = counts_of(200, 3) * 10
    thinned = thin(counts, 0.5, 0.1, torch.Generator().manual_seed(0))
    assert (thinned <= counts).all()
    share = thinned.sum(dim=1) / counts.sum(dim=1)
    assert 0.4 < (share == 1).float().mean() < 0.6
    assert share.min() > 0.05
    assert share.min() < 0.2
    untouched = thin(counts, 0.0, 0.1, torch.Generator().manual_seed(0))
    assert torch.equal(untouched, counts)


def test_hidden_entries_weigh_more():
    counts = torch.tensor([[4.0, 0.0, 2.0, 6.0]])
    normalization = LogNormalization(4)
    normalization.fit(counts)
    cells = MaskedCells(counts, normalization, torch.tensor([[True, False, False, False]]))
    wrong = cells.target.clone()
    wrong[0, 0] += 1
    assert cells.loss(wrong, 1).item() == pytest.approx(1 / 4)
    assert cells.loss(wrong, 10).item() == pytest.approx(10 / 13)


def test_level_gives_imputed_genes_the_mean_of_their_counts():
    counts = counts_of(50, 4) * 3
    level = Level(GENES)
    x = torch.rand(50, GENES)
    level.fit(counts, x)
    wanted = (counts / counts.sum(dim=1, keepdim=True) * 1e4).mean(dim=0)
    inside = level.factor < 20
    torch.testing.assert_close(level(x).mean(dim=0)[inside], wanted[inside])


# -- fitted models ---------------------------------------------------------------------------------


def test_answers_do_not_depend_on_batch_mates(fitted):
    counts = counts_of(30, 5)
    together, alone = ask(fitted, counts), ask(fitted, counts[7:8])
    for name, values in together.items():
        torch.testing.assert_close(alone[name], values[7:8], atol=1e-5, rtol=1e-4)


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


def test_imputed_counts_follow_the_depth_of_the_cell(fitted):
    counts = counts_of(10, 8)
    once, thrice = ask(fitted, counts), ask(fitted, 3 * counts)
    torch.testing.assert_close(thrice["imputed"], 3 * once["imputed"], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(thrice["embedding"], once["embedding"], atol=1e-4, rtol=1e-3)


def test_unlike_cells_are_far_from_the_reference(fitted):
    rng = torch.Generator().manual_seed(0)
    others = torch.zeros(40, GENES)
    others[:, :2] = torch.poisson(torch.full((40, 2), 60.0), generator=rng)
    typical = ask(fitted, counts_of(60, 9))
    assert (typical["ood_p"] < 0.05).float().mean() < 0.3
    assert ask(fitted, others)["ref_distance"].median() > typical["ref_distance"].median()


def test_imputation_knows_what_the_cell_is(pretrained):
    # A hidden count of a gene that is high in the cell's type comes back higher than of another.
    counts = counts_of(90, 10)
    hidden = hide(counts, 0.1, torch.Generator().manual_seed(1))
    imputed = ask(pretrained, torch.where(hidden, 0.0, counts))["imputed"]
    kind = torch.arange(90) % TYPES
    marker = torch.arange(GENES)[None, :] % TYPES == kind[:, None]
    assert imputed[hidden & marker].mean() > 1.5 * imputed[hidden & ~marker].mean()


def test_clusters_are_the_simulated_types(published):
    answers = ask(published, counts_of(90, 11))
    assert answers["cluster"].dtype == torch.int64
    assert published.facts["rounds"] <= 2
    assert int(answers["cluster"].max()) < published.facts["clusters"]


def test_what_is_given_fits_the_contract(fitted):
    assert fitted.inputs == ("counts", "gene_present")
    assert {o.name for o in fitted.outputs} == set(fitted.tolerances)
    assert fitted.gene_weight.sum() == pytest.approx(1, abs=1e-4)


def test_no_counts_of_a_training_cell_lie_in_the_model(fitted):
    counts = simulated().dense()
    rows = {tuple(row) for row in counts}
    for values in fitted.module.state_dict().values():
        if values.dim() == 2 and values.shape[1] == GENES:
            assert not rows & {tuple(row) for row in values.numpy()}


def test_a_resumed_fit_gives_the_same_model(tmp_path):
    cells = simulated(60)
    settings = TINY.changed(epochs=3)
    once = ScgnnReference().fit(cells, settings, FitRun(1, folder=tmp_path, fingerprint="a"))
    again = FitRun(1, folder=tmp_path, fingerprint="a")
    twice = ScgnnReference().fit(cells, settings, again)
    assert again.resumed
    counts = counts_of(5, 12)
    for name, values in ask(once, counts).items():
        torch.testing.assert_close(ask(twice, counts)[name], values)


def test_resumed_rounds_give_the_same_model(tmp_path):
    cells = simulated(60)
    once = Scgnn().fit(cells, TINY_ROUNDS, FitRun(1, folder=tmp_path, fingerprint="a"))
    again = FitRun(1, folder=tmp_path, fingerprint="a")
    twice = Scgnn().fit(cells, TINY_ROUNDS, again)
    assert again.resumed
    counts = counts_of(5, 13)
    for name, values in ask(once, counts).items():
        torch.testing.assert_close(ask(twice, counts)[name], values)


def test_an_autoencoder_that_died_is_refused_with_advice():
    with pytest.raises(UnknownSetting, match="take a smaller one"):
        Scgnn().fit(simulated(), TINY_ROUNDS.changed(l1=1000.0), FitRun(0))


def test_without_a_graph_only_the_cell_counts():
    fitted = ScgnnReference().fit(simulated(), TINY.changed(graph=False, epochs=2), FitRun(0))
    counts = counts_of(4, 14)
    before = ask(fitted, counts)["imputed"]
    fitted.module.reference.hidden += 100
    torch.testing.assert_close(ask(fitted, counts)["imputed"], before)


@pytest.mark.parametrize("recipe", [ScgnnReference(), Scgnn()], ids=lambda recipe: recipe.name)
def test_neighbouring_settings_change_one_thing(recipe):
    settings = recipe.settings()
    found = recipe.neighbours(settings)
    assert found
    for name, neighbour in found.items():
        assert isinstance(neighbour, Settings)
        changed = {
            key: value
            for key, value in neighbour.as_json().items()
            if value != settings.as_json()[key]
        }
        assert list(changed) == [name.split("=")[0]]


def test_genes_are_chosen_among_those_that_are_seen():
    columns = ScgnnReference().genes(simulated(), TINY.changed(genes=10))
    assert len(columns) == 10
    assert (np.diff(columns) > 0).all()


@pytest.mark.slow
def test_the_graph_that_is_exported_answers_the_same(fitted):
    counts = counts_of(25, 15)
    names = [o.name for o in fitted.outputs]
    graph = to_onnx(
        fitted.module,
        {"counts": counts, "gene_present": torch.ones(GENES)},
        names,
        name="scgnn-test",
        version="1.0.0",
        genes_table=b"",
    )
    for rows in (counts, counts[:1]):
        found = run_graph(
            graph, {"counts": rows.numpy(), "gene_present": np.ones(GENES, dtype=np.float32)}
        )
        for name, values in ask(fitted, rows).items():
            atol, rtol = fitted.tolerances[name]
            np.testing.assert_allclose(found[name], values.numpy(), atol=atol, rtol=rtol)
