"""pancreas-celltype and logistic-pbmc on files that suit them, and on files that do not."""

import json
from pathlib import Path

import anndata as ad
import pytest

from converters.datasets import data_folder
from zoo import cli

CARDS = Path(__file__).resolve().parents[2] / "cards"


def run(model, file, tmp_path, capsys):
    data = data_folder() / file
    if not data.is_file():
        pytest.skip(f"{data} is missing: set ZOO_DATA to the folder of the data")
    out = tmp_path / "out.h5ad"
    code = cli.execute(["run", str(CARDS / model), str(data), "-o", str(out), "--json"])
    return code, json.loads(capsys.readouterr().out), out


@pytest.mark.parametrize(
    ("model", "file", "error"),
    [
        ("pancreas-celltype", "pancreas_baron_mouse.h5ad", "WrongOrganism"),
        ("logistic-pbmc", "pancreas_baron_mouse.h5ad", "WrongOrganism"),
        ("logistic-pbmc", "pbmc_symphony_2tech_lognorm.h5ad", "UnknownLibrary"),
        ("logistic-pbmc", "kang18_ifnb_muscat.h5ad", "LowGeneCoverage"),
    ],
)
def test_a_file_that_does_not_suit_is_refused_with_the_reason(model, file, error, tmp_path, capsys):
    code, said, out = run(model, file, tmp_path, capsys)
    assert (code, said["error"]) == (7, error)
    assert not out.exists()


@pytest.mark.parametrize(
    ("model", "file", "least"),
    [
        ("pancreas-celltype", "pancreas_xin_lognorm_980g.h5ad", 0.95),
        ("logistic-pbmc", "pbmc3k_10x.h5ad", 0.9),
    ],
)
def test_a_file_that_suits_is_labelled(model, file, least, tmp_path, capsys):
    code, _, out = run(model, file, tmp_path, capsys)
    assert code == 0
    label = ad.read_h5ad(out).obs["label"].astype(str)
    truth = ad.read_h5ad(data_folder() / file).obs["cell_type"].astype(str)
    assert (label == truth).mean() > least
