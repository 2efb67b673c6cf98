"""STCAT's three pickles become one model: the cascade, refusals, and the shipped tcell-stcat."""

import pickle  # noqa: TID251 -- what is read as data must be written somehow

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("scipy")
pytest.importorskip("sklearn")

from shipped import ensure_same_answers
from sklearn.linear_model import SGDClassifier
from sklearn.preprocessing import StandardScaler

from converters.importing.importer import Source
from converters.parity import run_graph
from converters.stcat.importer import Stcat
from converters.stcat.linear_models import FILES, NO_T_CELL, UNCONVENTIONAL
from zoo.errors import (
    FileMissing,
    ForbiddenGlobal,
    MissingWeights,
    UnequalLengths,
    UnreadableWeights,
)
from zoo.evaluation.cells import Placed

CD4, CD8 = ["CD4 Tn", "CD4 Treg", "CD4 Tcm"], ["CD8 Tn", "CD8 Tem"]
GENES = {
    "all": [f"GENE{i}" for i in range(10)] + ["CD3E"],
    "cd4": [f"GENE{i}" for i in range(4, 12)],
    "cd8": ["CD8A", *(f"GENE{i}" for i in range(2, 9))],
}
CLASSES = {"all": sorted([*CD4, *CD8, *UNCONVENTIONAL]), "cd4": sorted(CD4), "cd8": sorted(CD8)}


def trained(genes, classes, seed):
    """A scaler and a classifier, fitted as CellTypist does."""
    rng = np.random.default_rng(seed)
    x = rng.gamma(2.0, 1.0, (30 * len(classes), len(genes)))
    y = np.repeat(np.array(classes), 30)
    scaler = StandardScaler().fit(x)
    model = SGDClassifier(loss="log_loss", random_state=seed, max_iter=20, tol=None)
    model.fit(np.minimum(scaler.transform(x), 10), y)
    if len(classes) == 2:
        # scikit-learn keeps one row for two classes.
        assert model.coef_.shape[0] == 1
    model.features = np.array(genes, dtype=object)
    return {"Model": model, "Scaler_": scaler, "description": {"date": "", "details": "made up"}}


@pytest.fixture
def folder(tmp_path):
    for k, (key, name) in enumerate(FILES.items()):
        content = trained(GENES[key], CLASSES[key], k)
        (tmp_path / name).write_bytes(pickle.dumps(content))
    return tmp_path


def change(folder, key, edit):
    """Write one of the pickles again, changed."""
    path = folder / FILES[key]
    content = pickle.loads(path.read_bytes())
    edit(content)
    path.write_bytes(pickle.dumps(content))


def read(folder):
    return Stcat().read(Source(path=folder, format="stcat"))


def feed(model, cells=120, absent=()):
    rng = np.random.default_rng(3)
    genes = list(model.genes.symbols)
    counts = rng.poisson(1.5, (cells, len(genes))).astype(np.float32)
    counts[:20, [genes.index(name) for name in ("CD3D", "CD3E", "CD3G")]] = 0
    present = np.array([name not in absent for name in genes], dtype=np.float32)
    counts *= present
    total = counts.sum(axis=1, keepdims=True) + rng.integers(5, 60, (cells, 1))
    return {"counts": counts, "gene_present": present, "total_counts": total.astype(np.float32)}


def by_the_package(folder, model, inputs):
    """The cell-by-cell rules of STCAT.STCAT and its `annotate`, with scikit-learn itself."""
    genes = list(model.genes.symbols)
    x = np.log1p(inputs["counts"] * (1e4 / inputs["total_counts"]))
    scores = {}
    for key, name in FILES.items():
        content = pickle.loads((folder / name).read_bytes())
        classifier, scaler = content["Model"], content["Scaler_"]
        known = [i for i, g in enumerate(GENES[key]) if inputs["gene_present"][genes.index(g)]]
        columns = [genes.index(GENES[key][i]) for i in known]
        z = np.minimum((x[:, columns] - scaler.mean_[known]) / scaler.scale_[known], 10)
        s = z @ classifier.coef_[:, known].T + classifier.intercept_
        scores[key] = np.column_stack([-s, s]) if s.shape[1] == 1 else s

    def count(*names):
        return inputs["counts"][:, [genes.index(name) for name in names]].sum(axis=1)

    labels = [*CLASSES["cd4"], *CLASSES["cd8"], *UNCONVENTIONAL, NO_T_CELL]
    label, prob = [], np.zeros((len(x), len(labels)))
    for i in range(len(x)):
        first = CLASSES["all"][scores["all"][i].argmax()]
        if count("CD3D", "CD3E", "CD3G")[i] == 0:
            label.append(NO_T_CELL)
            prob[i, -1] = 1
            continue
        if first in UNCONVENTIONAL:
            label.append(first)
            key, names = "all", UNCONVENTIONAL
        else:
            key = "cd8" if count("CD8A", "CD8B")[i] > count("CD4")[i] else "cd4"
            names = CLASSES[key]
            label.append(names[scores[key][i].argmax()])
        for name in names:
            sigmoid = 1 / (1 + np.exp(-scores[key][i, CLASSES[key].index(name)]))
            prob[i, labels.index(name)] = sigmoid
    return labels, np.array(label), prob


@pytest.mark.parametrize("absent", [(), ("GENE5", "GENE7", "CD8A"), ("CD3D", "CD3E", "CD3G")])
def test_the_graph_answers_by_the_rules_of_the_package(folder, absent):
    model = read(folder)
    inputs = feed(model, absent=absent)
    labels, label, prob = by_the_package(folder, model, inputs)
    assert list(model.labels) == labels
    model.graph.keep_only(["label", "prob"])
    found = run_graph(model.graph.finish({}), inputs)
    assert (np.array(labels)[found["label"]] == label).all()
    np.testing.assert_allclose(found["prob"], prob, atol=1e-4)
    placed = Placed(inputs["counts"], inputs["gene_present"], 1.0, inputs["total_counts"])
    told = model.answers(placed)
    assert (told["label"] == found["label"]).all()
    np.testing.assert_allclose(told["prob"], prob, atol=1e-6)
    if not absent:
        assert len(set(label)) > 5, "the test sees every branch"


def test_a_cells_scale_does_not_matter(folder):
    model = read(folder)
    inputs = feed(model)
    model.graph.keep_only(["label", "prob"])
    graph = model.graph.finish({})
    whole = run_graph(graph, inputs)
    for factor in (0.3, 7):
        scaled = {
            name: values if name == "gene_present" else values * np.float32(factor)
            for name, values in inputs.items()
        }
        found = run_graph(graph, scaled)
        np.testing.assert_allclose(found["prob"], whole["prob"], atol=1e-4)


def test_the_vocabulary_holds_the_genes_of_the_rules(folder):
    model = read(folder)
    assert {"CD3D", "CD3E", "CD3G", "CD4", "CD8A", "CD8B"} <= set(model.genes.symbols)
    assert len(model.genes) == len(set(model.genes.symbols))
    assert model.gene_weight.sum() == pytest.approx(1)
    assert model.prob_kind == "independent"


# -- refusals ------------------------------------------------------------------------------------


def test_a_missing_file_is_refused(folder):
    (folder / FILES["cd8"]).unlink()
    with pytest.raises(FileMissing, match="cd8"):
        read(folder)


def test_a_damaged_pickle_is_refused(folder):
    path = folder / FILES["cd4"]
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(UnreadableWeights):
        read(folder)


def test_a_pickle_with_code_is_refused(folder):
    change(folder, "all", lambda content: content.update(extra=np.random.default_rng))
    with pytest.raises(ForbiddenGlobal, match="default_rng"):
        read(folder)


def test_a_missing_scaler_is_refused(folder):
    change(folder, "cd4", lambda content: content.pop("Scaler_"))
    with pytest.raises(MissingWeights, match="Scaler_"):
        read(folder)


def test_a_model_that_names_no_unconventional_cell_is_refused(folder):
    def rename(content):
        names = content["Model"].classes_.astype(object)
        names[list(names).index("MAIT")] = "other"
        content["Model"].classes_ = names

    change(folder, "all", rename)
    with pytest.raises(MissingWeights, match="MAIT"):
        read(folder)


def test_genes_and_weights_of_different_length_are_refused(folder):
    def shorten(content):
        content["Model"].features = content["Model"].features[:-1]

    change(folder, "cd8", shorten)
    with pytest.raises(UnequalLengths, match="7 genes, but 8 columns of coef_"):
        read(folder)


# -- the shipped model ---------------------------------------------------------------------------


def test_tcell_stcat_answers_as_stcat_did():
    card = ensure_same_answers("tcell-stcat")
    assert card.prob_kind == "independent"
    assert "STCAT 1.1.2" in card.imported.reference
    assert card.calibration is None
    rows = {row.id: row for row in card.evaluation}
    # The card shows the baselines that beat the model.
    assert rows["pbmc3k-t.majority.accuracy"].value > rows["pbmc3k-t.model.accuracy"].value
