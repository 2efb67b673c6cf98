"""The pieces of a calibration: scaling, scores, tables, folds, and the graph that holds them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from tiny_model import labels_table, tiny_block

from zoo.calibrating import calibrator, scaling, scores
from zoo.calibrating.calibrator import Calibrator
from zoo.calibrating.evidence import Evidence, log_softmax, logits_of
from zoo.calibrating.folds import folds_of
from zoo.calibrating.graph import calibrated_graph
from zoo.calibrating.scaling import Scaling
from zoo.calibrating.scores import ScoreTables, Table, families_of, log_odds_against
from zoo.card import CellZooBlock
from zoo.errors import InvalidGraph
from zoo.labels import LabelTable

CLASSES = 5
LABELS = LabelTable.parse(labels_table(CLASSES).encode(), model="tiny")


def evidence_of(
    cells: int = 300,
    *,
    slope: float = 1.0,
    bias: tuple[float, ...] = (0.0,) * CLASSES,
    seed: int = 0,
    groups: int | None = None,
) -> Evidence:
    """Cells whose truth is drawn from softmax(slope · logits + bias)."""
    rng = np.random.default_rng(seed)
    logits = log_softmax(rng.normal(0, 2, (cells, CLASSES)))
    wanted = np.exp(log_softmax(slope * logits + np.array(bias)))
    truth = (wanted.cumsum(axis=1) < rng.random((cells, 1))).sum(axis=1)
    outputs = {
        "label": logits.argmax(axis=1),
        "prob": np.exp(logits).astype(np.float32),
        "ood_z": rng.normal(2, 3, cells).astype(np.float32),
        "ood_p": rng.random(cells).astype(np.float32),
    }
    group = None if groups is None else rng.integers(0, groups, cells)
    return Evidence(LABELS, outputs, logits, truth, group)


# -- scaling -------------------------------------------------------------------------------------


def test_the_scaling_finds_slope_and_biases_again() -> None:
    bias = (1.0, 0.0, -1.0, 0.5, -0.5)
    found = scaling.fit(evidence_of(20_000, slope=0.5, bias=bias), 0.03)
    assert found.slope == pytest.approx(0.5, abs=0.03)
    assert found.bias - found.bias.mean() == pytest.approx(np.array(bias), abs=0.12)


def test_the_scaling_lies_where_the_gradient_is_zero() -> None:
    evidence = evidence_of(80, slope=0.3)
    found = scaling.fit(evidence, 1.0)
    point = np.concatenate([[found.slope], found.bias])
    prior = np.array([1.0] + [1.0] * CLASSES)
    mean = np.array([1.0] + [0.0] * CLASSES)
    posterior = (evidence.logits, evidence.truth, prior, mean)
    gradient, hessian = scaling._derivatives(point, *posterior)
    assert np.abs(gradient).max() < 1e-4
    assert np.linalg.eigvalsh(hessian).min() > 0
    for axis in range(1 + CLASSES):  # the gradient is that of the loss
        step = np.zeros(1 + CLASSES)
        step[axis] = 1e-5
        away = point + 0.3
        rise = scaling._loss(away + step, *posterior) - scaling._loss(away - step, *posterior)
        assert rise / 2e-5 == pytest.approx(scaling._derivatives(away, *posterior)[0][axis], 1e-4)


def test_a_class_without_labelled_cells_keeps_its_bias() -> None:
    evidence = evidence_of(200, bias=(1.0, 0.0, 0.0, -1.0, 0.0))
    found = scaling.fit(evidence.where(evidence.truth != 4), 0.1)
    assert found.bias[4] == 0
    assert np.abs(found.bias[:4]).min() > 0


def test_no_shrinkage_is_chosen_where_there_is_nothing_to_mend() -> None:
    found = [scaling.choose(evidence_of(100, seed=seed), 0) for seed in range(8)]
    strong = [chosen.scaling.shrinkage in (None, 1e6, 10.0) for chosen in found]
    assert sum(strong) >= 5
    mended = scaling.choose(evidence_of(300, slope=0.4, bias=(2.0, 0, 0, -2.0, 0)), 0)
    assert mended.scaling.shrinkage is not None
    assert mended.scaling.shrinkage < 10
    assert mended.loss[mended.scaling.shrinkage] < mended.loss[None] - 0.1


def test_a_cell_is_left_out_of_the_fit_that_scores_it() -> None:
    evidence = evidence_of(60)
    moved = Evidence(LABELS, evidence.outputs, evidence.logits, evidence.truth.copy())
    fold = folds_of(evidence, 0)
    cell = 7
    moved.truth[cell] = (moved.truth[cell] + 1) % CLASSES
    fits = [
        scaling.fit(which.where(fold != fold[cell]), 0.1)(evidence.logits)[cell]
        for which in (evidence, moved)
    ]
    assert np.array_equal(*fits)


# -- scores and tables ---------------------------------------------------------------------------


def test_scores_are_log_odds_and_do_not_round_to_zero() -> None:
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.1, 0.45, 0.45]]))
    prob = np.exp(logits)
    assert log_odds_against(logits) == pytest.approx(np.log((1 - prob) / prob))
    sure = log_odds_against(np.array([[0.0, -60.0, -65.0], [0.0, -70.0, -75.0]]))
    assert sure[0, 0] == pytest.approx(-60, abs=0.1)
    assert sure[1, 0] == pytest.approx(-70, abs=0.1)


def test_a_table_gives_the_share_that_scores_as_high() -> None:
    table = Table.of(np.array([3.0, 1.0, 2.0]), 10)
    assert table.p(np.array([0.0, 1.0, 1.5, 3.0, 4.0])) == pytest.approx(
        [1.0, 1.0, 3 / 4, 2 / 4, 1 / 4]
    )
    large = Table.of(np.arange(10_000.0), 512)
    assert len(large.scores) == 512
    exact = (10_000 - np.array([5000, 9000, 9900]) + 1) / 10_001
    assert large.p(np.array([5000.0, 9000.0, 9900.0])) == pytest.approx(exact, abs=2e-3)


def test_classes_with_few_cells_borrow_from_their_relatives() -> None:
    # T cell, B cell, monocyte, natural killer cell, dendritic cell
    families = families_of(LABELS, np.array([30, 5, 18, 25, 4]), alpha=0.1)
    members = [np.flatnonzero(family).tolist() for family in families]
    assert members[0] == [0]
    assert members[1] == [0, 1, 3], "lymphocytes"
    assert members[2] == [2, 4], "myeloid leukocytes: 22 cells"
    assert members[4] == [2, 4]
    alone = families_of(LABELS, np.array([30, 5, 10, 25, 4]), alpha=0.1)
    assert alone[2].all(), "too few myeloid cells: all leukocytes"


def test_a_small_alpha_asks_for_larger_tables() -> None:
    families = families_of(LABELS, np.array([30, 300, 30, 30, 30]), alpha=0.01)
    assert families[1].sum() == 1
    assert families[0].sum() > 1, "30 scores cannot reject at 0.01"


def test_coverage_holds_for_exchangeable_cells() -> None:
    covered, size = [], []
    for seed in range(30):
        everything = evidence_of(1100, slope=0.5, bias=(1.5, 0, 0, -1.0, 0), seed=seed)
        fitting = np.arange(1100) < 100
        fitted = calibrator.fit(everything.where(fitting), alpha=0.1, seed=0)
        asked = everything.where(~fitting)
        answers = fitted.answers(asked.logits)
        covered.append(answers.in_set[np.arange(1000), asked.truth].mean())
        size.append(answers.in_set.sum(axis=1).mean())
    assert np.mean(covered) > 0.9
    assert np.mean(size) < CLASSES - 1


# -- folds ---------------------------------------------------------------------------------------


def test_folds_spread_every_class_and_keep_groups_whole() -> None:
    evidence = evidence_of(200)
    fold = folds_of(evidence, 1)
    for k in range(CLASSES):
        sizes = np.bincount(fold[evidence.truth == k], minlength=5)
        assert sizes.max() - sizes.min() <= 1
    grouped = evidence_of(200, groups=8)
    assert grouped.group is not None
    fold = folds_of(grouped, 1)
    assert all(len(np.unique(fold[grouped.group == g])) == 1 for g in range(8))
    assert np.bincount(fold).min() > 20
    assert len(np.unique(folds_of(evidence_of(200, groups=2), 0))) == 2
    one_group = grouped.where(grouped.group == 3)
    assert len(np.unique(folds_of(one_group, 0))) == 5, "within one group: by cells"


# -- the graph -----------------------------------------------------------------------------------


def graph_of(outputs: tuple[str, ...], *, opset: int = 17) -> bytes:
    """A graph that passes its counts on as probabilities, and doubles them as a former set."""
    kinds = {"label": TensorProto.INT64, "in_set": TensorProto.BOOL}
    nodes = [
        helper.make_node("Identity", ["counts"], ["prob"]),
        helper.make_node("ArgMax", ["prob"], ["label"], axis=1, keepdims=0),
        helper.make_node("Mul", ["prob", "calibration_constant"], ["conformal_p"]),
        helper.make_node("Greater", ["conformal_p", "calibration_constant"], ["in_set"]),
        helper.make_node("Gather", ["counts", "zero"], ["ood_z"], axis=1),
        helper.make_node("Neg", ["ood_z"], ["ood_p"]),
        helper.make_node("Add", ["prob", "prob"], ["embedding"]),
    ]
    flat = ("label", "ood_z", "ood_p")
    graph = helper.make_graph(
        nodes,
        "probabilities",
        [helper.make_tensor_value_info("counts", TensorProto.FLOAT, ["n", CLASSES])],
        [
            helper.make_tensor_value_info(
                name, kinds.get(name, TensorProto.FLOAT), ["n"] if name in flat else ["n", CLASSES]
            )
            for name in outputs
        ],
        [
            helper.make_tensor("calibration_constant", TensorProto.FLOAT, [], [0.5]),
            helper.make_tensor("zero", TensorProto.INT64, [], [0]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    helper.set_model_props(model, {"cellzoo_name": "tiny", "cellzoo_contract": "1"})
    return model.SerializeToString()


def block_of(outputs: tuple[str, ...], version: str = "1.0.0") -> CellZooBlock:
    block = tiny_block(version=version)
    declared = [output for output in block.outputs if output.name in outputs]
    return block.model_copy(update={"outputs": declared})


def run(graph: bytes, prob: npt.NDArray[np.float32]) -> dict[str, npt.NDArray]:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_outputs()]
    return dict(zip(names, session.run(names, {"counts": prob}), strict=True))


def some_calibrator(*, scope: bool) -> Calibrator:
    evidence = evidence_of(400, slope=0.5, bias=(1.0, 0, 0, -1.0, 0))
    return calibrator.fit(evidence, alpha=0.1, seed=0, with_scope=scope)


ALL = ("label", "prob", "conformal_p", "in_set", "ood_z", "ood_p", "embedding")


@pytest.mark.parametrize("opset", [17, 18, 20])
@pytest.mark.parametrize("scope", [False, True])
def test_the_graph_says_what_the_fit_says(scope: bool, opset: int) -> None:
    fitted = some_calibrator(scope=scope)
    block = block_of(ALL)
    graph = calibrated_graph(
        graph_of(ALL, opset=opset), fitted, before=block, after=block_of(ALL, "1.1.0")
    )
    rng = np.random.default_rng(5)
    prob = rng.dirichlet([0.3] * CLASSES, 500).astype(np.float32)
    prob[0] = [1, 0, 0, 0, 0]  # sure beyond the precision of float32
    prob[1] = [1, 1e-38, 1e-20, 0, 0]
    prob[2] = 0.2
    found, said = run(graph, prob), fitted.answers(logits_of(prob, "softmax"))
    assert np.array_equal(found["label"][3:], said.label[3:])
    assert found["prob"] == pytest.approx(said.prob, abs=2e-6)
    apart = np.abs(found["conformal_p"] - said.conformal_p)
    assert (apart > 1e-6).mean() < 2e-3, "but for scores within rounding of one of the table"
    assert np.array_equal(found["in_set"], found["conformal_p"] > np.float32(0.1))
    assert found["embedding"] == pytest.approx(2 * prob)
    if scope:
        assert fitted.scope is not None
        z = (prob[:, 0] - fitted.scope.mean) / fitted.scope.sd
        assert found["ood_z"] == pytest.approx(z, abs=1e-5)
        assert found["ood_p"] == pytest.approx(fitted.scope.table.p(prob[:, 0]), abs=1e-6)
    else:
        assert np.array_equal(found["ood_z"], prob[:, 0])
    one = run(graph, prob[:1])
    assert one["prob"].shape == (1, CLASSES)


def test_the_graph_keeps_the_contract() -> None:
    fitted = some_calibrator(scope=True)
    graph = calibrated_graph(
        graph_of(ALL), fitted, before=block_of(ALL), after=block_of(ALL, "1.1.0")
    )
    model = onnx.load_from_string(graph)
    assert [output.name for output in model.graph.output] == list(ALL)
    assert {node.domain for node in model.graph.node} == {""}
    assert not {node.op_type for node in model.graph.node} & {"If", "Loop", "Scan"}
    assert model.opset_import[0].version == 17
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert properties["cellzoo_version"] == "1.1.0"
    assert properties["cellzoo_contract"] == "1"
    assert all(not tensor.external_data for tensor in model.graph.initializer)
    kept = {name for node in model.graph.node for name in node.output}
    assert "former_conformal_p" not in kept, "what nothing needs is dropped"


def test_outputs_that_were_not_there_are_added() -> None:
    before = ("label", "prob")
    after = ("label", "prob", "conformal_p", "in_set")
    fitted = some_calibrator(scope=False)
    graph = calibrated_graph(
        graph_of(before), fitted, before=block_of(before), after=block_of(after, "1.1.0")
    )
    found = run(graph, np.full((3, CLASSES), 0.2, np.float32))
    assert set(found) == set(after)
    assert found["in_set"].dtype == bool


def test_independent_probabilities_compete_after_calibration() -> None:
    block = block_of(ALL)
    block = block.model_copy(update={"prob_kind": "independent"})
    prob = np.random.default_rng(0).random((50, CLASSES)).astype(np.float32)
    prob[0], prob[1] = 1, 0
    fitted = some_calibrator(scope=False)
    graph = calibrated_graph(graph_of(ALL), fitted, before=block, after=block_of(ALL, "1.1.0"))
    found = run(graph, prob)
    said = fitted.answers(logits_of(prob, "independent"))
    assert found["prob"] == pytest.approx(said.prob, abs=1e-5)
    assert found["prob"].sum(axis=1) == pytest.approx(np.ones(50), abs=1e-5)


def test_a_graph_with_a_branch_is_refused() -> None:
    model = onnx.load_from_string(graph_of(ALL))
    empty = helper.make_graph([], "branch", [], [])
    model.graph.node.append(
        helper.make_node("If", ["yes"], ["never"], then_branch=empty, else_branch=empty)
    )
    with pytest.raises(InvalidGraph, match="If"):
        calibrated_graph(
            model.SerializeToString(),
            some_calibrator(scope=False),
            before=block_of(ALL),
            after=block_of(ALL, "1.1.0"),
        )


def test_a_table_in_the_graph_is_the_one_of_the_fit() -> None:
    """Tables of one score, of many, and of different lengths side by side."""
    tables = ScoreTables(
        of_class=tuple(Table.of(np.arange(float(n)), 256) for n in (1, 20, 256, 3, 7)),
        pooled=Table.of(np.arange(40.0), 512),
        families=tuple((k,) for k in range(CLASSES)),
    )
    fitted = Calibrator(Scaling.identity(CLASSES), tables, None, 0.1, np.ones(CLASSES, np.int64))
    graph = calibrated_graph(
        graph_of(ALL), fitted, before=block_of(ALL), after=block_of(ALL, "1.1.0")
    )
    prob = np.random.default_rng(1).dirichlet([0.1] * CLASSES, 200).astype(np.float32)
    said = fitted.answers(logits_of(prob, "softmax"))
    assert run(graph, prob)["conformal_p"] == pytest.approx(said.conformal_p, abs=1e-6)
    assert scores.OWN_SCORES_FROM == 20
