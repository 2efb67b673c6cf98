"""`zoo check` and `zoo prepare`: what is said of a file, and what is repaired without a guess."""

import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from counts_file import GENES, HUMAN, make_adata, write_counts
from tiny_model import write_tiny_model

from zoo import cli
from zoo.card_file import ModelCard
from zoo.manifest import Manifest


@pytest.fixture
def model(tmp_path):
    return str(write_tiny_model(tmp_path / "tiny"))


def check(capsys, *words):
    assert cli.execute(["check", *map(str, words), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    return report, {finding["code"]: finding for finding in report["findings"]}


def prepare(tmp_path, adata, *words):
    adata.write_h5ad(tmp_path / "in.h5ad")
    out = tmp_path / "prepared.h5ad"
    assert cli.execute(["prepare", str(tmp_path / "in.h5ad"), "-o", str(out), *words]) == 0
    return ad.read_h5ad(out)


def changes(adata):
    return list(adata.uns["cellzoo"]["prepared"]["changes"])


def test_a_good_file_is_green(tmp_path, model, capsys):
    report, findings = check(capsys, write_counts(tmp_path / "my.h5ad"), "--model", model)
    assert list(report) == ["verdict", "value_kind", "gene_id_kind", "gene_coverage", "findings"]
    assert report["verdict"] == "in"
    assert report["value_kind"] == "counts"
    assert report["gene_id_kind"] == "symbol"
    assert report["gene_coverage"] == pytest.approx(1)
    assert {finding["level"] for finding in findings.values()} == {"green"}
    assert set(findings) >= {
        "cell_names", "value_kind", "gene_id_kind", "gene_names", "organism", "gene_coverage",
        "empty_cells", "spatial",
    }  # fmt: skip


def test_a_finding_says_what_a_run_would_say(tmp_path, model, capsys):
    file = write_counts(tmp_path / "my.h5ad", organism="mouse")
    report, findings = check(capsys, file, "--model", model)
    assert report["verdict"] == "out"
    assert cli.execute(["run", model, str(file), "--json"]) == 7
    error = json.loads(capsys.readouterr().out)
    assert findings["organism"]["message"] == error["message"]
    assert (error["error"], error["code"]) == ("WrongOrganism", 7)


def test_empty_cells_and_an_unknown_organism_are_yellow(tmp_path, model, capsys):
    adata = make_adata(organism=None)
    adata.var_names = [f"g.{i}" for i in range(6)]
    adata.X = adata.X.multiply(np.arange(60)[:, None] > 2).tocsr()
    adata.write_h5ad(tmp_path / "my.h5ad")
    report, findings = check(capsys, tmp_path / "my.h5ad")
    assert report["verdict"] == "borderline"
    assert report["gene_coverage"] is None
    assert "3 of 60 cells are all zero" in findings["empty_cells"]["message"]
    assert findings["organism"]["level"] == "yellow"


def test_a_file_of_empty_cells_is_red_as_a_run_would_refuse_it(tmp_path, model, capsys):
    adata = make_adata()
    adata.X = adata.X * 0
    adata.write_h5ad(tmp_path / "my.h5ad")
    report, findings = check(capsys, tmp_path / "my.h5ad", "--model", model)
    assert report["verdict"] == "out"
    assert "All 60 cells in X" in findings["empty_cells"]["message"]


def test_mixed_gene_ids_are_said(tmp_path, model, capsys):
    genes = ("G1", "G2", "G3", "G4", "ENSG00000000005", "ENSG00000000006")
    file = write_counts(tmp_path / "my.h5ad", genes=genes)
    report, findings = check(capsys, file, "--model", model)
    assert report["verdict"] == "borderline"
    assert "Gene ids are mixed: 4 genes" in findings["gene_coverage"]["message"]
    assert "zoo prepare" in findings["gene_coverage"]["hint"]


def test_binarized_counts_are_doubtful(tmp_path, model, capsys):
    adata = make_adata()
    adata.X.data[:] = 1
    adata.write_h5ad(tmp_path / "my.h5ad")
    _, findings = check(capsys, tmp_path / "my.h5ad", "--model", model)
    assert findings["value_kind"]["level"] == "yellow"
    assert "as if the counts had been binarized." in findings["value_kind"]["message"]


def test_check_for_people(tmp_path, model, capsys):
    file = write_counts(tmp_path / "my.h5ad")
    assert cli.execute(["check", str(file), "--model", model]) == 0
    shown = capsys.readouterr().out
    assert "● green" in shown
    assert shown.rstrip().endswith(f"Verdict for {model}: in")


def test_the_whole_file_is_looked_at(tmp_path, capsys):
    adata = make_adata(9000)
    adata.X.data[-1] = -1
    adata.write_h5ad(tmp_path / "my.h5ad")
    report, findings = check(capsys, tmp_path / "my.h5ad")
    assert report["value_kind"] is None
    assert "row 8,999" in findings["value_kind"]["message"]


def test_version_suffixes_are_removed(tmp_path, model):
    adata = make_adata(genes=tuple(f"ENSG{i:011d}.{i}" for i in range(1, 7)))
    prepared = prepare(tmp_path, adata)
    assert prepared.var_names.tolist() == [f"ENSG{i:011d}" for i in range(1, 7)]
    assert changes(prepared) == ["gene ids: version suffix removed from 6 Ensembl ids"]
    assert (prepared.X != adata.X).nnz == 0
    assert (
        cli.execute(["run", model, str(tmp_path / "prepared.h5ad"), "-o", str(tmp_path / "o.csv")])
        == 0
    )


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_duplicate_genes_are_summed(tmp_path):
    adata = make_adata(genes=("A", "B", "A", "C", "B", "A"))
    prepared = prepare(tmp_path, adata)
    assert prepared.var_names.tolist() == ["A", "B", "C"]
    dense = adata.X.toarray()
    expected = np.stack([dense[:, [0, 2, 5]].sum(1), dense[:, [1, 4]].sum(1), dense[:, 3]], axis=1)
    assert (prepared.X.toarray() == expected).all()
    assert "3 columns summed" in changes(prepared)[0]


@pytest.mark.parametrize("place", ["raw", "layer"])
def test_counts_are_taken_from_where_they_lie(tmp_path, place):
    adata = make_adata()
    counts = adata.X.toarray()
    if place == "raw":
        adata.raw = adata.copy()
    else:
        adata.layers["counts"] = adata.X.copy()
    adata.X = counts - 0.5
    prepared = prepare(tmp_path, adata)
    assert (prepared.X.toarray() == counts).all()
    where = "raw/X" if place == "raw" else "layers/counts"
    assert changes(prepared) == [f"values: counts taken from {where} in place of X"]


def test_mixed_ids_are_settled_by_the_vocabulary(tmp_path, model):
    adata = make_adata(genes=("G1", "G2", "ENSG00000000003", "G4", "G5", "G6"))
    prepared = prepare(tmp_path, adata, "--model", model)
    assert prepared.var_names.tolist() == list(GENES)
    assert prepared.var["ensembl_id"].tolist() == [f"ENSG{i:011d}" for i in range(1, 7)]
    assert "1 given as ensembl_id renamed to symbol" in changes(prepared)[0]


def test_ids_of_a_column_become_the_index(tmp_path, model):
    adata = make_adata()
    adata.var = pd.DataFrame({"feature_name": adata.var_names}, index=[f"row{i}" for i in range(6)])
    prepared = prepare(tmp_path, adata, "--model", model)
    assert prepared.var_names.tolist() == list(GENES)
    assert prepared.var["index_before"].tolist() == [f"row{i}" for i in range(6)]


def test_a_good_file_is_copied_with_an_empty_log(tmp_path, capsys):
    adata = make_adata()
    adata.obsm["X_pca"] = np.ones((60, 3))
    prepared = prepare(tmp_path, adata)
    assert changes(prepared) == []
    assert prepared.obs.equals(adata.obs)
    assert prepared.obsm["X_pca"].shape == (60, 3)
    assert prepared.uns["organism"] == "Homo sapiens"
    assert "Nothing to repair" in capsys.readouterr().out


def test_what_would_be_a_guess_is_refused(tmp_path, capsys):
    adata = make_adata()
    adata.X = adata.X.toarray() - 0.5
    adata.write_h5ad(tmp_path / "in.h5ad")
    out = tmp_path / "out.h5ad"
    assert cli.execute(["prepare", str(tmp_path / "in.h5ad"), "-o", str(out)]) == 3
    assert "holds negative values" in capsys.readouterr().err
    assert not out.exists()


def test_prepare_never_writes_over_its_input(tmp_path, capsys):
    file = write_counts(tmp_path / "in.h5ad")
    assert cli.execute(["prepare", str(file), "-o", str(file), "--overwrite"]) == 8
    assert "is the input itself" in capsys.readouterr().err


def test_log_values_that_lost_their_library_are_refused_by_a_model_that_needs_it(tmp_path, capsys):
    folder = write_tiny_model(tmp_path / "needy", genes=HUMAN)
    card = ModelCard.read(folder / "README.md")
    needs = {"total_counts": True, "value_kinds": ["counts", "log_normalized"]}
    inputs = card.block.inputs.model_copy(update=needs)
    block = card.block.model_copy(update={"inputs": inputs})
    (folder / "README.md").write_text(ModelCard(block, card.prose).render(), encoding="utf-8")
    (folder / "manifest.json").write_bytes(Manifest.of_folder(folder).render())
    adata = make_adata(genes=HUMAN)
    counts = np.random.default_rng(0).poisson(3, adata.shape)
    adata.X = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)
    adata.write_h5ad(tmp_path / "whole.h5ad")
    _, findings = check(capsys, tmp_path / "whole.h5ad", "--model", folder)
    assert "total_counts" not in findings
    adata[:, list(HUMAN[:30])].copy().write_h5ad(tmp_path / "filtered.h5ad")
    report, findings = check(capsys, tmp_path / "filtered.h5ad", "--model", folder)
    assert report["verdict"] == "out"
    assert "do not sum to one number" in findings["total_counts"]["message"]
    assert cli.execute(["run", str(folder), str(tmp_path / "filtered.h5ad"), "--json"]) == 7
    assert json.loads(capsys.readouterr().out)["error"] == "UnknownLibrary"
