"""The recipe `masked`: hidden genes are hidden, no label is read too early, few labels are few."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("scipy")
pytest.importorskip("sklearn")

from labelled_cells import labelled_cells  # noqa: E402

from converters.building.subject import TorchSubject  # noqa: E402
from converters.fit_run import FitRun  # noqa: E402
from converters.masked.few_labels import FewLabels  # noqa: E402
from converters.masked.fitting import head_of  # noqa: E402
from converters.masked.labelled_draw import draw_labelled  # noqa: E402
from converters.masked.pretraining import masked_loss, pretrain, random_mask  # noqa: E402
from converters.masked.recipe import Masked, MaskedSettings  # noqa: E402
from converters.vocabulary import genes_table  # noqa: E402
from zoo.evaluation.asked import Asked  # noqa: E402
from zoo.evaluation.cells import LabelledCells, Placed  # noqa: E402
from zoo.evaluation.measurements import Measurements, Setting  # noqa: E402
from zoo.vocabulary import GeneVocabulary  # noqa: E402

SETTINGS = MaskedSettings(
    genes=60, min_cells=1, hidden=16, embedding=6, epochs=30, batch=32, labels_per_class=20,
    label_counts=(2, 10), label_draws=3, calibration_repeats=1, table_size=64, dominant_share=1.0,
)  # fmt: skip


def fitted(settings=SETTINGS, cells=None, run=None):
    torch.set_num_threads(1)
    cells = labelled_cells() if cells is None else cells
    seen = cells.with_genes(Masked().genes(cells.of("train"), settings))
    return seen, Masked().fit(seen, settings, run or FitRun(0))


@pytest.fixture(scope="module")
def model():
    return fitted()


def answers(found, counts, present=None):
    present = np.ones(counts.shape[1], dtype=np.float32) if present is None else present
    with torch.no_grad():
        values = found.module(torch.from_numpy(counts), torch.from_numpy(present))
    names = [output.name for output in found.outputs]
    return {name: value.numpy() for name, value in zip(names, values, strict=True)}


def test_genes_and_encoder_do_not_hang_on_labels(model):
    cells = labelled_cells()
    other = replace(cells, label=np.roll(cells.label, 1))
    assert np.array_equal(
        Masked().genes(cells.of("train"), SETTINGS), Masked().genes(other.of("train"), SETTINGS)
    )
    _, again = fitted(cells=other)
    state = model[1].module.encoder.state_dict()
    for name, value in again.module.encoder.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_the_guess_does_not_see_hidden_genes_and_is_judged_by_them_alone(model):
    seen, _ = model
    counts = torch.from_numpy(seen.dense()[:8])
    encoder = pretrain(counts, SETTINGS.changed(pretrained=False), FitRun(0))
    shown = (torch.arange(counts.shape[1]) % 2).float()
    garbled = counts + 9 * (1 - shown)
    torch.testing.assert_close(encoder(counts, shown), encoder(garbled, shown))
    decoder = torch.nn.Linear(SETTINGS.embedding, counts.shape[1])
    masked_loss(encoder, decoder, garbled, counts, shown).backward()
    assert (decoder.bias.grad[shown == 1] == 0).all()
    assert (decoder.bias.grad[shown == 0] != 0).any()


def test_masks_hide_the_share_that_is_asked_for():
    generator = torch.Generator().manual_seed(0)
    masks = torch.stack([random_mask(torch.zeros(200), SETTINGS, generator) for _ in range(100)])
    hidden = 1 - masks.mean(dim=1)
    assert 0.14 < hidden.min() < 0.25
    assert 0.85 < hidden.max() < 0.96


def test_pretraining_learns_to_guess(model):
    seen, _ = model
    counts = torch.from_numpy(seen.of("train").dense())
    losses = []
    run = FitRun(0)
    run.report = lambda loss, validation=None: losses.append(loss)
    pretrain(counts, SETTINGS, run)
    assert losses[-1] < 0.9 * losses[0]


def test_learns_labels_from_few(model):
    seen, found = model
    fresh = labelled_cells(seed=3)
    fresh = fresh.with_genes(np.flatnonzero(np.isin(fresh.symbols, seen.symbols)))
    said = answers(found, fresh.dense())
    assert (said["label"] == fresh.label).mean() > 0.85
    assert said["in_set"][np.arange(len(fresh)), fresh.label].mean() > 0.8
    assert found.facts["labelled cells of the head"] == 60
    assert "beside those of the head" in found.calibration.data


def test_a_draw_takes_at_most_so_many_of_each_class():
    labels = np.array([0] * 30 + [1] * 4 + [-1] * 10)
    rows = draw_labelled(labels, 5, np.random.default_rng(0))
    assert np.bincount(labels[rows]).tolist() == [5, 4]
    assert (np.diff(rows) > 0).all()


def test_a_head_knows_absent_classes_and_two_classes():
    rng = np.random.default_rng(0)
    e = rng.normal(size=(40, 3)).astype(np.float32)
    labels = np.where(e[:, 0] > 0, 2, 0)
    head = head_of(e, labels, 3, SETTINGS)
    logits = head(torch.from_numpy(e))
    assert (logits.argmax(dim=1).numpy() == labels).mean() > 0.9
    assert not (logits.argmax(dim=1) == 1).any()


@pytest.mark.parametrize("factor", [0.3, 7.0])
def test_scale_of_a_cell_does_not_matter(model, factor):
    seen, found = model
    counts = seen.dense()[:60]
    plain, scaled = answers(found, counts), answers(found, counts * np.float32(factor))
    for name in ("label", "prob", "embedding"):
        np.testing.assert_allclose(plain[name], scaled[name], atol=1e-4)


def test_absent_genes_and_empty_cells(model):
    seen, found = model
    present = np.ones(len(seen.symbols), dtype=np.float32)
    present[::2] = 0
    counts = seen.dense()[:30]
    plain = answers(found, counts, present)
    garbled = answers(found, counts + 50 * (1 - present), present)
    for name, values in plain.items():
        np.testing.assert_array_equal(values, garbled[name])
    for shown in (present, np.zeros_like(present)):
        said = answers(found, np.zeros((1, len(present)), np.float32), shown)
        assert all(np.isfinite(values.astype(float)).all() for values in said.values())


def rows_of(model, *, present=None, role="test"):
    seen, found = model
    weight = np.full(len(seen.symbols), 1 / len(seen.symbols), dtype=np.float32)
    vocabulary = GeneVocabulary.parse(genes_table(seen.symbols, None, weight), model="made")
    subject = TorchSubject(found, vocabulary)
    known = seen.part == "train"

    def cells(keep):
        part = seen.where(keep)
        shown = np.ones(len(seen.symbols), np.float32) if present is None else present
        return LabelledCells(Placed(part.dense() * shown, shown, 1.0), part.labels, part.label)

    told = Setting(
        key="set", dataset="set", role=role, condition="all", donor_independent=None,
        study_independent=None, gene_coverage=1.0,
    )  # fmt: skip
    everything = np.ones(len(seen.symbols), np.float32)
    training = seen.where(known)
    learned = LabelledCells(
        Placed(training.dense(), everything, 1.0), training.labels, training.label
    )
    held_out = cells(~known)
    into = Measurements(0)
    measurer = Masked().measurer(subject, learned, SETTINGS)
    assert isinstance(measurer, FewLabels)
    measurer(Asked(subject, held_out, subject.ask(held_out.placed), told, into))
    return {(row.method, row.metric): row for row in into.rows}


def test_rows_of_few_labels_stand_beside_those_of_plain_classifiers(model):
    rows = rows_of(model)
    methods = ("model", "logistic_regression", "pca32_logistic")
    assert set(rows) == {(m, f"accuracy_{n}_labels") for m in methods for n in (2, 10)}
    for row in rows.values():
        assert row.interval[0] <= row.value <= row.interval[1]
        assert row.interval_method == "range over draws"
    assert rows["model", "accuracy_10_labels"].value > 0.7


def test_missing_genes_add_classifiers_of_shared_genes(model):
    present = (np.arange(60) % 2).astype(np.float32)
    rows = rows_of(model, present=present)
    assert ("logistic_regression_shared_genes", "accuracy_2_labels") in rows
    assert ("pca32_logistic_shared_genes", "accuracy_10_labels") in rows


def test_neighbours_have_rows_of_the_model_alone(model):
    assert {method for method, _ in rows_of(model, role="ablation")} == {"model"}


def test_a_fit_that_was_stopped_goes_on(model, tmp_path):
    fitted(run=FitRun(0, folder=tmp_path))
    run = FitRun(0, folder=tmp_path)
    _, again = fitted(run=run)
    assert run.resumed
    for name, value in again.module.state_dict().items():
        assert torch.equal(value, model[1].module.state_dict()[name]), name


@pytest.mark.slow
def test_onnx_gives_what_torch_gives(model):
    from converters.onnx_export import to_onnx
    from converters.parity import measured_tolerances, run_graph

    seen, found = model
    feed = {"counts": seen.dense(), "gene_present": np.ones(len(seen.symbols), np.float32)}
    shown = {
        "counts": torch.from_numpy(feed["counts"][:8]),
        "gene_present": torch.from_numpy(feed["gene_present"]),
    }
    names = [output.name for output in found.outputs]
    graph = to_onnx(
        found.module, shown, names, name="simulated", version="1.0.0", genes_table=b"genes"
    )
    measured_tolerances(
        run_graph(graph, feed), answers(found, feed["counts"]), dict(found.tolerances)
    )
