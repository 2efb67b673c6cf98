"""`zoo train`, as a contributor gives it."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("cellxgene_ontology_guide")

from tiny_recipe import Tiny, write_training_file  # noqa: E402

import zoo.recipes  # noqa: E402
from zoo.errors import MissingExtra  # noqa: E402


class Entry:
    """An installed entry point."""

    def __init__(self, name, load):
        self.name, self.load = name, load


def missing():
    raise ModuleNotFoundError("No module named 'torch'", name="torch")


@pytest.fixture(autouse=True)
def _installed(monkeypatch):
    entries = {"tiny": Entry("tiny", lambda: Tiny), "heavy": Entry("heavy", missing)}
    monkeypatch.setattr(zoo.recipes, "_entries", lambda: entries)


@pytest.fixture
def data(tmp_path):
    return write_training_file(tmp_path / "cells.h5ad")


def test_train_writes_a_model_that_runs(run_zoo, data, tmp_path):
    folder = tmp_path / "my-model"
    told = run_zoo(
        "train", "tiny", str(data), "-o", str(folder), "--label", "cell_type", "--split", "donor",
        "--set", "learning_rate=0.05", "--epochs", "30",
    )  # fmt: skip
    assert told.code == 0, told.err
    assert "Measured on cells that training did not see" in told.out
    assert f"Wrote {folder}" in told.out.replace("\n", " ")
    assert run_zoo("test", str(folder)).code == 0
    assert run_zoo("run", str(folder), str(data), "-o", str(tmp_path / "out.csv")).code == 0
    assert run_zoo("info", str(folder)).code == 0

    again = run_zoo(
        "train", "tiny", str(data), "-o", str(tmp_path / "again"), "--like", str(folder), "--json"
    )
    found = again.json
    assert found["differences"]
    assert all(line["card"] == line["here"] for line in found["differences"])


def test_an_unknown_recipe_is_named(run_zoo, data, tmp_path):
    told = run_zoo("train", "tinny", str(data), "-o", str(tmp_path / "m"))
    assert told.code == 2
    assert told.err == (
        "Error: No recipe is called 'tinny'.\n"
        "There are: 'heavy', 'tiny'; 'zoo recipes' says what they make.\n"
    )


def test_a_recipe_without_its_packages(run_zoo, data, tmp_path):
    told = run_zoo("train", "heavy", str(data), "-o", str(tmp_path / "m"))
    assert told.code == MissingExtra.exit_code
    assert "pip install 'cellzoo[train]'" in told.err


def test_a_setting_needs_a_value(run_zoo, data, tmp_path):
    told = run_zoo("train", "tiny", str(data), "-o", str(tmp_path / "m"), "--set", "epochs")
    assert told.code == 2
    assert "'epochs' is not NAME=VALUE" in told.err


def test_a_name_that_is_none(run_zoo, data, tmp_path):
    told = run_zoo(
        "train", "tiny", str(data), "-o", str(tmp_path / "My Model!"), "--label", "cell_type"
    )
    assert told.code == 2
    assert "is no model name: lower-case words joined by '-'; give --name" in told.err


def test_recipes_tells_of_settings(run_zoo, monkeypatch):
    entries = {"tiny": Entry("tiny", lambda: Tiny)}
    monkeypatch.setattr(zoo.recipes, "_entries", lambda: entries)
    assert run_zoo("recipes", "--json").json == [
        {"name": "tiny", "summary": "Softmax regression, for tests"}
    ]
    settings = {s["name"]: s for s in run_zoo("recipes", "tiny", "--json").json["settings"]}
    assert settings["learning_rate"]["default"] == 0.1
    assert settings["stop_after"]["meaning"].startswith("Raise KeyboardInterrupt")
    assert "learning_rate" in run_zoo("recipes", "tiny").out


def test_installed_recipes_can_be_described(monkeypatch):
    monkeypatch.undo()
    for name in zoo.recipes.recipe_names():
        recipe = zoo.recipes.find_recipe(name)
        assert recipe.name == name
        assert all(setting.meaning for setting in recipe.describe()), name
