"""The published SpaGCN models: their folders, their claims, and that they can be made again."""

import json
from pathlib import Path

import anndata as ad
import numpy as np
import pytest

from converters.datasets import data_folder
from zoo.card_file import ModelCard

CARDS = Path(__file__).resolve().parents[2] / "cards"
DATA = {
    "spagcn-her2-tumor": ("her2st_6slides.h5ad", "donor"),
    "spagcn-cortex-layers": ("starmap_mpfc_2slides.h5ad", "batch"),
}


def data_of(name):
    path = data_folder() / DATA[name][0]
    if not path.exists():
        pytest.skip(f"{path} is missing: data sets that may not be redistributed lie in ZOO_DATA")
    return path


@pytest.fixture(params=sorted(DATA))
def name(request):
    return request.param


def test_a_folder_gives_its_stored_answers(name, run_zoo):
    done = run_zoo("test", CARDS / name)
    assert done.code == 0, done.err


def test_the_card_says_what_the_model_is_and_is_not(name):
    card = ModelCard.read(CARDS / name / "README.md").block
    assert card.summary.startswith(
        "SpaGCN-style graph layer with a supervised head; not the published per-slide clustering"
    )
    assert card.license == "other"
    assert "not established" in card.data[0].license
    assert card.scope.works_well
    assert card.scope.works_poorly
    ids = {row.id.partition(".")[0] for row in card.evaluation}
    key = card.training.data_plan["key"]
    assert {f"{key}-test", f"{key}-test+without-graph", f"{key}-test+dense-kernel"} <= ids


def test_no_real_spot_is_in_the_folder(name):
    sample = ad.read_h5ad(CARDS / name / "sample.h5ad")
    assert sample.uns["sample"].startswith("simulated")
    real = ad.read_h5ad(data_of(name))[:, sample.var_names]
    rows = {row.tobytes() for row in real.X.toarray().astype(np.float32)}
    assert not rows & {row.tobytes() for row in sample.X.toarray().astype(np.float32)}


def test_a_run_on_real_slides(name, run_zoo, tmp_path):
    path, key = data_of(name), DATA[name][1]
    done = run_zoo("run", CARDS / name, path, "--slide-key", key, "-o", tmp_path / "out.h5ad")
    assert done.code == 0, done.err
    result = ad.read_h5ad(tmp_path / "out.h5ad")
    facts = json.loads(result.uns["cellzoo"]["slides"])
    assert sum(fact["spots"] for fact in facts) == result.n_obs
    truth = ad.read_h5ad(path).obs["region"].astype(str).to_numpy()
    card = ModelCard.read(CARDS / name / "README.md").block
    mapping = card.training.data_plan.get("mapping", {})
    told = np.array([mapping.get(region, "" if mapping else region) for region in truth])
    found = result.obs["label"].astype(str).to_numpy()
    recalls = [(found[told == label] == label).mean() for label in np.unique(told[told != ""])]
    # It learned from these very slides, and weighs labels alike, however many spots each has.
    assert np.mean(recalls) > 0.8


@pytest.mark.parametrize(
    ("model", "other", "code", "error"),
    [
        ("spagcn-cortex-layers", "spagcn-her2-tumor", 7, "WrongOrganism"),
        ("spagcn-her2-tumor", "spagcn-cortex-layers", 7, "WrongOrganism"),
    ],
)
def test_the_other_species_is_refused(model, other, code, error, run_zoo, tmp_path):
    words = ("--slide-key", DATA[other][1], "--json", "-o", tmp_path / "out.h5ad")
    done = run_zoo("run", CARDS / model, data_of(other), *words)
    assert (done.code, done.json["error"]) == (code, error)


@pytest.mark.slow
def test_cortex_layers_can_be_trained_again(tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from converters.building.build import build
    from converters.spagcn.recipe import SpagcnHead
    from zoo.recipes import TrainRequest, TrainWatch

    path = data_of("spagcn-cortex-layers")
    card = ModelCard.read(CARDS / "spagcn-cortex-layers" / "README.md").block
    request = TrainRequest(data=str(path), output=tmp_path / "again", like=card, seeds=())
    made = {row.id: row for row in build(SpagcnHead(), request, TrainWatch()).rows}
    main = [row for row in card.evaluation if row.id.startswith("starmap-test.model.")]
    assert {"accuracy", "macro_f1", "coverage", "set_size"} <= {row.metric for row in main}
    for row in main:
        assert row.interval is not None
        low, high = row.interval
        assert low <= made[row.id].value <= high, row.id
