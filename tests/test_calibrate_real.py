"""`zoo calibrate` on real cells: what the benchmark shows must stay so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
from ran import Ran

import zoo
from converters.datasets import KANG, data_folder

KANG_FILE = data_folder() / KANG.file
MODEL = Path(__file__).resolve().parents[1] / "cards" / "pbmc-celltype"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not KANG_FILE.exists(), reason=f"{KANG_FILE} is absent (ZOO_DATA names it)"),
]


def test_a_hundred_labelled_cells_mend_stimulated_blood(
    tmp_path: Path, run_zoo: Callable[..., Ran]
) -> None:
    stimulated = ad.read_h5ad(KANG_FILE)
    stimulated = stimulated[stimulated.obs["condition"] == "stim"].copy()
    order = np.random.default_rng(1).permutation(stimulated.n_obs)
    stimulated[np.sort(order[:100])].write_h5ad(tmp_path / "labelled.h5ad")
    rest = stimulated[np.sort(order[100:])].copy()
    told = run_zoo(
        "calibrate", MODEL, tmp_path / "labelled.h5ad", "--label", "cell_type",
        "-o", tmp_path / "mine",
    )  # fmt: skip
    assert told.code == 0, told.err
    assert run_zoo("test", tmp_path / "mine").code == 0
    found = {}
    for name, folder in (("before", MODEL), ("after", tmp_path / "mine")):
        model = zoo.load(str(folder))
        answers = model.predict(rest, outputs=["in_set"])
        truth = rest.obs["cell_type"].map(list(model.labels).index).to_numpy(int)
        sets = answers.obsm["in_set"]
        right = np.asarray(answers.obs["label"]).astype(str) == np.array(model.labels)[truth]
        covered = sets[np.arange(len(truth)), truth]
        found[name] = right.mean(), covered.mean(), sets.sum(axis=1).mean()
    assert found["before"][0] < 0.72
    assert found["before"][1] < 0.78
    assert found["after"][0] > 0.82
    assert 0.86 < found["after"][1] < 0.99
    assert found["after"][2] < 1.5
