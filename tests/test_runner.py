"""The main job, on the tiny model: what a run writes, in which names and order."""

import json
import os
import subprocess
import sys
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pytest
from counts_file import make_adata, write_counts
from tiny_model import write_tiny_model

from zoo import cli

COLUMNS = [
    "label", "label_id", "call", "call_id", "prob", "conformal_p", "set_size", "ood_z", "ood_p",
    "verdict",
]  # fmt: skip


@pytest.fixture
def model(tmp_path):
    return str(write_tiny_model(tmp_path / "tiny"))


@pytest.fixture
def file(tmp_path):
    return str(write_counts(tmp_path / "my.h5ad"))


def zoo_json(capsys, *words):
    code = cli.execute([*map(str, words), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_default_output_lies_in_the_current_folder(model, file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.execute(["run", model, file]) == 0
    shown = capsys.readouterr().out
    assert "Wrote my.tiny.h5ad" in shown
    assert "median probability" in shown
    result = ad.read_h5ad("my.tiny.h5ad")
    assert result.obs.columns.tolist() == COLUMNS
    assert result.obs_names.tolist() == [f"cell-{i}" for i in range(60)]
    assert result.X is None
    assert result.obsm["X_embedding"].shape == (60, 2)
    assert result.obs["label"].astype(str).tolist()[:4] == [
        "T cell", "B cell", "monocyte", "T cell",
    ]  # fmt: skip
    assert result.obs["label_id"].iloc[0] == "CL:0000084"


def test_json_summary_has_the_documented_keys(model, file, tmp_path, capsys):
    code, summary = zoo_json(capsys, "run", model, file, "-o", tmp_path / "out.h5ad")
    assert code == 0
    assert list(summary) == [
        "model", "version", "cells", "seconds", "gene_coverage", "verdicts", "labels", "calls",
        "outputs",
    ]  # fmt: skip
    assert summary["cells"] == sum(summary["calls"].values()) == sum(summary["labels"].values())
    assert set(summary["verdicts"]) == {"in", "borderline", "out"}


def test_provenance_says_where_everything_came_from(model, file, tmp_path):
    out = tmp_path / "out.h5ad"
    assert cli.execute(["run", model, file, "-o", str(out), "--full-digest"]) == 0
    facts = ad.read_h5ad(out).uns["cellzoo"]
    assert facts["model"] == "tiny"
    assert facts["version"] == "1.0.0"
    assert facts["source"] == "X"
    assert facts["value_kind"] == "counts"
    assert "integers" in facts["value_kind_evidence"]
    assert facts["input_digest_method"] == "cellzoo-read-1"
    assert len(facts["input_digest"]) == len(facts["file_digest"]) == len(facts["digest"]) == 64
    assert facts["gene_coverage"] == pytest.approx(1)
    # A model folder that no registry knows is named by its path.
    assert facts["command"] == f"zoo run {model} {file}"


def test_csv_has_the_cell_first_and_its_provenance_beside_it(model, file, tmp_path):
    out = tmp_path / "out.csv"
    assert cli.execute(["run", model, file, "-o", str(out)]) == 0
    lines = out.read_text().splitlines()
    assert lines[0].split(",") == ["cell", *COLUMNS]
    assert lines[1].split(",")[:2] == ["cell-0", "T cell"]
    assert len(lines) == 61
    assert json.loads((tmp_path / "out.csv.json").read_text())["model"] == "tiny"


def test_parquet_carries_the_provenance(model, file, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "out.parquet"
    assert cli.execute(["run", model, file, "-o", str(out)]) == 0
    table = parquet.read_table(out)
    assert table.column_names == ["cell", *COLUMNS]
    assert json.loads(table.schema.metadata[b"cellzoo"])["model"] == "tiny"


def test_all_forms_of_output_agree(model, file, tmp_path):
    import pandas as pd

    outs = [tmp_path / f"out.{form}" for form in ("h5ad", "csv", "parquet")]
    words = [word for out in outs for word in ("-o", str(out))]
    assert cli.execute(["run", model, file, *words, "--into", str(tmp_path / "copy.h5ad")]) == 0
    obs = ad.read_h5ad(outs[0]).obs
    csv = pd.read_csv(outs[1], index_col="cell")
    parquet = pd.read_parquet(outs[2]).set_index("cell")
    copy = ad.read_h5ad(tmp_path / "copy.h5ad").obs
    for column in COLUMNS:
        for other in (csv[column], parquet[column], copy[f"tiny_{column}"]):
            ours = obs[column].astype(str) if obs[column].dtype == "category" else obs[column]
            theirs = other.astype(ours.dtype)
            assert (theirs.to_numpy() == ours.to_numpy()).all(), column


def test_into_keeps_everything_of_the_input(model, tmp_path):
    adata = make_adata()
    adata.layers["spliced"] = adata.X.copy()
    adata.obsm["X_pca"] = np.zeros((60, 2))
    adata.raw = adata
    adata.write_h5ad(tmp_path / "my.h5ad")
    out = tmp_path / "copy.h5ad"
    assert cli.execute(["run", model, str(tmp_path / "my.h5ad"), "--into", str(out)]) == 0
    copy = ad.read_h5ad(out)
    assert (copy.X != adata.X).nnz == 0
    assert "spliced" in copy.layers
    assert copy.raw.shape == (60, 6)
    assert {"X_pca", "X_tiny"} <= set(copy.obsm)
    assert copy.uns["organism"] == "Homo sapiens"
    assert copy.uns["cellzoo"]["tiny"]["model"] == "tiny"
    again = tmp_path / "again.h5ad"
    assert cli.execute(["run", model, str(out), "--into", str(again)]) == 0
    assert ad.read_h5ad(again).obs.columns.tolist() == copy.obs.columns.tolist()


@pytest.mark.parametrize("batch_size", [1, 7, 60, 512])
def test_block_size_and_threads_change_nothing(model, file, tmp_path, batch_size):
    reference, out = tmp_path / "reference.h5ad", tmp_path / "out.h5ad"
    assert cli.execute(["run", model, file, "-o", str(reference)]) == 0
    words = ["run", model, file, "-o", str(out), "--batch-size", str(batch_size)]
    assert cli.execute([*words, "--threads", "3"]) == 0
    one, other = ad.read_h5ad(reference), ad.read_h5ad(out)
    assert one.obs.equals(other.obs)
    assert one.uns["cellzoo"]["input_digest"] == other.uns["cellzoo"]["input_digest"]


def test_groups_get_one_call_each(model, tmp_path):
    adata = make_adata()
    adata.obs["cluster"] = [f"c{i % 3}" for i in range(60)]
    adata.write_h5ad(tmp_path / "my.h5ad")
    out = tmp_path / "out.h5ad"
    words = ["run", model, str(tmp_path / "my.h5ad"), "-o", str(out), "--groups", "cluster"]
    assert cli.execute(words) == 0
    obs = ad.read_h5ad(out).obs
    assert obs.groupby("group_call", observed=True).size().to_dict() == {
        "T cell": 20, "B cell": 20, "monocyte": 20,
    }  # fmt: skip
    assert obs["group_agreement"].min() == 1
    assert obs.columns.tolist().index("group_call") == obs.columns.tolist().index("call_id") + 1


def test_further_outputs_go_to_obsm(model, file, tmp_path):
    out = tmp_path / "out.h5ad"
    assert cli.execute(["run", model, file, "-o", str(out), "--outputs", "prob,in_set"]) == 0
    obsm = ad.read_h5ad(out).obsm
    assert obsm["prob"].shape == obsm["in_set"].shape == (60, 3)
    assert np.allclose(obsm["prob"].sum(axis=1), 1)


def test_one_cell_is_enough(model, tmp_path):
    file = write_counts(tmp_path / "one.h5ad", cells=1)
    out = tmp_path / "out.h5ad"
    assert cli.execute(["run", model, str(file), "-o", str(out)]) == 0
    assert ad.read_h5ad(out).obs["label"].tolist() == ["T cell"]


def test_an_empty_cell_is_out_and_unknown(model, tmp_path):
    adata = make_adata()
    adata.X = adata.X.multiply(np.arange(60)[:, None] != 3).tocsr()
    adata.write_h5ad(tmp_path / "my.h5ad")
    out = tmp_path / "out.h5ad"
    assert cli.execute(["run", model, str(tmp_path / "my.h5ad"), "-o", str(out)]) == 0
    cell = ad.read_h5ad(out).obs.iloc[3]
    assert (cell["verdict"], cell["call"], cell["call_id"]) == ("out", "unknown", "")


def test_counts_are_found_in_raw_and_in_layers(model, tmp_path):
    for place in ("raw", "layer"):
        adata = make_adata()
        if place == "raw":
            adata.raw = adata.copy()
        else:
            adata.layers["counts"] = adata.X.copy()
        adata.X = adata.X.toarray() - 0.5
        adata.write_h5ad(tmp_path / "my.h5ad")
        out = tmp_path / f"{place}.h5ad"
        assert cli.execute(["run", model, str(tmp_path / "my.h5ad"), "-o", str(out)]) == 0
        source = ad.read_h5ad(out).uns["cellzoo"]["source"]
        assert source == ("raw/X" if place == "raw" else "layers/counts")


def test_a_cell_without_a_group_gets_no_group_call(model, tmp_path):
    adata = make_adata()
    adata.obs["cluster"] = adata.obs["cluster"].astype(object)
    adata.obs.iloc[:6, 0] = None
    adata.obs["cluster"] = adata.obs["cluster"].astype("category")
    adata.write_h5ad(tmp_path / "my.h5ad")
    outs = [tmp_path / "out.h5ad", tmp_path / "out.csv"]
    words = [word for out in outs for word in ("-o", str(out))]
    assert (
        cli.execute(["run", model, str(tmp_path / "my.h5ad"), *words, "--groups", "cluster"]) == 0
    )
    obs = ad.read_h5ad(outs[0]).obs
    assert obs["group_call"].isna().sum() == obs["group_agreement"].isna().sum() == 6
    assert obs["group_agreement"].iloc[6:].min() == 1
    first = outs[1].read_text().splitlines()[1].split(",")
    assert first[COLUMNS.index("call_id") + 2 : COLUMNS.index("call_id") + 4] == ["", "nan"]


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_a_file_name_need_not_be_text(model, tmp_path):
    name = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"bad\xff.h5ad"))
    os.rename(write_counts(tmp_path / "my.h5ad"), name)
    out = tmp_path / "out.csv"
    assert cli.execute(["run", model, name, "-o", str(out)]) == 0
    assert "bad\\udcff.h5ad" in json.loads((tmp_path / "out.csv.json").read_text())["input"]


def test_arrays_need_an_h5ad(model, file, tmp_path, capsys):
    words = ["run", model, file, "-o", str(tmp_path / "o.csv"), "--outputs", "prob"]
    assert cli.execute(words) == 2
    assert "only an .h5ad holds" in capsys.readouterr().err


def test_force_marks_every_cell(model, tmp_path, capsys):
    file = write_counts(tmp_path / "mouse.h5ad", organism="Mus musculus")
    out = tmp_path / "out.h5ad"
    assert cli.execute(["run", model, str(file), "-o", str(out)]) == 7
    assert "was made for Homo sapiens" in capsys.readouterr().err
    assert not out.exists()
    assert cli.execute(["run", model, str(file), "-o", str(out), "--force"]) == 0
    obs = ad.read_h5ad(out).obs
    assert obs["forced"].all()
    assert "in" not in set(obs["verdict"])
    assert ad.read_h5ad(out).uns["cellzoo"]["scope_verdict"] == "out"


def test_cuda_without_a_gpu_says_why(model, file, tmp_path, capsys):
    code = cli.execute(["run", model, file, "-o", str(tmp_path / "o.h5ad"), "--device", "cuda"])
    assert code == 2
    assert "Cannot run on cuda" in capsys.readouterr().err


def test_run_imports_nothing_heavy(model, file, tmp_path):
    script = (
        "import sys; from zoo import cli; "
        f"code = cli.execute(['run', {model!r}, {file!r}, '-o', {str(tmp_path / 'o.h5ad')!r}]); "
        "heavy = {'torch', 'pandas', 'scipy', 'anndata', 'zarr', 'matplotlib', 'yaml', "
        "'huggingface_hub', 'pyarrow'} & set(sys.modules); "
        "sys.exit(f'{code} {sorted(heavy)}' if code or heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_results_are_plain_hdf5_without_links_outside(model, file, tmp_path):
    out = tmp_path / "out.h5ad"
    assert cli.execute(["run", model, file, "-o", str(out)]) == 0
    with h5py.File(out) as result:
        kinds = []
        result.visit_links(lambda name: kinds.append(type(result.get(name, getlink=True))))
        assert set(kinds) == {h5py.HardLink}
    assert not list(Path(tmp_path).glob(".*.part"))
