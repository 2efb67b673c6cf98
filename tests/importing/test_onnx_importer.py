"""Foreign ONNX graphs: put behind a normalization, with the contract's outputs; or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from foreign_cells import GENES, LABELS, make_cells
from onnx import TensorProto, helper, numpy_helper
from ran import Ran

from zoo.parity import sample_outputs
from zoo.parts import ModelParts
from zoo.pull import in_place

Zoo = Callable[..., Ran]

WEIGHT = np.random.default_rng(0).normal(size=(len(GENES), len(LABELS))).astype(np.float32)


def graph(
    *,
    nodes: list[onnx.NodeProto] | None = None,
    opset: int = 17,
    rows: object = "batch",
    inputs: int = 1,
    outputs: tuple[str, ...] = ("counts",),
    columns: object = len(GENES),
    domain: str = "",
) -> onnx.ModelProto:
    """x W under awkward names: the output is called like an input of the contract."""
    nodes = nodes or [helper.make_node("MatMul", ["x", "prob"], ["counts"])]
    values = [
        helper.make_tensor_value_info(f"{'x' * (i + 1)}", TensorProto.FLOAT, [rows, columns])
        for i in range(inputs)
    ]
    given = [helper.make_tensor_value_info(o, TensorProto.FLOAT, [rows, "n"]) for o in outputs]
    made = helper.make_graph(
        nodes, "foreign", values, given, [numpy_helper.from_array(WEIGHT, "prob")]
    )
    sets = [helper.make_opsetid("", opset)]
    if domain:
        sets.append(helper.make_opsetid(domain, 1))
    return helper.make_model(made, opset_imports=sets, ir_version=8)


@pytest.fixture
def convert(run_zoo: Zoo, tmp_path: Path) -> Callable[..., Ran]:
    (tmp_path / "genes.txt").write_text("\n".join(GENES))
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))

    def run(model: onnx.ModelProto | bytes, *options: object) -> Ran:
        content = model if isinstance(model, bytes) else model.SerializeToString()
        (tmp_path / "foreign.onnx").write_bytes(content)
        return run_zoo(
            "convert", "onnx", tmp_path / "foreign.onnx", "-o", tmp_path / "model", "--overwrite",
            "--genes", tmp_path / "genes.txt", "--labels", tmp_path / "labels.txt",
            "--values", "library_log1p", *options,
        )  # fmt: skip

    return run


@pytest.mark.parametrize("opset", [13, 17, 18, 21])
@pytest.mark.parametrize("scores", ["logits", "independent_logits"])
def test_scores_become_label_and_prob(
    convert: Callable[..., Ran], tmp_path: Path, opset: int, scores: str
) -> None:
    ran = convert(graph(opset=opset), "--set", f"scores='{scores}'")
    assert ran.code == 0, ran.err
    parts = ModelParts.of(in_place(tmp_path / "model"))
    fresh = make_cells(40, seed=2)
    given = sample_outputs(parts, fresh.write(tmp_path / "cells.h5ad"))
    logits = fresh.library_log1p @ WEIGHT
    softmax = np.exp(logits - logits.max(axis=1, keepdims=True))
    softmax /= softmax.sum(axis=1, keepdims=True)
    expected = softmax if scores == "logits" else 1 / (1 + np.exp(-logits))
    assert np.abs(given["prob"] - expected).max() < 1e-4
    assert (given["label"] == logits.argmax(axis=1)).all()
    assert parts.card.prob_kind == ("softmax" if scores == "logits" else "independent")


def test_a_fixed_batch_is_freed_and_calibrated(convert: Callable[..., Ran], tmp_path: Path) -> None:
    labelled = make_cells(200, seed=3).write(tmp_path / "labelled.h5ad")
    ran = convert(graph(rows=1), "--calibrate", labelled, "--label", "cell_type")
    assert ran.code == 0, ran.err
    parts = ModelParts.of(in_place(tmp_path / "model"))
    assert {"ood_p", "conformal_p"} <= set(parts.card.output_names)


def test_an_embedding_alone(convert: Callable[..., Ran], tmp_path: Path) -> None:
    ran = convert(graph(), "--set", 'outputs={embedding="counts"}')
    assert ran.code == 0, ran.err
    parts = ModelParts.of(in_place(tmp_path / "model"))
    assert parts.card.output_names == ("embedding",)
    assert parts.card.task == "embedding"


def _external() -> onnx.ModelProto:
    model = graph()
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/hostname")
    return model


def _loop() -> onnx.ModelProto:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"])], "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []),
         helper.make_tensor_value_info("go", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, [])],
    )  # fmt: skip
    nodes = [
        helper.make_node("MatMul", ["x", "prob"], ["counts"]),
        helper.make_node("Loop", ["", ""], [], body=body),
    ]
    return graph(nodes=nodes)


def _node(kind: str, *inputs: str, domain: str = "", **attributes: object) -> onnx.ModelProto:
    made = helper.make_node(kind, list(inputs), ["counts"], domain=domain, **attributes)
    return graph(nodes=[made], domain=domain)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (_loop(), "the control flow Loop"),
        (_external(), "external data"),
        (_node("Trilu2", "x", domain="com.example"), "the domain com.example"),
        (graph(opset=11), "opset 11"),
        (graph(inputs=2), "the inputs x, xx"),
        (graph(columns="genes"), "no float32 matrix"),
        (graph(columns=39), "40 genes, but 39 inputs"),
        (_node("Softmax", "x", axis=0), "of its own for each cell"),
        (_node("Transpose", "x"), "cannot be taken"),
        (_node("RandomNormalLike", "x"), "cannot be taken"),
        (_node("MatMul", "x", "nothing"), "no valid ONNX"),
        (_node("Identity", "x"), "3 labels, but 40 outputs"),
        (b"no graph", "no valid ONNX"),
        (b"", "has no"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_refused(
    convert: Callable[..., Ran], tmp_path: Path, model: onnx.ModelProto | bytes, told: str
) -> None:
    ran = convert(model)
    assert ran.code == 3, ran.err
    assert told in ran.err or not model
    assert not (tmp_path / "model").exists()


def test_outputs_must_be_named_rightly(convert: Callable[..., Ran]) -> None:
    for options, told in (
        (("--set", 'outputs={scores="other"}'), "of which --set outputs names none or others"),
        (("--set", 'outputs={label="counts"}'), "the outputs ['label']"),
        (("--set", "scores='odds'"), "scores that are 'odds'"),
        (("--set", 'outputs={mean="counts"}'), "40 genes, but 3 columns of mean"),
    ):
        ran = convert(graph(), *options)
        assert ran.code == 3
        assert told in ran.err
