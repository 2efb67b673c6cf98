"""Models trained again from their data land inside the intervals of their cards."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("anndata")

from converters.building.cells import read_cells  # noqa: E402
from converters.building.fits import Fitting  # noqa: E402
from converters.building.measuring import labelled  # noqa: E402
from converters.building.order import Order  # noqa: E402
from converters.building.parts import divide  # noqa: E402
from converters.celltype.pbmc import pbmc_cells  # noqa: E402
from converters.celltype.pbmc.choices import Choices  # noqa: E402
from converters.celltype.pbmc.fitting import fit  # noqa: E402
from converters.datasets import PBMC3K, data_folder  # noqa: E402
from converters.logistic.recipe import Logistic  # noqa: E402
from zoo.recipes import TrainRequest, TrainWatch  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
PLAN = ROOT / "converters" / "logistic" / "logistic-pbmc.toml"


@pytest.mark.slow
def test_pbmc_celltype_reaches_its_card():
    folder = data_folder()
    if not (folder / PBMC3K.file).is_file():
        pytest.skip(f"{PBMC3K.file} is not in {folder}: set ZOO_DATA to the folder of the data")
    choices = Choices()
    seed = choices.seeds[0]
    cells = pbmc_cells.load(folder, choices, seed)
    model = fit(cells, choices.settings, seed)
    counts, truth = cells.counts("test"), cells.labels("test")
    present = np.ones(counts.shape[1], dtype=np.float32)
    outputs = model.answers(counts, present)
    found = {
        "accuracy": (outputs["label"] == truth).mean(),
        "coverage": outputs["in_set"][np.arange(len(truth)), truth].mean(),
    }
    reaches(found, "pbmc-celltype")


@pytest.mark.slow
def test_logistic_pbmc_reaches_its_card(tmp_path):
    data = data_folder() / PBMC3K.file
    if not data.is_file():
        pytest.skip(
            f"{PBMC3K.file} is not in {data.parent}: set ZOO_DATA to the folder of the data"
        )
    order = Order.of(Logistic(), TrainRequest(data=str(data), output=tmp_path / "x", config=PLAN))
    cells = divide(read_cells(order), order, order.seeds[0], print).folds[0].cells
    fitting = Fitting(order, "", tmp_path, TrainWatch())
    fit = fitting.fit(cells, order.seeds[0])
    test = labelled(cells.of("test"), fit.columns, fit.fitted.labels)
    outputs, truth = fitting.subject(fit).ask(test.placed), test.label
    found = {
        "accuracy": (outputs["label"] == truth).mean(),
        "coverage": outputs["in_set"][np.arange(len(truth)), truth].mean(),
    }
    reaches(found, "logistic-pbmc")


def reaches(found, name):
    """Hold what was found on the test cells against the intervals of a card."""
    manifest = json.loads((ROOT / "cards" / name / "manifest.json").read_text())
    rows = {row["id"]: row for row in manifest["card"]["evaluation"]}
    for metric, value in found.items():
        low, high = rows[f"pbmc3k-test.model.{metric}"]["interval"]
        assert low <= value <= high, metric
