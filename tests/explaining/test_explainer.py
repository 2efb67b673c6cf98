"""Whole explanations: they add up, agree with torch, hold to the contract, and refuse by name."""

import numpy as np
import onnx
import pytest
from explained_model import NETWORKS, block, cells, classifier, logistic, normalized
from tiny_model import GENES, tiny_block, tiny_graph

from zoo.errors import NoBackwardRule, Unexplainable
from zoo.explaining.explainer import gaps, make_explainer, quadrature
from zoo.explaining.storage import quantize
from zoo.gate.graph import GRAPH_SHA256, read_graph
from zoo.session import Session


def kind_of(name):
    return "independent" if name == "branches" else "softmax"


def attributions(explainer, graph, inputs, label=None):
    if label is None:
        label = Session.of_draft(graph).run(inputs, ("label",))["label"]
    session = Session.of_draft(explainer.content)
    return session.run({**inputs, "label": label}, ("attribution",))["attribution"]


@pytest.fixture(scope="module")
def made():
    found = {}
    for name, network in NETWORKS.items():
        graph = classifier(network)
        found[name] = (graph, make_explainer(graph, block(kind_of(name)), cells()))
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_attributions_add_up_to_the_change_in_log_odds(made, name):
    graph, explainer = made[name]
    inputs = cells(seed=5)
    label = Session.of_draft(graph).run(inputs, ("label",))["label"]
    names = ("attribution", "log_odds", "reference_log_odds")
    found = Session.of_draft(explainer.draft).run({**inputs, "label": label}, names)
    due = np.abs(found["log_odds"] - found["reference_log_odds"]).mean()
    assert due > 0.3
    assert gaps(explainer.draft, graph, inputs).mean() < 0.01 * due


@pytest.mark.parametrize("name", NETWORKS)
def test_a_cell_is_explained_alike_alone_and_among_others(made, name):
    graph, explainer = made[name]
    inputs = cells(seed=6)
    together = attributions(explainer, graph, inputs)
    batched = ("counts", "total_counts")
    alone = np.concatenate([
        attributions(
            explainer,
            graph,
            {k: v[i : i + 1] if k in batched else v for k, v in inputs.items()},
        )
        for i in range(len(together))
    ])  # fmt: skip
    np.testing.assert_allclose(alone, together, rtol=1e-4, atol=1e-5 * np.abs(together).max())


def test_integrated_gradients_are_those_of_autograd():
    torch = pytest.importorskip("torch")
    graph = classifier(normalized)
    explainer = make_explainer(graph, block(), cells())
    inputs = cells(seed=7)
    label = Session.of_draft(graph).run(inputs, ("label",))["label"]
    found = attributions(explainer, graph, inputs, label)

    constants = {
        tuple(value.dims): torch.from_numpy(onnx.numpy_helper.to_array(value).copy()).double()
        for value in onnx.load_from_string(graph).graph.initializer
    }
    w1, w2, b2 = constants[len(GENES), 8], constants[8, 3], constants[3,]
    share = inputs["counts"] / inputs["total_counts"]
    x = torch.from_numpy(np.log1p(10 * share) - np.float32(0.7)).double()
    points, weights = quadrature(explainer.steps, explainer.crowding)
    total = torch.zeros_like(x)
    mine = torch.nn.functional.one_hot(torch.from_numpy(label), 3).bool()
    for point, weight in zip(points, weights, strict=True):
        leaf = (point * x).requires_grad_()
        hidden = torch.relu(torch.nn.functional.layer_norm(leaf @ w1, (8,), eps=1e-5))
        logits = hidden @ w2 + b2
        rest = logits.masked_fill(mine, -torch.inf).logsumexp(1)
        (logits[mine] - rest).sum().backward()
        total += weight * leaf.grad
    expected = (x * total).numpy()
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-5)


def test_another_class_can_be_explained(made):
    graph, explainer = made["attention"]
    inputs = cells(seed=8)
    number = len(inputs["counts"])
    found = [attributions(explainer, graph, inputs, np.full(number, k)) for k in range(3)]
    assert not np.allclose(found[0], found[1])


def test_a_gene_that_the_file_lacks_says_nothing(made):
    for graph, explainer in made.values():
        inputs = cells(seed=9)
        inputs["gene_present"][2] = 0
        inputs["counts"][:, 2] = 0
        found = attributions(explainer, graph, inputs)
        assert (found[:, 2] == 0).all()
        assert np.abs(found).max() > 0


def test_absent_genes_are_the_reference_where_the_graph_knows_them(made):
    _, explainer = made["normalized"]
    assert (explainer.reference == 0).all()
    assert explainer.reference_cell == "what the graph takes for a gene that a file lacks"


def test_else_the_reference_is_the_mean_of_the_cells():
    graph = classifier(normalized, knows_absence=False)
    explainer = make_explainer(graph, block(), cells())
    assert explainer.reference_cell == "the mean of 12 cells"
    logs = np.log1p(10 * cells()["counts"] / cells()["total_counts"]) - np.float32(0.7)
    np.testing.assert_allclose(explainer.reference, logs.mean(axis=0), atol=1e-6)


def test_one_step_is_exact_where_the_answer_is_affine_in_the_genes():
    graph = classifier(logistic)
    explainer = make_explainer(graph, block("independent"), cells())
    assert explainer.steps == 1
    assert gaps(explainer.draft, graph, cells(seed=4)).max() < 1e-5


def test_steps_crowd_where_layer_normalization_changes_most(made):
    assert made["normalized"][1].crowding > 1


@pytest.mark.parametrize("crowding", [1, 2, 4, 6])
def test_weights_of_steps_sum_to_one(crowding):
    points, weights = quadrature(32, crowding)
    assert weights.sum() == pytest.approx(1)
    assert (weights * points).sum() == pytest.approx(0.5)


def test_the_graph_obeys_the_contract(made):
    for graph, explainer in made.values():
        facts = read_graph(explainer.content, "tiny@1.0.0")
        assert facts.outputs == ("attribution",)
        assert {"counts", "label"} <= set(facts.inputs)
        model = read_graph(graph, "tiny@1.0.0")
        own = {k: v for k, v in facts.metadata.items() if k != GRAPH_SHA256}
        assert own == model.metadata
        assert len(facts.metadata[GRAPH_SHA256]) == 64


def test_explanations_do_not_depend_on_the_opset():
    graph = classifier(normalized, opset=20)
    explainer = make_explainer(graph, block(), cells())
    older = make_explainer(classifier(normalized), block(), cells())
    inputs = cells(seed=3)
    np.testing.assert_allclose(
        attributions(explainer, graph, inputs), attributions(older, graph, inputs), rtol=1e-5
    )


# -- storage -------------------------------------------------------------------------------------


def test_int8_keeps_zero_and_is_within_half_a_step():
    weights = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    weights[3], weights[:, 2] = 0, 0
    stored, scale = quantize(weights)
    assert stored.dtype == np.int8
    assert (stored[3] == 0).all()
    assert np.abs(stored * scale - weights).max() <= scale.max() / 2 + 1e-7


@pytest.mark.parametrize(("storage", "share"), [("float16", 0.6), ("int8", 0.4)])
def test_smaller_storage_says_nearly_the_same(storage, share):
    genes = 600
    tiny = tiny_graph(genes, 20).SerializeToString()
    inputs = cells(20, genes)
    card = tiny_block(genes=genes)
    whole = make_explainer(tiny, card, inputs)
    small = make_explainer(tiny, card, inputs, storage=storage)
    assert len(small.content) < share * len(whole.content)
    one, other = (attributions(explainer, tiny, inputs) for explainer in (whole, small))
    np.testing.assert_allclose(one, other, atol=0.01 * np.abs(one).max())


# -- refusals ------------------------------------------------------------------------------------


def test_an_operator_without_a_rule_is_named():
    def wavy(graph, x):
        logits = graph.node("MatMul", x, graph.constant(np.ones((len(GENES), 3), np.float32)))
        return graph.node("Softmax", graph.node("Sin", logits), axis=1)

    with pytest.raises(NoBackwardRule) as caught:
        make_explainer(classifier(wavy), block(), cells())
    assert str(caught.value).startswith(
        "'tiny@1.0.0' cannot be explained: the operator Sin, which computes 'net_sin', has no "
        "backward rule."
    )


def test_models_without_classes_are_refused():
    card = block().model_copy(update={"outputs": tiny_block().outputs[-1:]})
    with pytest.raises(Unexplainable, match="it has no classes"):
        make_explainer(b"", card, cells())


def test_spatial_models_are_refused():
    inputs = tiny_block().inputs.model_copy(update={"graph_recipe": object()})
    card = block().model_copy(update={"inputs": inputs})
    with pytest.raises(Unexplainable, match="it reads a spot among its neighbours"):
        make_explainer(b"", card, cells())


def test_too_few_cells_are_refused():
    with pytest.raises(Unexplainable, match="3 cells to observe it on; at least 5 are needed"):
        make_explainer(classifier(normalized), block(), cells(3))
