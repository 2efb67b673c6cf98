"""The recipe `celltype` on any labelled cells: genes, fit, limits, and training that is resumed."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("scipy")

from labelled_cells import labelled_cells  # noqa: E402

from converters.celltype.limits import first_acceptable  # noqa: E402
from converters.celltype.recipe import CellType, CellTypeSettings  # noqa: E402
from converters.fit_run import FitRun  # noqa: E402
from zoo.recipes import TrainWatch  # noqa: E402

SETTINGS = CellTypeSettings(
    genes=60,
    markers=15,
    members=2,
    hidden=16,
    embedding=4,
    epochs=4,
    steps_per_epoch=30,
    learning_rate=5e-3,
    batch=32,
    dropout=0.1,
    dominant_share=0.2,
    smallest_fraction=0.5,
    calibration_repeats=1,
    table_size=64,
)


def fitted(cells, settings=SETTINGS, run=None):
    torch.set_num_threads(1)
    columns = CellType().genes(cells.of("train"), settings)
    seen = cells.with_genes(columns)
    return seen, CellType().fit(seen, settings, run or FitRun(0))


def answers(found, counts, present=None):
    genes = counts.shape[1]
    present = torch.ones(genes) if present is None else present
    with torch.no_grad():
        values = found.module(torch.from_numpy(counts), present)
    names = [output.name for output in found.outputs]
    return {name: value.numpy() for name, value in zip(names, values, strict=True)}


@pytest.fixture(scope="module")
def model():
    return fitted(labelled_cells())


def test_learns_labels_and_says_how_it_was_calibrated(model):
    _, found = model
    seen = labelled_cells(seed=1).with_genes(
        CellType().genes(labelled_cells().of("train"), SETTINGS)
    )
    said = answers(found, seen.dense())
    assert (said["label"] == seen.label).mean() > 0.95
    covered = said["in_set"][np.arange(len(seen)), seen.label].mean()
    assert covered > 0.8
    assert found.labels == ("acinar", "beta", "ductal")
    assert found.calibration.cells == 99
    assert found.calibration.pooled_classes == []
    assert found.calibration.alpha == SETTINGS.alpha
    assert found.gene_weight.sum() == pytest.approx(1, abs=1e-5)


def test_limits_follow_from_the_accuracies_that_are_kept(model):
    _, found = model
    steps = {
        float(name.split()[2]): value
        for name, value in found.facts.items()
        if name.endswith("counts")
    }
    acceptable = min(SETTINGS.acceptable_accuracy, 0.9)
    expected = first_acceptable(list(steps), list(steps.values()), acceptable)
    assert found.thresholds.min_counts == expected
    assert 0 < found.gene_coverage <= 0.4


@pytest.mark.parametrize("mouse", [False, True])
def test_genes_of_a_cells_state_are_left_out_in_both_species(mouse):
    cells = labelled_cells(mouse=mouse)
    chosen = CellType().genes(cells, replace(SETTINGS, genes=80))
    assert (np.diff(chosen) > 0).all()
    symbols = set(np.char.upper(cells.symbols[chosen]).tolist())
    assert not symbols & {"MT-CO1", "XIST", "ISG15"}
    assert len(chosen) == 77


def test_many_classes_share_the_vocabulary():
    cells = labelled_cells()
    chosen = CellType().genes(cells, replace(SETTINGS, genes=12, markers=50))
    assert len(chosen) == 12


def test_cells_without_a_label_teach_nothing():
    cells = labelled_cells()
    label = cells.label.copy()
    strange = cells.counts.copy().tolil()
    strange[:30] = 99
    label[:30] = -1
    with_strangers = replace(cells, counts=strange.tocsr(), label=label)
    without = with_strangers.where(label >= 0)
    first, _ = fitted(with_strangers)
    second, _ = fitted(without)
    assert first.symbols.tolist() == second.symbols.tolist()


def test_a_rare_type_shares_pooled_scores_and_a_class_without_training_cells_lies_far_away():
    cells = labelled_cells(rare=6)
    _, found = fitted(cells)
    assert found.calibration.pooled_classes == ["schwann"]
    # All cells of the type are held out, as where they come from the donor that is left out.
    part = np.where(cells.label == 3, "validation", cells.part)
    seen, found = fitted(replace(cells, part=part))
    said = answers(found, seen.of("validation").dense())
    assert all(np.isfinite(values.astype(float)).all() for values in said.values())
    assert not (said["label"] == 3).any()


def test_a_training_that_was_stopped_goes_on_as_it_would_have(tmp_path, model):
    class Stopped(Exception):
        pass

    def stop(stage, done, total, loss, validation):
        if done == 2:
            raise Stopped

    cells = labelled_cells()
    import converters.fit_run as fit_run

    before = fit_run.SECONDS_BETWEEN_CHECKPOINTS
    fit_run.SECONDS_BETWEEN_CHECKPOINTS = -1.0
    try:
        with pytest.raises(Stopped):
            fitted(cells, run=FitRun(0, folder=tmp_path, watch=TrainWatch(epoch=stop)))
        run = FitRun(0, folder=tmp_path)
        _, resumed = fitted(cells, run=run)
    finally:
        fit_run.SECONDS_BETWEEN_CHECKPOINTS = before
    assert run.resumed
    whole = model[1].module.state_dict()
    for name, value in resumed.module.state_dict().items():
        assert torch.equal(value, whole[name]), name


def test_progress_is_told_with_a_validation_loss():
    told = []
    fitted(labelled_cells(), run=FitRun(0, watch=TrainWatch(epoch=lambda *said: told.append(said))))
    assert [said[1:3] for said in told] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert told[-1][4] < told[0][4]


def test_patience_stops_a_training_that_no_longer_gains():
    told = []
    settings = replace(SETTINGS, epochs=60, learning_rate=0.05, steps_per_epoch=3, patience=3)
    watch = TrainWatch(epoch=lambda *said: told.append(said))
    fitted(labelled_cells(), settings, FitRun(0, watch=watch))
    assert len(told) < 60


def test_each_main_hyper_parameter_has_a_neighbour():
    settings = CellTypeSettings()
    neighbours = CellType().neighbours(settings)
    changed = {
        name
        for other in neighbours.values()
        for name, value in other.as_json().items()
        if value != settings.as_json()[name]
    }
    assert {"hidden", "dropout", "gain_sd", "full_panel_share", "genes", "members"} <= changed


@pytest.mark.slow
def test_onnx_gives_what_torch_gives(model):
    from converters.onnx_export import to_onnx
    from converters.parity import measured_tolerances, run_graph

    seen, found = model
    counts, present = seen.dense(), np.ones(seen.counts.shape[1], dtype=np.float32)
    graph = to_onnx(
        found.module,
        {"counts": torch.from_numpy(counts[:8]), "gene_present": torch.from_numpy(present)},
        [output.name for output in found.outputs],
        name="simulated",
        version="1.0.0",
        genes_table=b"genes",
    )
    ran = run_graph(graph, {"counts": counts, "gene_present": present})
    measured_tolerances(ran, answers(found, counts), dict(found.tolerances))
