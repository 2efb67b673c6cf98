"""From a file to a model folder, by a recipe of a few numbers."""

import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("cellxgene_ontology_guide")

from tiny_recipe import Tiny, TinySettings, write_training_file  # noqa: E402

import zoo  # noqa: E402
from converters.building.build import build, checkpoint_folder  # noqa: E402
from converters.building.cells import read_cells  # noqa: E402
from converters.building.order import Order  # noqa: E402
from converters.building.parts import divide  # noqa: E402
from converters.building.prose import shortened  # noqa: E402
from converters.building.retelling import retell  # noqa: E402
from zoo.card_file import ModelCard  # noqa: E402
from zoo.errors import (  # noqa: E402
    ConflictingOptions,
    InvalidPlan,
    MissingColumn,
    MissingKey,
    OneLabel,
    OutputExists,
    OutputUnwritable,
    TooFewCells,
    UnknownSetting,
)
from zoo.recipes import TrainRequest, TrainWatch  # noqa: E402

SILENT = TrainWatch()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_training_file(tmp_path_factory.mktemp("data") / "cells.h5ad")


@pytest.fixture(scope="module")
def request_of(data, tmp_path_factory):
    def make(name="tiny-made", **options):
        folder = tmp_path_factory.mktemp("out") / name
        return TrainRequest(
            **{"data": str(data), "output": folder, "label": "cell_type", **options}
        )

    return make


@pytest.fixture(scope="module")
def made(request_of):
    request = request_of(split="donor", seeds=(0, 1, 2), neighbours=True)
    return build(Tiny(), request, SILENT)


def card_of(report):
    return ModelCard.read(report.folder / "README.md").block


# -- the folder ----------------------------------------------------------------------------------


def test_a_folder_has_everything(made):
    names = {path.name for path in made.folder.iterdir()}
    assert names >= {
        "README.md", "manifest.json", "model.onnx", "genes.tsv", "labels.tsv", "sample.h5ad",
        "expected.h5", "measurements.json",
    }  # fmt: skip


def test_a_new_model_runs_and_passes_its_own_test(made, data):
    predictions = zoo.load(str(made.folder)).predict(data)
    frame = predictions.to_frame()
    assert set(frame["label"]) == {"T cell", "B cell", "monocyte"}


def test_the_card_says_how_it_was_made(made, data):
    card = card_of(made)
    assert card.name == "tiny-made"
    assert card.inputs.organism == "Homo sapiens"
    assert card.training.recipe == "tiny"
    assert card.training.hyper_parameters["learning_rate"] == 0.1
    assert card.training.data_plan == {"label": "cell_type", "split": "donor"}
    assert card.training.split.startswith("whole groups of donor; test: ")
    assert card.data[0].license == "CC0-1.0"
    assert "draft" in (made.folder / "README.md").read_text()


def test_rows_have_intervals_seeds_and_baselines(made):
    rows = {row.id: row for row in made.rows}
    accuracy = rows["training-test.model.accuracy"]
    assert accuracy.seeds == [0, 1, 2]
    assert accuracy.spread is not None
    assert accuracy.interval is not None
    assert accuracy.donor_independent
    assert accuracy.value > 0.8
    assert "training-test.logistic_regression.accuracy" in rows
    assert "training-test+epochs-1.model.accuracy" in rows
    assert rows["training-test+epochs-1.model.accuracy"].role == "ablation"


def test_the_same_seed_gives_the_same_numbers(request_of, made):
    again = build(Tiny(), request_of(split="donor", seeds=(0,)), SILENT)
    first = {row.id: row.value for row in made.rows}
    assert all(first[row.id] == row.value for row in again.rows)


# -- splits --------------------------------------------------------------------------------------


def division(request, seed=0, told=None):
    order = Order.of(Tiny(), request)
    return divide(read_cells(order), order, seed, told or (lambda sentence: None))


def test_whole_donors_are_held_out(request_of):
    cells = division(request_of(split="donor")).folds[0].cells
    donor = np.array([int(name.removeprefix("cell-")) * 3 // 90 for name in cells.names])
    assert not set(donor[cells.part == "test"]) & set(donor[cells.part != "test"])


def test_groups_that_a_plan_holds_out_are_the_test(request_of, tmp_path):
    (tmp_path / "plan.toml").write_text('[data]\nsplit = "donor"\nhold_out = ["d1"]\n')
    found = division(request_of(config=tmp_path / "plan.toml"))
    assert found.sentence == "whole groups of donor; test: d1"


def test_a_sample_of_a_larger_file_is_the_same_for_all_seeds(request_of, tmp_path):
    (tmp_path / "plan.toml").write_text("[data]\nmaximum_cells = 60\n")
    order = Order.of(Tiny(), request_of(config=tmp_path / "plan.toml"))
    assert len(read_cells(order)) == 60
    assert read_cells(order).names.tolist() == read_cells(order).names.tolist()


def test_without_groups_the_split_is_by_cell_and_says_so(request_of):
    told = []
    found = division(request_of(), told=told.append)
    assert not found.donor_independent
    assert "by cell" in found.sentence
    assert "the split is by cell" in told[0]


def test_leaving_out_each_group_in_turn(request_of):
    found = division(request_of(split="donor", leave_one_out=True))
    assert [fold.name for fold in found.folds] == ["d1", "d2", "d3"]
    assert not (found.shipped.part == "test").any()
    assert all((fold.cells.part == "validation").any() for fold in found.folds)


def test_rows_of_groups_left_out_are_pooled(request_of):
    request = request_of("tiny-turns", split="donor", leave_one_out=True)
    report = build(Tiny(), request, SILENT)
    rows = {row.id: row for row in report.rows}
    assert rows["training-test.model.accuracy"].n == 90
    assert rows["training-test-d2.model.accuracy"].n == 30
    assert rows["training-test.logistic_regression.accuracy"].n == 90


class ChoosyTiny(Tiny):
    """Reads other genes where a donor is left out than where all are there."""

    def genes(self, cells, settings):
        everything = super().genes(cells, settings)
        return everything if len(set(cells.batch)) == 3 else everything[1:]


def test_other_data_is_measured_beside_baselines_of_the_shipped_genes(request_of, data, tmp_path):
    plan = """
    [data]
    label = "cell_type"
    batch = "donor"
    split = "donor"
    leave_one_out = true
    [[evaluation]]
    key = "again"
    file = "cells.h5ad"
    dataset = "the same cells"
    label = "cell_type"
    """
    (tmp_path / "plan.toml").write_text(plan)
    request = request_of("tiny-choosy", label=None, config=tmp_path / "plan.toml")
    rows = {row.id: row.value for row in build(ChoosyTiny(), request, SILENT).rows}
    assert rows["again.logistic_regression.accuracy"] > 0.95


def test_leaving_out_needs_groups(request_of):
    with pytest.raises(ConflictingOptions, match="--leave-one-out needs --split"):
        division(request_of(leave_one_out=True))


# -- interruptions -------------------------------------------------------------------------------


def test_an_interrupted_training_is_taken_up(request_of, monkeypatch):
    monkeypatch.setattr("converters.fit_run.SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    whole = build(Tiny(), request_of("tiny-whole", split="donor"), SILENT)

    request = request_of("tiny-stopped", split="donor")
    stopped = StoppingTiny()
    with pytest.raises(KeyboardInterrupt):
        build(stopped, request, SILENT)
    assert not request.output.exists()
    assert list(checkpoint_folder(request.output).glob("*.pt"))

    resumed = build(Tiny(), request, SILENT)
    assert resumed.resumed
    assert not checkpoint_folder(request.output).exists()
    graphs = [(r.folder / "model.onnx").read_bytes() for r in (whole, resumed)]
    outputs = [h5_of(r.folder / "expected.h5") for r in (whole, resumed)]
    assert len(graphs[0]) > 0
    for name, values in outputs[0].items():
        np.testing.assert_array_equal(values, outputs[1][name])


class StoppingTiny(Tiny):
    """Stops after 7 epochs, as Ctrl-C would."""

    def fit(self, cells, settings, run):
        return super().fit(cells, replace(settings, stop_after=7), run)


def h5_of(path):
    import h5py

    with h5py.File(path) as file:
        return {name: file[name][()] for name in file}


def test_other_settings_do_not_take_it_up(request_of, monkeypatch):
    monkeypatch.setattr("converters.fit_run.SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    request = request_of("tiny-other", split="donor")
    with pytest.raises(KeyboardInterrupt):
        build(StoppingTiny(), request, SILENT)
    other = replace(request, settings={"learning_rate": 0.2})
    assert not build(Tiny(), other, SILENT).resumed


def test_nothing_is_left_of_a_failed_training(request_of):
    class Failing(Tiny):
        def fit(self, cells, settings, run):
            fitted = super().fit(cells, settings, run)
            return replace(fitted, tolerances=dict.fromkeys(fitted.tolerances, (-1.0, 0.0)))

    request = request_of("tiny-failing", split="donor")
    with pytest.raises(ValueError, match="more than its tolerance"):
        build(Failing(), request, SILENT)
    assert not request.output.exists()
    left = [p.name for p in request.output.parent.iterdir()]
    assert left in ([], [checkpoint_folder(request.output).name])


def test_an_existing_folder_is_kept(request_of, made):
    request = replace(request_of(split="donor"), output=made.folder)
    before = (made.folder / "manifest.json").read_bytes()
    with pytest.raises(OutputExists):
        build(Tiny(), request, SILENT)
    assert (made.folder / "manifest.json").read_bytes() == before


def test_a_folder_of_other_things_is_never_replaced(request_of, tmp_path):
    (tmp_path / "thesis.docx").write_text("years of work")
    request = replace(request_of(split="donor", overwrite=True), output=tmp_path)
    with pytest.raises(OutputUnwritable, match="it is a folder with other files, and no model"):
        build(Tiny(), request, SILENT)
    assert (tmp_path / "thesis.docx").exists()


# -- orders --------------------------------------------------------------------------------------


def test_a_missing_label_is_asked_for(request_of):
    with pytest.raises(MissingColumn) as error:
        build(Tiny(), request_of(label=None), SILENT)
    assert error.value.message == (
        "The recipe 'tiny' needs a column of obs with the label of each cell."
    )
    assert "--label; the file has: 'cell_type', 'donor'" in error.value.hint


def test_a_column_that_is_not_there(request_of):
    with pytest.raises(MissingKey, match="patient"):
        build(Tiny(), request_of(split="patient"), SILENT)


def test_settings_are_checked(request_of):
    with pytest.raises(UnknownSetting, match="the recipe has: epochs, learning_rate"):
        Order.of(Tiny(), request_of(settings={"lerning_rate": 0.1}))
    with pytest.raises(UnknownSetting, match="it takes a float, and 'fast' is none"):
        Order.of(Tiny(), request_of(settings={"learning_rate": "fast"}))
    order = Order.of(Tiny(), request_of(settings={"learning_rate": 1}, epochs=3))
    assert order.settings == TinySettings(epochs=3, learning_rate=1.0)


def test_too_few_cells(request_of, tmp_path):
    small = write_training_file(tmp_path / "small.h5ad", cells=9)
    with pytest.raises(TooFewCells, match="has 9 usable cells; 12 are needed"):
        build(Tiny(), request_of(data=str(small)), SILENT)


def test_one_label_teaches_nothing(request_of, tmp_path):
    import anndata

    path = write_training_file(tmp_path / "one.h5ad")
    table = anndata.read_h5ad(path)
    table.obs["cell_type"] = "T cell"
    table.write_h5ad(path)
    with pytest.raises(OneLabel) as error:
        build(Tiny(), request_of(data=str(path)), SILENT)
    assert error.value.message == (
        f"All 90 usable cells of {str(path)!r} have 'T cell' in obs['cell_type']; a model fitted "
        "to one type would call everything so."
    )


PLAN = """
name = "tiny-planned"
summary = "Three types, for tests"
license = "cc0-1.0"
seeds = [3]
prose = "card.md"
[data]
label = "cell_type"
mapping = {"T cell" = "lymphocyte", "B cell" = "lymphocyte", monocyte = "monocyte"}
split = "donor"
conditions = ["thinning"]
[inputs]
organism = "Homo sapiens"
[labels]
lymphocyte = "CL:0000542"
monocyte = "CL:0000576"
[scope]
intended = ["Tests."]
works_well = ["On other donors: {{training-test.model.accuracy}}."]
"""


def test_a_plan_says_everything(request_of, tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN)
    (tmp_path / "card.md").write_text("\n# tiny\n\n{{table:metric:accuracy}}\n")
    report = build(Tiny(), request_of(label=None, config=tmp_path / "plan.toml"), SILENT)
    card = card_of(report)
    assert card.name == "tiny-planned"
    assert card.training.seed == 3
    claim = card.scope.works_well[0]
    assert claim.rows == ["training-test.model.accuracy"]
    assert "(n = " in claim.statement
    assert {row.condition for row in card.robustness}
    labels = (report.folder / "labels.tsv").read_text()
    assert labels.startswith("label\tlabel_id\tancestors\nlymphocyte\tCL:0000542\t")
    assert "| accuracy on | condition | this model |" in (report.folder / "README.md").read_text()
    facts = json.loads((report.folder / "measurements.json").read_text())["facts"]
    assert facts["cells_by_part"]["test"] > 0


def test_a_card_is_told_anew_without_a_training(request_of, tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN)
    (tmp_path / "card.md").write_text("\n# tiny\n")
    report = build(
        Tiny(), request_of("tiny-retold", label=None, config=tmp_path / "plan.toml"), SILENT
    )
    graph = (report.folder / "model.onnx").read_bytes()
    (tmp_path / "plan.toml").write_text(PLAN.replace("On other donors", "Elsewhere"))
    (tmp_path / "card.md").write_text("\n# tiny, again\n\n{{table:robustness:accuracy}}\n")
    retell(report.folder, tmp_path / "plan.toml")
    card = ModelCard.read(report.folder / "README.md")
    assert card.block.scope.works_well[0].statement.startswith("Elsewhere: ")
    assert "tiny, again" in card.prose
    assert "of the molecules kept" in card.prose
    assert (report.folder / "model.onnx").read_bytes() == graph
    assert zoo.load(str(report.folder)).card == card.block


def test_shared_parts_of_conditions_are_left_out():
    told = [
        "held out: by cell; 10% hidden",
        "held out: by cell; 50% kept; 10% hidden",
        "x; 10% hidden",
    ]
    assert shortened(told) == ["held out", "held out; 50% kept", "x"]


@pytest.mark.parametrize(
    ("text", "told"),
    [("nme = 1", "nme: Extra inputs are not permitted"), ("name = [", "it is no TOML")],
)
def test_a_faulty_plan_is_named(request_of, tmp_path, text, told):
    (tmp_path / "plan.toml").write_text(text)
    with pytest.raises(InvalidPlan, match=told):
        Order.of(Tiny(), request_of(config=tmp_path / "plan.toml"))


def test_a_claim_without_a_row_is_refused(request_of, tmp_path):
    plan = PLAN.replace("training-test.model.accuracy}}.", "no-such-row}}.")
    (tmp_path / "plan.toml").write_text(plan)
    (tmp_path / "card.md").write_text("text")
    request = request_of("tiny-claim", label=None, config=tmp_path / "plan.toml")
    with pytest.raises(InvalidPlan, match="'no-such-row', and no such row was measured"):
        build(Tiny(), request, SILENT)
    assert not request.output.exists()


# -- like ----------------------------------------------------------------------------------------


def test_a_published_recipe_is_repeated(request_of, made):
    request = request_of("tiny-again", label=None, like=card_of(made))
    report = build(Tiny(), request, SILENT)
    first = {row.id: row.value for row in made.rows}
    assert {row.id for row in report.rows} <= set(first)
    assert all(first[row.id] == row.value for row in report.rows)


def test_another_recipe_cannot_repeat_it(request_of, made):
    class Other(Tiny):
        name = "other"

    with pytest.raises(ConflictingOptions, match="was made by the recipe 'tiny', not 'other'"):
        Order.of(Other(), request_of(like=card_of(made)))
