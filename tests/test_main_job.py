"""The main job with the real model: pulled by name from the embedded hub, run on real counts."""

import gzip
import hashlib

import anndata as ad
import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

import zoo

MODEL = "pbmc-celltype"


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The model's own sample: held-out pbmc3k cells."""
    from zoo.parts import ModelParts
    from zoo.pull import pull
    from zoo.settings import Settings

    folder = tmp_path_factory.mktemp("sample")
    pulled = pull(MODEL, settings=Settings(cache=folder / "cache"))
    assert ModelParts.of(pulled).card.name == MODEL
    path = folder / "pbmc.h5ad"
    path.write_bytes(pulled.read("sample"))
    return path


def test_pulled_by_name_and_run(sample, tmp_path, monkeypatch, run_zoo):
    monkeypatch.chdir(tmp_path)
    assert "verified" in run_zoo("pull", MODEL).out
    done = run_zoo("run", MODEL, sample, "--offline", "--json")
    assert done.code == 0
    assert done.json["cells"] == 250
    assert done.json["outputs"] == ["pbmc.pbmc-celltype.h5ad"]
    obs = ad.read_h5ad("pbmc.pbmc-celltype.h5ad").obs
    truth = ad.read_h5ad(sample).obs["cell_type"].astype(str)
    right = (obs["label"].astype(str) == truth).mean()
    assert right > 0.8  # the card has the exact figure, by corrected labels, on more cells
    assert set(obs["label_id"].astype(str)) <= {
        "CL:0000624", "CL:0000625", "CL:0000623", "CL:0000236", "CL:0000860", "CL:0000875",
        "CL:0000451", "CL:0000556",
    }  # fmt: skip
    both = obs[(obs["set_size"] == 2) & (obs["call"] == "T cell")]
    assert len(both)
    assert set(both["call_id"].astype(str)) == {"CL:0000084"}


def test_stored_answers_are_given(run_zoo):
    done = run_zoo("test", MODEL, "--json")
    assert done.code == 0
    assert done.json["passed"]


def test_card_is_printed(run_zoo):
    shown = run_zoo("info", MODEL).out
    assert "works poorly" in shown
    assert "logistic_regression" in shown


def write_mtx(adata, folder):
    folder.mkdir()
    with gzip.open(folder / "matrix.mtx.gz", "wb") as file:
        scipy.io.mmwrite(file, sp.coo_matrix(adata.X.T.astype(np.int64)), field="integer")
    with gzip.open(folder / "barcodes.tsv.gz", "wt") as file:
        file.write("".join(f"{name}\n" for name in adata.obs_names))
    with gzip.open(folder / "features.tsv.gz", "wt") as file:
        for gene_id, name in zip(adata.var["gene_ids"], adata.var_names, strict=True):
            file.write(f"{gene_id}\t{name}\tGene Expression\n")


def write_cellranger(adata, path):
    with h5py.File(path, "w") as file:
        x, matrix = adata.X.tocsr(), file.create_group("matrix")
        matrix["data"] = x.data.astype(np.int32)
        matrix["indices"] = x.indices.astype(np.int64)
        matrix["indptr"] = x.indptr.astype(np.int64)
        matrix["shape"] = np.array([adata.n_vars, adata.n_obs], dtype=np.int32)
        matrix["barcodes"] = adata.obs_names.to_numpy().astype("S")
        features = matrix.create_group("features")
        features["id"] = adata.var["gene_ids"].to_numpy().astype("S")
        features["name"] = adata.var_names.to_numpy().astype("S")
        features["feature_type"] = np.full(adata.n_vars, b"Gene Expression")
        features["genome"] = np.full(adata.n_vars, b"GRCh38")


def test_every_format_gives_the_same_answer(sample, tmp_path, run_zoo):
    adata = ad.read_h5ad(sample)
    files = {name: tmp_path / f"{name}.h5ad" for name in ("csr", "csc", "dense")}
    for name, path in files.items():
        copy = adata.copy()
        copy.X = {"csr": copy.X, "csc": copy.X.tocsc(), "dense": copy.X.toarray()}[name]
        copy.write_h5ad(path, compression="gzip")
    files["mtx"], files["10x"] = tmp_path / "mtx", tmp_path / "filtered.h5"
    write_mtx(adata, files["mtx"])
    write_cellranger(adata, files["10x"])
    digests = set()
    for name, path in files.items():
        out = tmp_path / f"{name}.csv"
        done = run_zoo("run", MODEL, path, "-o", out)
        assert done.code == 0, done.err
        digests.add(hashlib.sha256(out.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_log_normalized_counts_give_the_answer_of_the_counts(sample):
    model = zoo.load(MODEL)
    adata = ad.read_h5ad(sample)
    of_counts = model.predict(adata)
    x = adata.X.toarray()
    for log, base in ((np.log1p, "e"), (lambda v: np.log2(1 + v), "2")):
        logged = adata.copy()
        logged.X = sp.csr_matrix(log(x / x.sum(axis=1, keepdims=True) * 1e4).astype(np.float32))
        of_logs = model.predict(logged)
        assert of_logs.provenance["value_kind"] == "log_normalized"
        assert f"base {base}" in of_logs.provenance["value_kind_evidence"]
        assert (of_logs["label"] == of_counts["label"]).all()
        assert np.abs(of_logs["prob"] - of_counts["prob"]).max() < 1e-4


def test_annotate_by_name(sample):
    adata = ad.read_h5ad(sample)
    zoo.annotate(adata, MODEL, groups="cell_type")
    votes = adata.obs.groupby("cell_type", observed=True)["pbmc_celltype_group_call"].first()
    assert votes["B cells"] == "B cells"
    assert adata.obsm["X_pbmc_celltype"].shape[0] == 250
