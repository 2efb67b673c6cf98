"""The first model trained again from its data lands inside the interval of its card."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("anndata")

from converters.celltype.pbmc import pbmc_cells  # noqa: E402
from converters.celltype.pbmc.choices import Choices  # noqa: E402
from converters.celltype.pbmc.fitting import fit  # noqa: E402
from converters.datasets import PBMC3K, data_folder  # noqa: E402

MANIFEST = Path(__file__).resolve().parents[2] / "cards" / "pbmc-celltype" / "manifest.json"


@pytest.mark.slow
def test_a_new_training_reaches_the_card():
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
    rows = {row["id"]: row for row in json.loads(MANIFEST.read_text())["card"]["evaluation"]}
    found = {
        "accuracy": (outputs["label"] == truth).mean(),
        "coverage": outputs["in_set"][np.arange(len(truth)), truth].mean(),
    }
    for metric, value in found.items():
        low, high = rows[f"pbmc3k-test.model.{metric}"]["interval"]
        assert low <= value <= high, metric
