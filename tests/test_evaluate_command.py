"""The command `zoo evaluate`: what it prints, writes and refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from counts_file import GENES, make_adata
from spatial_file import make_slides
from tiny_model import write_manifest, write_tiny_model
from tiny_spatial_model import write_tiny_spatial_model

from zoo.card_file import ModelCard
from zoo.evaluation import measurements
from zoo.manifest import Manifest

LABEL = ("--label", "type")
KNOWN = (*LABEL, "--map", "B=B cell")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "tiny")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "other-donors.h5ad")


def write_data(path: Path, *, seed: int = 0, split: bool = False) -> Path:
    """Cell i is of class i modulo 3; one in ten is a platelet, which the model does not know."""
    adata = make_adata(90, seed=seed)
    names = np.array(["T cell", "B", "monocyte"])[np.arange(90) % 3]
    adata.obs["type"] = np.where(np.arange(90) % 10 == 9, "platelet", names)
    adata.obs["donor"] = [f"d{i // 30}" for i in range(90)]
    if split:
        adata.obs["split"] = ["train" if i < 60 else "test" for i in range(90)]
    adata.write_h5ad(path)
    return path


def folder_of(model: Path) -> dict[str, bytes]:
    return {str(p.relative_to(model)): p.read_bytes() for p in model.rglob("*") if p.is_file()}


def test_a_table_of_metrics_by_method(run_zoo, model, data):
    before = folder_of(model)
    ran = run_zoo("evaluate", model, "--data", data, *KNOWN, "--group", "donor")
    assert ran.code == 0, ran.err
    assert "tiny@1.0.0:" in ran.out
    assert "other-donors: other-donors, as published; intervals over 3 groups" in ran.out
    line = next(line for line in ran.out.splitlines() if line.startswith("accuracy"))
    assert line.split()[:2] == ["accuracy", "81"]
    assert "(" in line
    assert "other-donors by group" in ran.out
    assert "no-counterpart" in ran.out
    assert "Resources:" in ran.out
    assert "need --training" in ran.err
    assert folder_of(model) == before


def test_json_rows(run_zoo, model, data, tmp_path):
    out = tmp_path / "rows.json"
    ran = run_zoo("evaluate", model, "--data", data, *KNOWN, "--key", "mine",
                  "--condition", "dropout", "-o", out, "--json")  # fmt: skip
    assert ran.code == 0, ran.out
    rows = {row["id"]: row for row in ran.json["rows"]}
    assert rows["mine.model.accuracy"]["n"] == 81
    assert rows["mine-dropout-0-5.model.accuracy"]["role"] == "robustness"
    assert ran.json["compute"]["cells_per_second"] > 0
    assert ran.json["outputs"] == [str(out)]
    assert [row["id"] for row in json.loads(out.read_text())["rows"]] == list(rows)


def test_baselines_learn_from_the_training_cells_alone(run_zoo, model, data, tmp_path):
    pytest.importorskip("sklearn")
    training = write_data(tmp_path / "training.h5ad", seed=1, split=True)
    ran = run_zoo("evaluate", model, "--data", data, *KNOWN,
                  "--training", training, "--json")  # fmt: skip
    assert ran.code == 0, ran.out
    methods = {row["method"] for row in ran.json["rows"]}
    assert {"logistic_regression", "nearest_centroid", "pca32"} <= methods


def test_training_cells_leave_the_test_cells_out(model, tmp_path):
    from zoo.evaluation.model_subject import ModelSubject
    from zoo.evaluation.training_file import read_training_cells
    from zoo.parts import ModelParts
    from zoo.pull import in_place

    subject = ModelSubject(ModelParts.of(in_place(model)))
    split = write_data(tmp_path / "split.h5ad", split=True)
    training, held_out = read_training_cells(subject, split, "type")
    assert (len(training), len(held_out)) == (60, 30)
    whole, nothing = read_training_cells(subject, write_data(tmp_path / "whole.h5ad"), "type")
    assert (len(whole), nothing) == (90, None)


def test_shift_data_is_told_from_the_test_cells(run_zoo, model, data, tmp_path):
    pytest.importorskip("sklearn")
    training = write_data(tmp_path / "training.h5ad", seed=1, split=True)
    ran = run_zoo("evaluate", model, "--data", data, "--role", "shift", "--training", training,
                  "--training-label", "type", "--json")  # fmt: skip
    assert ran.code == 0, ran.out
    found = {row["metric"]: row["value"] for row in ran.json["rows"] if row["method"] == "model"}
    assert found["ood_auroc"] == pytest.approx(0.5, abs=0.1)  # it is no shift at all


def test_a_study_file(run_zoo, model, data, tmp_path):
    study = tmp_path / "study" / "sets.toml"
    study.parent.mkdir()
    tables = [
        f'[[evaluation]]\nkey = "{key}"\nfile = "{data.name}"\ndataset = "Donors {key}"\n'
        'label = "type"\nmapping = {B = "B cell"}\n'
        for key in ("one", "two")
    ]
    study.write_text("\n".join(tables))
    ran = run_zoo("evaluate", model, "--data", study, "--folder", tmp_path, "--json")
    assert ran.code == 0, ran.out
    found = {row["dataset"] for row in ran.json["rows"]}
    assert found == {"Donors one", "Donors two"}
    ran = run_zoo("evaluate", model, "--data", study)
    assert (ran.code, "other-donors.h5ad" in ran.err) == (3, True)
    ran = run_zoo("evaluate", model, "--data", study, *LABEL)
    assert ran.code == 2
    assert "--label is said in the study file" in ran.err


def test_a_spatial_model(run_zoo, tmp_path):
    pytest.importorskip("matplotlib")
    model = write_tiny_spatial_model(tmp_path / "tiny-spatial")
    adata = make_slides(40, 50)
    adata.obs["layer"] = [f"L{i % 2}" for i in range(90)]
    adata.write_h5ad(tmp_path / "slides.h5ad")
    words = ("--data", tmp_path / "slides.h5ad", "--label", "layer", "--slide-key", "section")
    ran = run_zoo("evaluate", model, *words, "--condition", "dropout", "--write", "--json")
    assert ran.code == 0, ran.out
    ids = {row["id"] for row in ran.json["rows"]}
    assert {"slides.model.ari_kmeans", "slides:a.model.ari_kmeans", "slides:b.model.ari_kmeans",
            "slides.model.batch_mixing", "slides.pca32_refit.label_transfer"} <= ids  # fmt: skip
    assert "one slide of 40" in ran.json["compute"]["machine"]
    assert (model / "figures" / "robustness-slides-ari_kmeans.png").exists()


# -- writing the card ----------------------------------------------------------------------------


def write(run_zoo, model, data, *words):
    return run_zoo("evaluate", model, "--data", data, *KNOWN, "--write", *words)


def test_rows_are_put_into_the_card(run_zoo, model, data):
    pytest.importorskip("matplotlib")
    ran = write(run_zoo, model, data, "--condition", "dropout")
    assert ran.code == 0, ran.err
    card = ModelCard.read(model / "README.md")
    ids = [row.id for row in card.block.evaluation]
    assert "test.model" in ids  # what was there stays
    assert "other-donors.model.accuracy" in ids
    assert not [name for name in ids if "recall" in name]
    assert "other-donors-dropout-0-5.model.accuracy" in [r.id for r in card.block.robustness]
    assert [source.name for source in card.block.data] == ["made up", "other-donors"]
    assert card.block.data[1].label_mapping == {"B": "B cell"}
    assert card.block.compute.machine != "any"
    assert "| accuracy | 81 |" in card.prose
    assert card.prose.startswith("# tiny\n")
    rows, facts = measurements.read(model / "measurements.json")
    assert "other-donors.model.recall-b-cell" in [row.id for row in rows]
    assert facts["evaluated"][0] == "other-donors"
    assert (model / "figures" / "data-sets-accuracy.png").read_bytes().startswith(b"\x89PNG")
    assert (model / "manifest.json").read_bytes() == Manifest.of_folder(model).render()
    assert not [path for path in model.parent.iterdir() if path.suffix == ".part"]
    assert run_zoo("info", model).code == 0


def test_measuring_again_replaces_the_rows_and_the_section(run_zoo, model, data):
    pytest.importorskip("matplotlib")
    write(run_zoo, model, data)
    once = ModelCard.read(model / "README.md")
    write(run_zoo, model, data)
    again = ModelCard.read(model / "README.md")
    assert [row.id for row in again.block.evaluation] == [row.id for row in once.block.evaluation]
    assert again.prose == once.prose
    write(run_zoo, model, data, "--key", "second")
    prose = ModelCard.read(model / "README.md").prose
    assert prose.count("## Measured afterwards") == 1
    assert "**second:" in prose
    assert len(ModelCard.read(model / "README.md").block.data) == 2  # one file, one source
    assert "**other-donors:" in prose


def test_a_claim_keeps_its_number(run_zoo, model, data):
    pytest.importorskip("matplotlib")
    write(run_zoo, model, data)
    card = ModelCard.read(model / "README.md")
    claim = {"statement": "Half are right.", "rows": ["other-donors.model.accuracy"]}
    block = card.block.model_dump()
    for row in block["evaluation"]:
        if row["id"] == "other-donors.model.accuracy":
            row["value"] = 0.5
    block["scope"]["works_poorly"] = [claim]
    changed = ModelCard(type(card.block).model_validate(block), card.prose)
    (model / "README.md").write_text(changed.render())
    write_manifest(model)
    before = folder_of(model)
    ran = write(run_zoo, model, data)
    assert ran.code == 2
    assert (
        "says 'Half are right.' by the row 'other-donors.model.accuracy', which was 0.5" in ran.err
    )
    assert folder_of(model) == before


def test_nothing_changes_where_the_folder_cannot_be_sound(run_zoo, model, data):
    (model / "notes.txt").write_text("not part of a model")
    before = folder_of(model)
    ran = write(run_zoo, model, data)
    assert ran.code == 5
    assert "a model folder has no such file" in ran.err
    assert folder_of(model) == before
    assert sorted(path.name for path in model.parent.iterdir() if "tiny" in path.name) == ["tiny"]


def test_a_pulled_model_is_never_changed(run_zoo, checkout, data):
    ran = write(run_zoo, "tiny", data)
    assert ran.code == 2
    assert "'tiny' names a pulled model, which is never changed" in ran.err
    assert run_zoo("evaluate", "tiny", "--data", data, *KNOWN).code == 0


# -- what stops ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--label", "cell_type"), 3, "has no 'cell_type' in obs"),
        (("--label", "donor"), 3, "No label in obs['donor']"),
        ((*LABEL, "--map", "B=Bcell"), 2, "mapped to 'Bcell', which is none of the model's"),
        ((*LABEL, "--map", "B"), 2, "'B' is not FROM=TO"),
        ((*LABEL, "--condition", "heat"), 2, "'heat' is not one of 'thinning', 'dropout'"),
        ((*LABEL, "--key", "My Key"), 2, "--key cannot be 'My Key'"),
        ((*LABEL, "--training", "nowhere.h5ad"), 3, "nowhere.h5ad"),
        ((*LABEL, "-o", "no/such/rows.json"), 8, "its folder does not exist"),
    ],
)
def test_words_that_cannot_be_followed(run_zoo, model, data, words, code, told):
    ran = run_zoo("evaluate", model, "--data", data, *words)
    assert (ran.code, told in ran.err) == (code, True), ran.err


def test_another_digest(run_zoo, model, data, tmp_path):
    study = tmp_path / "study.toml"
    study.write_text(
        f'[[evaluation]]\nkey = "a"\nfile = "{data.name}"\ndataset = "a"\nsha256 = "{"0" * 64}"\n'
    )
    ran = run_zoo("evaluate", model, "--data", study)
    assert ran.code == 5
    assert "is another file than the one that was named" in ran.err


def test_outputs_are_not_replaced_unasked(run_zoo, model, data, tmp_path):
    out = tmp_path / "rows.json"
    out.write_text("mine")
    ran = run_zoo("evaluate", model, "--data", data, "-o", out)
    assert (ran.code, out.read_text()) == (8, "mine")
    ran = run_zoo("evaluate", model, "--data", data, "-o", out, "--overwrite")
    assert ran.code == 0
    assert json.loads(out.read_text())["rows"]


def test_one_key_for_several_files(run_zoo, model, data, tmp_path):
    second = Path(shutil.copy(data, tmp_path / "second.h5ad"))
    ran = run_zoo("evaluate", model, "--data", data, "--data", second, "--key", "a")
    assert (ran.code, "--key names one data set" in ran.err) == (2, True)
    ran = run_zoo("evaluate", model, "--data", data, "--data", data)
    assert (ran.code, "two data sets have the key 'other-donors'" in ran.err) == (2, True)


def test_genes_of_another_kind(run_zoo, model, tmp_path):
    path = tmp_path / "markers.h5ad"
    make_adata(20, tuple(f"m{i}" for i, _ in enumerate(GENES))).write_h5ad(path)
    assert run_zoo("evaluate", model, "--data", path).code == 3
