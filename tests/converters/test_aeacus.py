"""aeacus' mixture of experts becomes a model: torch's answers, refusals, the shipped model."""

import json
import os

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("scipy")
pytest.importorskip("torch")

import torch
from shipped import ensure_same_answers
from torch import nn

from converters.aeacus.importer import Aeacus
from converters.importing.importer import Source
from converters.parity import run_graph
from zoo.errors import (
    FileMissing,
    ForbiddenGlobal,
    MissingWeights,
    UnequalLengths,
    UnreadableWeights,
    UnsupportedWeights,
)
from zoo.evaluation.cells import Placed

GENES = [f"GENE{i}" for i in range(9)]


class MoE(nn.Module):
    """The package's network (aeacus 0.6.0, network.py), for inference."""

    def __init__(self, genes, experts=2, hidden=6):
        super().__init__()

        def part(out):
            linear, norm = nn.Linear(genes, hidden), nn.LayerNorm(hidden)
            return nn.Sequential(linear, norm, nn.GELU(), nn.Dropout(0.3), nn.Linear(hidden, out))

        self.experts = nn.ModuleList([part(1) for _ in range(experts)])
        self.gate = part(experts)

    def forward(self, x):
        weights = torch.softmax(self.gate(x), dim=1)
        logits = torch.cat([expert(x) for expert in self.experts], dim=1)
        return (logits * weights).sum(dim=1)


def save(folder, *, genes=GENES, module=None, config=None, **changes):
    """The package's folder, with parts of the checkpoint changed."""
    torch.manual_seed(0)
    module = (module or MoE(len(GENES))).eval()
    rng = np.random.default_rng(0)
    checkpoint = {
        "model_state_dict": module.state_dict(),
        "train_mean": rng.random(len(GENES)).astype(np.float32),
        "train_std": np.r_[0.0, rng.random(len(GENES) - 1) + 0.5].astype(np.float32),
        "temperature": 0.8,
        "test_metrics": {"auroc": 0.9},
        **changes,
    }
    checkpoint = {name: part for name, part in checkpoint.items() if part is not None}
    folder.mkdir(exist_ok=True)
    torch.save(checkpoint, folder / "moe.pt")
    (folder / "geneorder.tsv").write_text("\n".join(genes) + "\n")
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return module, checkpoint


def read(path):
    return Aeacus().read(Source(path=path, format="aeacus"))


def feed(cells=40):
    counts = np.random.default_rng(1).poisson(4, (cells, len(GENES))).astype(np.float32)
    counts[0] = 0
    return {"counts": counts, "total_counts": counts.sum(axis=1, keepdims=True) * 2}


def asked(model, inputs):
    model.graph.keep_only(["label", "prob"])
    return run_graph(model.graph.finish({}), inputs)


def by_torch(module, checkpoint, inputs, temperature):
    total = np.maximum(inputs["total_counts"], 1e-9)
    x = np.log1p(inputs["counts"] * (1e6 / total))
    sd = np.where(checkpoint["train_std"] < 1e-6, 1, checkpoint["train_std"])
    x = torch.from_numpy(((x - checkpoint["train_mean"]) / sd).astype(np.float32))
    with torch.no_grad():
        return torch.sigmoid(module(x) / temperature).numpy()


def test_the_graph_answers_as_torch_does(tmp_path):
    module, checkpoint = save(tmp_path / "model")
    inputs = feed()
    expected = by_torch(module, checkpoint, inputs, 0.8)
    model = read(tmp_path / "model")
    found = asked(model, inputs)
    np.testing.assert_allclose(found["prob"][:, 1], expected, atol=2e-3)  # float16 first layers
    np.testing.assert_allclose(found["prob"].sum(axis=1), 1, atol=1e-6)
    placed = Placed(inputs["counts"], np.ones(len(GENES), np.float32), 1.0, inputs["total_counts"])
    told = model.answers(placed)
    np.testing.assert_allclose(told["prob"][:, 1], expected, atol=2e-6)
    assert (found["label"] == (found["prob"][:, 1] >= 0.5)).all()
    assert model.labels == ("Normal", "Malignant")
    assert "auroc 0.900" in model.provenance.known_training


def test_the_configuration_wins_over_the_checkpoint(tmp_path):
    module, checkpoint = save(tmp_path / "model", config={"temperature": 2.0, "threshold": 0.9})
    inputs = feed()
    found = asked(read(tmp_path / "model"), inputs)
    expected = by_torch(module, checkpoint, inputs, 2.0)
    np.testing.assert_allclose(found["prob"][:, 1], expected, atol=2e-3)
    assert (found["label"] == (found["prob"][:, 1] >= np.float32(0.9))).all()


def test_a_cells_scale_does_not_matter(tmp_path):
    save(tmp_path / "model")
    inputs = feed()
    model = read(tmp_path / "model")
    model.graph.keep_only(["prob"])
    graph = model.graph.finish({})
    whole = run_graph(graph, inputs)["prob"]
    for factor in (0.3, 7):
        scaled = {name: values * np.float32(factor) for name, values in inputs.items()}
        np.testing.assert_allclose(run_graph(graph, scaled)["prob"], whole, atol=1e-4)


# -- refusals ------------------------------------------------------------------------------------


class Evil:
    """Runs a command where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_checkpoint_with_code_is_refused_and_nothing_runs(tmp_path):
    save(tmp_path / "model", extra=Evil(tmp_path / "ran"))
    with pytest.raises(ForbiddenGlobal, match=r"system"):
        read(tmp_path / "model")
    assert not (tmp_path / "ran").exists()


def test_a_damaged_checkpoint_is_refused(tmp_path):
    save(tmp_path / "model")
    path = tmp_path / "model" / "moe.pt"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(UnreadableWeights):
        read(tmp_path / "model")


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(FileMissing):
        read(tmp_path / "nowhere")
    save(tmp_path / "model")
    (tmp_path / "model" / "geneorder.tsv").unlink()
    with pytest.raises(FileMissing, match="geneorder"):
        read(tmp_path / "model")


@pytest.mark.parametrize("part", ["train_mean", "train_std", "model_state_dict"])
def test_a_missing_part_is_refused(tmp_path, part):
    save(tmp_path / "model", **{part: None})
    with pytest.raises(MissingWeights, match=part):
        read(tmp_path / "model")


def test_a_missing_layer_is_refused(tmp_path):
    state = MoE(len(GENES)).state_dict()
    del state["gate.4.weight"]
    save(tmp_path / "model", model_state_dict=state)
    with pytest.raises(MissingWeights, match=r"gate\.4\.weight"):
        read(tmp_path / "model")


def test_genes_and_weights_of_different_length_are_refused(tmp_path):
    save(tmp_path / "model", genes=GENES[:-1])
    with pytest.raises(UnequalLengths, match="8 genes, but 9 inputs of the gate"):
        read(tmp_path / "model")
    save(tmp_path / "model", train_mean=np.zeros(5, np.float32))
    with pytest.raises(UnequalLengths, match="train_mean"):
        read(tmp_path / "model")


def test_another_number_of_experts_is_refused(tmp_path):
    save(tmp_path / "model", module=MoE(len(GENES), experts=3))
    with pytest.raises(UnsupportedWeights, match="3 experts"):
        read(tmp_path / "model")


def test_a_temperature_that_is_none_is_refused(tmp_path):
    save(tmp_path / "model", temperature=0.0)
    with pytest.raises(UnreadableWeights, match="temperature"):
        read(tmp_path / "model")


# -- the shipped model ---------------------------------------------------------------------------


def test_malignancy_aeacus_answers_as_aeacus_did():
    card = ensure_same_answers("malignancy-aeacus")
    assert card.task == "tumor_detection"
    assert "aeacus 0.6.0" in card.imported.reference
    assert "BSD-3-Clause" in card.imported.license
    assert card.training.cells is None
