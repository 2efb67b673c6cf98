"""The recipe `logistic`: its graph is scikit-learn's regression, in CellTypist's form."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("scipy")
sklearn_linear = pytest.importorskip("sklearn.linear_model")

from labelled_cells import labelled_cells  # noqa: E402

from converters.fit_run import FitRun  # noqa: E402
from converters.logistic.recipe import Logistic, LogisticSettings  # noqa: E402

SETTINGS = LogisticSettings(
    top_genes=10, embedding=5, calibration_repeats=1, table_size=64, shrinkage=0.2
)


def fitted(cells, settings=SETTINGS, run=None):
    torch.set_num_threads(1)
    columns = Logistic().genes(cells.of("train"), settings)
    seen = cells.with_genes(columns)
    return seen, Logistic().fit(seen, settings, run or FitRun(0))


def answers(found, cells, *, present=None, totals=None, counts=None):
    counts = cells.dense() if counts is None else counts
    totals = cells.total_counts[:, None] if totals is None else totals
    present = np.ones(counts.shape[1], dtype=np.float32) if present is None else present
    with torch.no_grad():
        values = found.module(*(torch.from_numpy(v) for v in (counts, present, totals)))
    names = [output.name for output in found.outputs]
    return {name: value.numpy() for name, value in zip(names, values, strict=True)}


@pytest.fixture(scope="module")
def model():
    return fitted(labelled_cells())


def by_sklearn(seen):
    """Probabilities [cells, classes] and decisions of CellTypist's steps, from their parts."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    logs = np.log1p(seen.dense() / seen.total_counts[:, None] * 1e4)
    training = seen.part == "train"
    scaler = StandardScaler().fit(logs[training])
    z = np.minimum(scaler.transform(logs), 10)
    probabilities, decisions = [], []
    for k in range(len(seen.labels)):
        one = LogisticRegression(C=1.0, max_iter=1000).fit(z[training], seen.label[training] == k)
        probabilities.append(one.predict_proba(z)[:, 1])
        decisions.append(one.decision_function(z))
    return np.stack(probabilities, axis=1), np.stack(decisions, axis=1), z


def test_graph_gives_sklearns_probabilities(model):
    seen, found = model
    prob, decisions, z = by_sklearn(seen)
    plain = found.module
    network = plain.network
    totals = torch.from_numpy(seen.total_counts)[:, None]
    logits, _ = network(torch.from_numpy(seen.dense()), torch.ones(z.shape[1]), totals)
    np.testing.assert_allclose(torch.sigmoid(logits).numpy(), prob, atol=2e-4)
    said = answers(found, seen)
    temperature = float(plain.confidence.temperature[-1])
    np.testing.assert_allclose(said["prob"], 1 / (1 + np.exp(-decisions / temperature)), atol=2e-4)
    assert (said["label"] == decisions.argmax(axis=1)).all()
    assert found.prob_kind == "independent"


def test_learns_labels(model):
    seen, found = model
    fresh = labelled_cells(seed=3)
    columns = np.flatnonzero(np.isin(fresh.symbols, seen.symbols))
    fresh = fresh.with_genes(columns)
    said = answers(found, fresh)
    assert (said["label"] == fresh.label).mean() > 0.9
    assert said["in_set"][np.arange(len(fresh)), fresh.label].mean() > 0.8


def test_absent_genes_are_zero_after_scaling(model):
    seen, found = model
    present = np.ones(seen.counts.shape[1], dtype=np.float32)
    present[::2] = 0
    network = found.module.network
    totals = torch.from_numpy(seen.total_counts)[:, None]
    z = network.scaling(torch.from_numpy(seen.dense()), torch.from_numpy(present), totals)
    assert (z[:, ::2] == 0).all()
    garbled = seen.dense() + 50 * (1 - present)
    first, second = (
        answers(found, seen, present=present, counts=counts) for counts in (seen.dense(), garbled)
    )
    np.testing.assert_array_equal(first["prob"], second["prob"])


@pytest.mark.parametrize("factor", [0.3, 7.0])
def test_scale_of_a_cell_does_not_matter(model, factor):
    seen, found = model
    factor = np.float32(factor)
    scaled = answers(
        found, seen, counts=seen.dense() * factor, totals=seen.total_counts[:, None] * factor
    )
    said = answers(found, seen)
    np.testing.assert_array_equal(scaled["label"], said["label"])
    np.testing.assert_allclose(scaled["prob"], said["prob"], atol=1e-5)


def test_empty_cells_give_finite_numbers(model):
    seen, found = model
    zeros = np.zeros((1, seen.counts.shape[1]), dtype=np.float32)
    for present in (np.zeros(zeros.shape[1], np.float32), np.ones(zeros.shape[1], np.float32)):
        said = answers(
            found, seen, counts=zeros, totals=np.zeros((1, 1), np.float32), present=present
        )
        assert all(np.isfinite(values.astype(float)).all() for values in said.values())


def test_genes_are_those_with_the_largest_coefficients_or_all_that_are_seen():
    cells = labelled_cells()
    lonely = cells.counts.tolil()
    lonely[:, 5] = 0
    cells = replace(cells, counts=lonely.tocsr())
    few = Logistic().genes(cells, SETTINGS)
    assert 10 <= len(few) <= 30
    assert (np.diff(few) > 0).all()
    everything = Logistic().genes(cells, replace(SETTINGS, top_genes=0))
    assert 5 not in everything
    assert len(everything) == 79


def test_a_class_without_training_cells_is_never_named():
    cells = labelled_cells(rare=6)
    part = np.where(cells.label == 3, "validation", cells.part)
    seen, found = fitted(replace(cells, part=part))
    said = answers(found, seen)
    assert not (said["label"] == 3).any()
    assert (said["prob"][:, 3] < 1e-3).all()


def test_a_fit_that_was_stopped_takes_up_its_finished_regressions(tmp_path, model):
    found = model[1]
    cells = labelled_cells()
    fitted(cells, run=FitRun(0, folder=tmp_path))
    run = FitRun(0, folder=tmp_path)
    _, again = fitted(cells, run=run)
    assert run.resumed
    for name, value in again.module.state_dict().items():
        assert torch.equal(value, found.module.state_dict()[name]), name


@pytest.mark.slow
def test_onnx_gives_what_torch_gives(model):
    from converters.onnx_export import to_onnx
    from converters.parity import measured_tolerances, run_graph

    seen, found = model
    counts, totals = seen.dense(), seen.total_counts[:, None]
    feed = {
        "counts": counts,
        "gene_present": np.ones(counts.shape[1], dtype=np.float32),
        "total_counts": totals,
    }
    shown = {
        name: torch.from_numpy(value if name == "gene_present" else value[:8])
        for name, value in feed.items()
    }
    names = [output.name for output in found.outputs]
    graph = to_onnx(
        found.module, shown, names, name="simulated", version="1.0.0", genes_table=b"genes"
    )
    ran = run_graph(graph, feed)
    measured_tolerances(ran, answers(found, seen), dict(found.tolerances))
    decisions = by_sklearn(seen)[1]
    temperature = float(found.module.confidence.temperature[-1])
    np.testing.assert_allclose(ran["prob"], 1 / (1 + np.exp(-decisions / temperature)), atol=2e-4)
