"""The shipped saucie-pbmc and saucie-cytof: parity, refusals, invariances, training again."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy")
pytest.importorskip("yaml")
pytest.importorskip("anndata")

import anndata
from scipy import sparse

import zoo
from converters.datasets import PBMC3K, data_folder
from converters.parity import measured_tolerances, read_expected, run_graph
from zoo import cli
from zoo.card_file import ModelCard
from zoo.errors import DataError, WrongValueKind
from zoo.vocabulary import GeneVocabulary

CARDS = Path(__file__).parents[2] / "cards"
CYTOF = "cytof_deepcytof_12samples.h5ad"
OUTPUTS = {
    "embedding", "imputed", "cluster", "cluster_distance", "recon_error", "ood_z", "ood_p",
}  # fmt: skip


def data_file(name):
    path = data_folder() / name
    if not path.is_file():
        pytest.skip(f"{name} is not in {data_folder()}: set ZOO_DATA to the folder of the data")
    return path


@pytest.fixture(params=["saucie-pbmc", "saucie-cytof"])
def folder(request):
    return CARDS / request.param


def card_of(folder):
    return ModelCard.read(folder / "README.md").block


def values_of(folder):
    vocabulary = GeneVocabulary.parse((folder / "genes.tsv").read_bytes(), model=folder.name)
    sample = anndata.read_h5ad(folder / "sample.h5ad")
    return np.asarray(sample[:, list(vocabulary.names)].X.toarray(), dtype=np.float32)


def answers(folder, values, present=None):
    present = np.ones(values.shape[1], dtype=np.float32) if present is None else present
    graph = (folder / "model.onnx").read_bytes()
    return run_graph(graph, {"counts": values, "gene_present": present})


def run_zoo(folder, file, out, *words):
    return cli.execute(["run", str(folder), str(file), "-o", str(out), *words])


def test_onnx_gives_what_torch_gave(folder):
    card = card_of(folder)
    assert set(card.output_names) == OUTPUTS
    declared = {name: (t.atol, t.rtol) for name, t in card.tolerances.items()}
    expected = read_expected(folder / "expected.h5")
    measured_tolerances(answers(folder, values_of(folder)), expected, declared)


def test_its_own_test_is_green(folder, capsys):
    assert cli.execute(["test", str(folder)]) == 0


def test_a_batch_does_not_change_its_cells(folder):
    values = values_of(folder)
    together, alone = answers(folder, values), answers(folder, values[5:6])
    for name, expected in together.items():
        np.testing.assert_allclose(alone[name], expected[5:6], atol=1e-3, rtol=1e-3)


def test_empty_cells_and_missing_genes_give_finite_numbers(folder):
    values = values_of(folder)
    genes = values.shape[1]
    for cells in (values[:1], np.zeros((1, genes), dtype=np.float32)):
        for present in (np.ones(genes, dtype=np.float32), np.zeros(genes, dtype=np.float32)):
            assert all(np.isfinite(v).all() for v in answers(folder, cells, present).values())


@pytest.mark.parametrize("factor", [0.3, 7.0])
def test_only_imputed_follows_the_depth_of_a_cell(factor):
    folder = CARDS / "saucie-pbmc"
    assert "log_normalized" in card_of(folder).inputs.value_kinds
    values = values_of(folder)
    plain, scaled = answers(folder, values), answers(folder, values * np.float32(factor))
    for name in OUTPUTS - {"imputed"}:
        np.testing.assert_allclose(scaled[name], plain[name], atol=2e-3, rtol=1e-3, err_msg=name)
    np.testing.assert_allclose(scaled["imputed"], factor * plain["imputed"], atol=1e-2, rtol=1e-2)


def test_counts_and_their_logarithm_get_the_same_answer():
    folder = CARDS / "saucie-pbmc"
    sample = anndata.read_h5ad(folder / "sample.h5ad")
    logged = sample.copy()
    totals = np.asarray(sample.X.sum(axis=1)).ravel()
    logged.X = sparse.csr_matrix(sparse.diags(1e4 / totals) @ sample.X)
    logged.X.data = np.log1p(logged.X.data)
    model = zoo.load(str(folder))
    ours, theirs = model.predict(sample).to_frame(), model.predict(logged).to_frame()
    assert (ours["cluster"] == theirs["cluster"]).mean() > 0.99
    np.testing.assert_allclose(ours["recon_error"], theirs["recon_error"], rtol=1e-2)


def test_a_new_sample_of_intensities_is_run_when_it_is_declared(tmp_path):
    folder, out = CARDS / "saucie-cytof", tmp_path / "out.h5ad"
    assert run_zoo(folder, folder / "sample.h5ad", out) == 3
    assert not out.exists()
    assert run_zoo(folder, folder / "sample.h5ad", out, "--value-kind", "intensity") == 0
    assert anndata.read_h5ad(out).obsm["X_embedding"].shape[1] == 2


def test_rna_is_refused_by_the_model_of_intensities(tmp_path, capsys):
    folder, out = CARDS / "saucie-cytof", tmp_path / "out.h5ad"
    rna = CARDS / "saucie-pbmc" / "sample.h5ad"
    assert run_zoo(folder, rna, out) == WrongValueKind.exit_code
    assert "takes intensity, but X of" in capsys.readouterr().err
    assert run_zoo(folder, rna, out, "--value-kind", "intensity") == DataError.exit_code
    assert "is in the vocabulary of 'saucie-cytof'" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("words", [(), ("--value-kind", "intensity"), ("--value-kind", "counts")])
def test_intensities_are_refused_by_the_model_of_counts(tmp_path, capsys, words):
    out = tmp_path / "out.h5ad"
    sample = CARDS / "saucie-cytof" / "sample.h5ad"
    assert run_zoo(CARDS / "saucie-pbmc", sample, out, *words) != 0
    assert capsys.readouterr().err.startswith("Error: ")
    assert not out.exists()


def test_a_file_without_a_marker_is_refused(tmp_path, capsys):
    folder = CARDS / "saucie-cytof"
    anndata.read_h5ad(folder / "sample.h5ad")[:, 1:].write_h5ad(tmp_path / "seven.h5ad")
    out = tmp_path / "out.h5ad"
    assert run_zoo(folder, tmp_path / "seven.h5ad", out, "--value-kind", "intensity") != 0
    assert "coverage" in capsys.readouterr().err
    assert not out.exists()


def test_the_samples_may_be_shared(folder):
    sample = anndata.read_h5ad(folder / "sample.h5ad")
    simulated = sample.uns["sample"].startswith("simulated")
    assert simulated == (folder.name == "saucie-cytof")
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 6e6


def test_mixing_is_told_beside_label_transfer(folder):
    card = card_of(folder)
    ids = {row.id for row in card.evaluation}
    key = "kang" if folder.name == "saucie-pbmc" else "all-samples"
    for method in ("model", "pca32"):
        assert {f"{key}.{method}.batch_mixing", f"{key}.{method}.label_transfer"} <= ids
    near = {row.condition for row in card.evaluation if row.role == "ablation"}
    for setting in (" codes", "embedding=", "clusters="):
        assert any(setting in condition for condition in near), setting


@pytest.mark.slow
def test_a_new_training_reaches_the_card(tmp_path):
    pytest.importorskip("torch")
    from converters.building.build import build
    from converters.saucie.recipe import Saucie
    from zoo.recipes import TrainRequest, TrainWatch

    card = card_of(CARDS / "saucie-pbmc")
    request = TrainRequest(
        data=str(data_file(PBMC3K.file)), output=tmp_path / "again", seeds=(), like=card
    )
    report = build(Saucie(), request, TrainWatch())
    found = {row.id.partition(".")[2]: row for row in report.rows if row.role == "test"}
    published = [
        row for row in card.evaluation if row.id.startswith("pbmc3k-test.model.") and row.interval
    ]
    assert published
    for row in published:
        low, high = row.interval
        assert low <= found[row.id.partition(".")[2]].value <= high, row.metric


@pytest.mark.slow
def test_real_intensities_are_run(tmp_path):
    out = tmp_path / "out.h5ad"
    file = data_file(CYTOF)
    some = anndata.read_h5ad(file)[:2000]
    some.write_h5ad(tmp_path / "some.h5ad")
    words = ("--value-kind", "intensity")
    assert run_zoo(CARDS / "saucie-cytof", tmp_path / "some.h5ad", out, *words) == 0
