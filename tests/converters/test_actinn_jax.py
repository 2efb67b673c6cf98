"""References of actinn-jax become models: hierarchy, refusals, the shipped panhuman-actinn."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("scipy")

from shipped import ensure_same_answers, shipped

from converters.actinn_jax.importer import ActinnJax
from converters.actinn_jax.saved_model import Hierarchy, Network
from converters.importing.importer import Source
from converters.parity import run_graph
from zoo.errors import (
    FileMissing,
    MissingWeights,
    UnequalLengths,
    UnreadableWeights,
    UnsupportedWeights,
    WeightsNotFinite,
)

GENES = [f"ENSG{i:011d}" for i in range(12)]
GROUPS = {"alpha": "endocrine", "beta": "endocrine", "gamma": "endocrine", "T": "immune"}
GROUPS |= {"B": "immune", "neuron": "neuron"}


def save_network(stem, classes, seed, *, chosen=(0, 2, 3, 5, 7, 8, 11), **changes):
    """What actinn-jax writes for one network, with parts changed."""
    rng = np.random.default_rng(seed)
    sizes = [len(chosen), 6, 5, len(classes)]
    parts = {"select_idx": np.array(chosen)}
    for k, (before, after) in enumerate(pairwise(sizes), start=1):
        parts[f"W{k}"] = rng.normal(0, 0.8, (before, after)).astype(np.float32)
        parts[f"b{k}"] = rng.normal(0, 0.5, after).astype(np.float32)
    parts |= changes
    np.savez(f"{stem}.npz", **{name: part for name, part in parts.items() if part is not None})
    Path(f"{stem}.json").write_text(json.dumps({"norm_genes": GENES, "classes": classes}))


@pytest.fixture
def reference(tmp_path):
    """A hierarchy with two groups of several classes, and one of a single class."""
    folder = tmp_path / "reference"
    folder.mkdir()
    groups = sorted(set(GROUPS.values()))
    save_network(folder / "coarse", groups, 0)
    for k, group in enumerate(groups):
        members = sorted(name for name in GROUPS if GROUPS[name] == group)
        if len(members) > 1:
            save_network(folder / f"fine_{group}", members, k + 1, chosen=(1, 2, 4, 6, 9))
    single = {g: (None if g != "neuron" else "neuron") for g in groups}
    manifest = {
        "type_to_group": GROUPS,
        "classes": list(GROUPS),
        "class_to_cl": {"T": "CL:0000084", "neuron": "unmapped"},
        "fine": {group: {"single_label": label} for group, label in single.items()},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def read(path, **settings):
    return ActinnJax().read(Source(path=path, format="actinn-jax", settings=settings))


def asked(model, counts):
    model.graph.keep_only(["label", "prob"])
    return run_graph(model.graph.finish({}), {"counts": counts})


def counts_of(cells, seed=0):
    return np.random.default_rng(seed).poisson(3, (cells, len(GENES))).astype(np.float32)


def by_the_package(model, counts):
    """The rules of actinn_jax/hierarchy.py, written out cell by cell in float64."""

    def softmax(network, x):
        for k, (weight, bias) in enumerate(network.layers):
            x = (np.maximum(x, 0) if k else x) @ weight.astype(np.float64) + bias
        e = np.exp(x - x.max())
        return e / e.sum()

    labels, probs = [], []
    for cell in counts.astype(np.float64):
        x = np.log2(1 + cell * (1e4 / cell.sum() if cell.sum() else 0))
        coarse = softmax(model.coarse, x)
        prob = np.zeros(len(model.classes))
        for k, group in enumerate(model.coarse.classes):
            if group in model.fine:
                within = softmax(model.fine[group], x)
                for name, p in zip(model.fine[group].classes, within, strict=True):
                    prob[model.classes.index(name)] = coarse[k] * p
            else:
                (only,) = [i for i, g in enumerate(model.group_of) if g == k]
                prob[only] = coarse[k]
        members = np.flatnonzero(model.group_of == coarse.argmax())
        labels.append(members[prob[members].argmax()])
        probs.append(prob)
    return np.array(labels), np.array(probs)


def test_the_graph_answers_by_the_rules_of_the_package(reference):
    counts = counts_of(60)
    counts[0] = 0
    label, prob = by_the_package(Hierarchy.read(reference), counts)
    found = asked(read(reference, half="false"), counts)
    assert (found["label"] == label).all()
    np.testing.assert_allclose(found["prob"], prob, atol=2e-6)
    np.testing.assert_allclose(found["prob"].sum(axis=1), 1, atol=1e-5)
    half = asked(read(reference), counts)
    np.testing.assert_allclose(half["prob"], prob, atol=5e-3)


def test_the_label_follows_the_group_and_not_the_largest_product(reference):
    """A single class wins by product, but the group of three wins on the first level."""
    coarse = {"W1": np.zeros((7, 6), np.float32), "W2": np.zeros((6, 5), np.float32)}
    coarse |= {"b1": np.zeros(6, np.float32), "b2": np.zeros(5, np.float32)}
    coarse |= {"W3": np.zeros((5, 3), np.float32), "b3": np.log([0.5, 0.1, 0.4])}
    save_network(reference / "coarse", ["endocrine", "immune", "neuron"], 0, **coarse)
    save_network(
        reference / "fine_endocrine", ["alpha", "beta", "gamma"], 0,
        W3=np.zeros((5, 3), np.float32), b3=np.log([0.3, 0.4, 0.3]),
    )  # fmt: skip
    found = asked(read(reference, half="false"), counts_of(3))
    assert [list(GROUPS)[k] for k in found["label"]] == ["beta"] * 3
    assert found["prob"][0].argmax() == list(GROUPS).index("neuron")


def test_a_cells_scale_does_not_matter(reference):
    counts = counts_of(20)
    model = read(reference)
    assert model.value_kinds == ("counts", "log_normalized")
    model.graph.keep_only(["label", "prob"])
    graph = model.graph.finish({})
    whole = run_graph(graph, {"counts": counts})
    for factor in (0.3, 7):
        scaled = run_graph(graph, {"counts": counts * np.float32(factor)})
        np.testing.assert_allclose(scaled["prob"], whole["prob"], atol=1e-4)


def test_numpy_gives_the_same_answers(reference):
    from zoo.evaluation.cells import Placed

    counts, model = counts_of(30), read(reference, half="false")
    told = model.answers(Placed(counts, np.ones(len(GENES), np.float32), 1.0))
    found = asked(model, counts)
    assert (found["label"] == told["label"]).all()
    np.testing.assert_allclose(found["prob"], told["prob"], atol=2e-6)


def test_a_single_network_and_its_standardization(tmp_path):
    mean, sd = np.linspace(0, 2, 7), np.linspace(0.5, 3, 7)
    save_network(tmp_path / "flat", ["B", "T"], 0, scale_mu=mean, scale_sd=sd)
    counts = counts_of(10)
    found = asked(read(tmp_path / "flat.npz", half="false"), counts)
    plain = Network.read(tmp_path / "flat.npz")
    with np.load(tmp_path / "flat.npz") as parts:
        x = np.log2(1 + counts * (1e4 / counts.sum(axis=1, keepdims=True)))
        h = (x[:, parts["select_idx"]] - mean) / sd @ parts["W1"] + parts["b1"]
        for k in (2, 3):
            h = np.maximum(h, 0) @ parts[f"W{k}"] + parts[f"b{k}"]
    assert (found["label"] == h.argmax(axis=1)).all()
    assert plain.classes == ("B", "T")


def test_symbols_are_added_to_known_ids_and_ontology_ids_are_kept(reference):
    told = json.loads((reference / "coarse.json").read_text())
    for path in reference.glob("*.json"):
        text = path.read_text().replace(told["norm_genes"][0], "ENSG00000187634")
        path.write_text(text)
    model = read(reference)
    assert model.genes.symbols[0] == "SAMD11"
    assert model.genes.symbols[1] == ""
    assert model.label_ids == {"T": "CL:0000084"}
    assert model.labels == tuple(GROUPS)


# -- refusals ------------------------------------------------------------------------------------


def test_a_damaged_archive_is_refused(reference):
    path = reference / "coarse.npz"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UnreadableWeights, match=r"no intact \.npz"):
        read(reference)


def test_an_archive_with_code_is_refused(reference):
    np.savez(reference / "coarse.npz", W1=np.array([print], dtype=object))
    with pytest.raises(UnreadableWeights):
        read(reference)


def test_a_missing_network_is_refused(reference):
    (reference / "fine_immune.npz").unlink()
    with pytest.raises(FileMissing, match="fine_immune"):
        read(reference)


def test_a_group_without_its_network_is_refused(reference):
    told = json.loads((reference / "manifest.json").read_text())
    told["fine"]["immune"] = {"single_label": "T"}
    (reference / "manifest.json").write_text(json.dumps(told))
    with pytest.raises(MissingWeights, match="fine_immune"):
        read(reference)


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"W2": None}, UnequalLengths, "columns of the last W"),
        ({"W1": None}, MissingWeights, "W1"),
        ({"b2": np.zeros(4, np.float32)}, UnequalLengths, "values of 'b2'"),
        ({"W1": np.zeros((9, 6), np.float32)}, UnequalLengths, "chosen genes"),
        ({"select_idx": np.arange(40, 47)}, UnreadableWeights, "past the genes"),
        ({"b1": np.full(6, np.nan, np.float32)}, WeightsNotFinite, "b1"),
    ],
)
def test_parts_that_do_not_fit_are_refused(reference, changes, error, said):
    save_network(reference / "coarse", ["endocrine", "immune", "neuron"], 0, **changes)
    with pytest.raises(error, match=said):
        read(reference)


def test_networks_of_other_genes_are_refused(reference):
    path = reference / "fine_immune.json"
    path.write_text(path.read_text().replace(GENES[1], "ENSG99999999999"))
    with pytest.raises(UnsupportedWeights, match="fine networks whose genes"):
        read(reference)


def test_json_that_is_none_is_refused(reference):
    (reference / "manifest.json").write_text("{")
    with pytest.raises(UnreadableWeights, match="no JSON"):
        read(reference)


# -- the shipped model ---------------------------------------------------------------------------


def test_panhuman_actinn_answers_as_actinn_jax_did():
    card = ensure_same_answers("panhuman-actinn")
    assert card.imported.format == "actinn-jax"
    assert "actinn-jax 0.3.1" in card.imported.reference
    assert "10.64898/2026.07.16.738997" in card.imported.attribution
    assert card.calibration is None


def test_panhuman_actinn_is_no_larger_than_it_says():
    folder = shipped("panhuman-actinn")
    sizes = {path.name: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    assert sizes.pop("explain.onnx", 0) < 4_500_000
    assert sum(sizes.values()) < 9_000_000
    assert "larger than 5 MB" in (folder / "README.md").read_text(encoding="utf-8")
