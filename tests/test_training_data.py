"""`zoo check --for-training`: what a training would need or lack."""

import numpy as np
import pytest
from counts_file import make_adata


def good_adata():
    adata = make_adata(120)
    adata.obs["kind"] = [["T", "B"][i % 2] for i in range(120)]
    adata.obs["donor"] = [f"d{i // 30}" for i in range(120)]
    adata.obs["split"] = [["train", "train", "validation", "test"][i // 30] for i in range(120)]
    adata.uns["cellzoo"] = {"license": "CC-BY-4.0", "source": "GSE1"}
    return adata


@pytest.fixture
def findings(tmp_path, run_zoo):
    def check(adata, *words):
        adata.write_h5ad(tmp_path / "my.h5ad")
        chosen = words or ("--label", "kind", "--batch", "donor")
        done = run_zoo("check", tmp_path / "my.h5ad", "--for-training", *chosen, "--json")
        assert done.code == 0
        return {f["code"]: f for f in done.json["findings"]}

    return check


def test_a_good_file_is_green(findings):
    found = findings(good_adata())
    assert {f["level"] for f in found.values()} == {"green"}
    assert set(found) >= {
        "counts", "label", "few_cells", "batch", "batches", "split", "split_groups", "license",
        "source", "gene_names", "cell_names",
    }  # fmt: skip


def test_labels(findings):
    adata = good_adata()
    adata.obs["kind"] = ["rare"] * 5 + [""] * 3 + ["T"] * 112
    found = findings(adata)
    assert found["label"]["level"] == found["few_cells"]["level"] == "yellow"
    assert found["label"]["message"] == "3 of 120 cells have no value in obs['kind']."
    assert "'rare' (5)." in found["few_cells"]["message"]
    adata.obs["kind"] = np.nan
    assert findings(adata)["label"]["level"] == "red"
    missing = findings(adata, "--label", "cell_type")["label"]
    assert (missing["level"], "no 'cell_type' in obs" in missing["message"]) == ("red", True)


def test_batches(findings):
    adata = good_adata()
    adata.obs["donor"] = "d0"
    assert findings(adata)["batches"]["level"] == "yellow"
    assert findings(adata, "--batch", "lane")["batch"]["level"] == "red"


def test_a_donor_in_two_parts_is_red(findings):
    adata = good_adata()
    adata.obs.loc[adata.obs_names[0], "split"] = "test"
    found = findings(adata)["split_groups"]
    assert found["level"] == "red"
    assert "lie in more than one part of obs['split']: 'd0'" in found["message"]


def test_the_log_says_which_groups_must_be_whole(findings):
    adata = good_adata()
    adata.obs["lane"] = [f"l{i % 2}" for i in range(120)]
    assert findings(adata, "--batch", "lane")["split_groups"]["level"] == "red"
    adata.uns["cellzoo"]["split"] = {"by": "donor"}
    assert findings(adata, "--batch", "lane")["split_groups"]["level"] == "green"
    del adata.uns["cellzoo"]["split"]
    assert findings(adata, "--label", "kind")["split_groups"]["level"] == "yellow"


def test_no_split_no_origin(findings):
    adata = good_adata()
    del adata.obs["split"]
    del adata.uns["cellzoo"]
    found = findings(adata)
    assert {found[code]["level"] for code in ("split", "license", "source")} == {"yellow"}
    assert "zoo split" in found["split"]["hint"]
    adata.obs["split"] = "test"
    assert findings(adata)["split"]["level"] == "yellow"


def test_other_values_than_counts_are_red(findings):
    adata = good_adata()
    adata.X = np.log1p(adata.X.toarray() / np.asarray(adata.X.sum(1)) * 1e4)
    assert findings(adata)["counts"]["level"] == "red"
    adata.X = adata.X - 0.5
    found = findings(adata)
    assert found["value_kind"]["level"] == "red"
    assert "counts" not in found


def test_a_file_that_was_split_by_us_is_green(tmp_path, run_zoo):
    adata = good_adata()
    del adata.obs["split"]
    adata.write_h5ad(tmp_path / "my.h5ad")
    out = tmp_path / "split.h5ad"
    assert run_zoo("split", tmp_path / "my.h5ad", "--by", "donor", "-o", out).code == 0
    done = run_zoo("check", out, "--for-training", "--label", "kind")
    assert "Verdict for training: in" in done.out


def test_options_that_need_for_training(tmp_path, run_zoo):
    good_adata().write_h5ad(tmp_path / "my.h5ad")
    done = run_zoo("check", tmp_path / "my.h5ad", "--label", "kind")
    assert (done.code, "--for-training" in done.err) == (2, True)
