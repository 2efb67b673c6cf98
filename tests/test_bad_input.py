"""Bad input: each kind gets its own message and code, writes nothing and loses nothing."""

import os
import shutil
import signal
import subprocess
import sys
import time

import anndata as ad
import h5py
import numpy as np
import pytest
from counts_file import GENES, HUMAN, make_adata, write_counts
from tiny_model import write_manifest, write_tiny_model

from zoo import cli


@pytest.fixture
def model(tmp_path):
    return write_tiny_model(tmp_path / "tiny")


def refused(capsys, model, path, code, *phrases, options=()):
    """Run, and expect an exit code, phrases on standard error, and no new file."""
    folder = path.parent if path.parent.is_dir() else model.parent
    out = model.parent / "result.h5ad"
    before = sorted(os.listdir(folder))
    assert cli.execute(["run", str(model), str(path), "-o", str(out), *options]) == code
    said = " ".join(capsys.readouterr().err.split())
    for phrase in phrases:
        assert phrase in said
    assert not out.exists()
    assert sorted(os.listdir(folder)) == before


def changed(tmp_path, change, **how):
    """A file of counts after `change(adata)`."""
    adata = make_adata(**how)
    change(adata)
    path = tmp_path / "my.h5ad"
    adata.write_h5ad(path)
    return path


# -- the file ------------------------------------------------------------------------------------


def test_missing_file(tmp_path, model, capsys):
    refused(capsys, model, tmp_path / "no.h5ad", 3, "No file or folder at", "no.h5ad")


def test_not_hdf5(tmp_path, model, capsys):
    path = tmp_path / "my.h5ad"
    path.write_text("<html>not found</html>")
    refused(capsys, model, path, 3, "is not an HDF5 file")


def test_truncated(tmp_path, model, capsys):
    path = write_counts(tmp_path / "my.h5ad", cells=500)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(capsys, model, path, 3, "is damaged or incomplete")


def test_without_values(tmp_path, model, capsys):
    path = tmp_path / "my.h5ad"
    ad.AnnData(obs=make_adata().obs, var=make_adata().var).write_h5ad(path)
    refused(capsys, model, path, 3, "holds no matrix of cells by genes")


def test_external_link(tmp_path, model, capsys):
    path, other = write_counts(tmp_path / "my.h5ad"), write_counts(tmp_path / "other.h5ad")
    with h5py.File(path, "r+") as file:
        del file["X"]
        file["X"] = h5py.ExternalLink(str(other), "X")
    refused(capsys, model, path, 3, "is an external link to", "other.h5ad")


def test_external_storage(tmp_path, model, capsys):
    path = write_counts(tmp_path / "my.h5ad")
    secret = tmp_path / "secret.txt"
    secret.write_bytes(b"a secret of 24 bytes....")
    with h5py.File(path, "r+") as file:
        file.create_dataset("uns/read_me", shape=(24,), dtype="u1", external=[(str(secret), 0, 24)])
    refused(capsys, model, path, 3, "stored outside and leads", "secret.txt")


# -- values --------------------------------------------------------------------------------------


def test_scaled_values(tmp_path, model, capsys):
    path = changed(tmp_path, lambda a: setattr(a, "X", a.X.toarray() - 1.5))
    refused(capsys, model, path, 3, "holds negative values", "scaled or")


def test_tpm(tmp_path, model, capsys):
    def to_tpm(adata):
        x = adata.X.toarray() / np.linspace(0.3, 7, adata.n_vars)
        adata.X = (x / x.sum(axis=1, keepdims=True) * 1e6).astype(np.float32)

    path = changed(tmp_path, to_tpm, genes=HUMAN)
    refused(capsys, model, path, 3, "neither counts nor log-normalized counts", "TPM")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite(tmp_path, model, capsys, value):
    def spoil(adata):
        adata.X.data[5] = value

    refused(capsys, model, changed(tmp_path, spoil), 3, "holds NaN or infinity")


def test_not_finite_far_from_the_head(tmp_path, model, capsys):
    def spoil(adata):
        adata.X.data[-1] = np.nan

    path = changed(tmp_path, spoil, cells=9000)
    refused(capsys, model, path, 3, "holds NaN or infinity", "row 8,999")


def test_counts_that_turn_into_fractions(tmp_path, model, capsys):
    def spoil(adata):
        adata.X.data[-1] = 0.5

    path = changed(tmp_path, spoil, cells=9000)
    refused(capsys, model, path, 3, "begins as counts, but from row")


def test_log_normalized_into_a_count_model(tmp_path, model, capsys):
    def normalize(adata):
        x = adata.X.toarray()
        adata.X = np.log1p(x / x.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)

    path = changed(tmp_path, normalize, cells=300, genes=(*GENES, *HUMAN))
    refused(capsys, model, path, 3, "takes counts, but X", "log_normalized")


def test_value_kind_overrules_the_evidence(tmp_path, model):
    path = changed(tmp_path, lambda a: setattr(a, "X", a.X.toarray() * 0.37))
    out = tmp_path / "out.h5ad"
    assert cli.execute(["run", str(model), str(path), "-o", str(out)]) == 3
    words = ["run", str(model), str(path), "-o", str(out), "--value-kind", "counts"]
    assert cli.execute(words) == 0
    facts = ad.read_h5ad(out).uns["cellzoo"]
    assert facts["value_kind_declared"]
    assert "as declared by the user" in facts["value_kind_evidence"]


# -- cells and genes -----------------------------------------------------------------------------


def test_zero_cells(tmp_path, model, capsys):
    path = tmp_path / "my.h5ad"
    make_adata()[:0].copy().write_h5ad(path)
    refused(capsys, model, path, 3, "holds no cells (0 × 6 genes)")


def test_zero_genes(tmp_path, model, capsys):
    path = tmp_path / "my.h5ad"
    make_adata()[:, :0].copy().write_h5ad(path)
    refused(capsys, model, path, 3, "holds no genes (60 cells × 0)")


def test_only_empty_cells(tmp_path, model, capsys):
    def empty(adata):
        adata.X = adata.X * 0

    refused(capsys, model, changed(tmp_path, empty), 3, "All 60 cells in X", "are zero")


def test_no_gene_in_common(tmp_path, model, capsys):
    path = write_counts(tmp_path / "my.h5ad", genes=HUMAN)
    refused(capsys, model, path, 3, "No gene of", "'LYZ1'", "'G1'")


def test_too_few_genes_in_common(tmp_path, model, capsys):
    path = write_counts(tmp_path / "my.h5ad", genes=(*GENES[:2], *HUMAN))
    refused(
        capsys, model, path, 7, "Only 2 of 6 genes", "33.3%, the card's minimum is 50.0%", "--force"
    )


def test_versioned_ensembl_ids(tmp_path, model, capsys):
    path = write_counts(tmp_path / "my.h5ad", genes=tuple(f"ENSG{i:011d}.{i}" for i in range(1, 7)))
    refused(capsys, model, path, 3, "6 gene ids", "version suffix", "zoo prepare")


def test_mouse_symbols_into_a_human_model(tmp_path, model, capsys):
    path = write_counts(
        tmp_path / "my.h5ad", genes=(*GENES, *(n.title() for n in HUMAN)), organism=None
    )
    refused(capsys, model, path, 7, "was made for Homo sapiens", "looks like Mus musculus")


def test_duplicate_genes(tmp_path, model, capsys):
    with pytest.warns(UserWarning, match="not unique"):
        path = write_counts(tmp_path / "my.h5ad", genes=(*GENES, "G1"))
    refused(capsys, model, path, 3, "1 gene id(s)", "'G1'", "zoo prepare")


def test_duplicate_cells(tmp_path, model, capsys):
    adata = make_adata()
    adata.obs_names = ["same", "same", *adata.obs_names[2:]]
    path = tmp_path / "my.h5ad"
    adata.write_h5ad(path)
    refused(capsys, model, path, 3, "1 cell name(s)", "'same'", "--allow-duplicate-cells")
    words = ["run", str(model), str(path), "-o", str(tmp_path / "o.h5ad")]
    assert cli.execute([*words, "--allow-duplicate-cells"]) == 0


def test_unknown_group_column(tmp_path, model, capsys):
    path = write_counts(tmp_path / "my.h5ad")
    refused(capsys, model, path, 3, "has no 'leiden' in obs", options=["--groups", "leiden"])


def test_unknown_output(tmp_path, model, capsys):
    path = write_counts(tmp_path / "my.h5ad")
    refused(capsys, model, path, 2, "has no output 'imputed'", options=["--outputs", "imputed"])


def test_unknown_source(tmp_path, model, capsys):
    path = write_counts(tmp_path / "my.h5ad")
    refused(capsys, model, path, 3, "has no 'layers/no'", options=["--source", "layers/no"])


# -- models --------------------------------------------------------------------------------------


def test_damaged_graph(tmp_path, model, capsys):
    graph = model / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")
    path = write_counts(tmp_path / "my.h5ad")
    refused(capsys, model, path, 5, "model.onnx", "sha256")


def test_graph_that_is_no_graph(tmp_path, model, capsys):
    (model / "model.onnx").write_bytes(b"not a graph")
    write_manifest(model)
    path = write_counts(tmp_path / "my.h5ad")
    refused(capsys, model, path, 5, "The graph of 'tiny@1.0.0' was refused")


def test_genes_that_are_not_the_graphs(tmp_path, model, capsys):
    table = (model / "genes.tsv").read_text().replace("G1", "G9")
    (model / "genes.tsv").write_text(table)
    write_manifest(model)
    path = write_counts(tmp_path / "my.h5ad")
    refused(capsys, model, path, 5, "cellzoo_genes_sha256")


# -- outputs -------------------------------------------------------------------------------------


def test_existing_output_is_kept(tmp_path, model, capsys):
    path, out = write_counts(tmp_path / "my.h5ad"), tmp_path / "out.csv"
    out.write_text("precious")
    assert cli.execute(["run", str(model), str(path), "-o", str(out)]) == 8
    assert "exists already" in capsys.readouterr().err
    assert out.read_text() == "precious"
    assert cli.execute(["run", str(model), str(path), "-o", str(out), "--overwrite"]) == 0
    assert out.read_text().startswith("cell,")


def test_a_failing_run_keeps_the_output_that_it_would_replace(tmp_path, model):
    out = tmp_path / "out.h5ad"
    out.write_text("precious")

    def spoil(adata):
        adata.X.data[-1] = np.nan

    path = changed(tmp_path, spoil, cells=9000)
    assert cli.execute(["run", str(model), str(path), "-o", str(out), "--overwrite"]) == 3
    assert out.read_text() == "precious"


def test_output_over_input(tmp_path, model, capsys):
    path = write_counts(tmp_path / "my.h5ad")
    before = path.read_bytes()
    for option in ("-o", "--into"):
        assert cli.execute(["run", str(model), str(path), option, str(path), "--overwrite"]) == 8
        assert "is the input itself" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_missing_output_folder(tmp_path, model, capsys):
    path = write_counts(tmp_path / "my.h5ad")
    assert cli.execute(["run", str(model), str(path), "-o", str(tmp_path / "no" / "out.h5ad")]) == 8
    assert "Cannot write" in capsys.readouterr().err


def test_unknown_output_format(tmp_path, model, capsys):
    path = write_counts(tmp_path / "my.h5ad")
    assert cli.execute(["run", str(model), str(path), "-o", str(tmp_path / "out.xlsx")]) == 2
    assert "Cannot tell the format" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="needs setpriv")
def test_unwritable_output_folder(tmp_path, model):
    path = write_counts(tmp_path / "my.h5ad")
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    words = [sys.executable, "-m", "zoo", "run", str(model), str(path), "-o", str(locked / "o.csv")]
    if os.geteuid() == 0:  # root may write anywhere, until its capabilities are dropped
        words = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", *words]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 8, done.stderr
    assert "Permission denied" in done.stderr


@pytest.mark.parametrize("form", ["h5ad", "csv"])
def test_full_disk(tmp_path, model, form):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small tmpfs can be mounted by root only")
    try:
        path = write_counts(tmp_path / "my.h5ad", cells=20_000)
        words = [sys.executable, "-m", "zoo", "run", str(model), str(path)]
        done = subprocess.run(
            [*words, "-o", str(disk / f"out.{form}")], capture_output=True, text=True
        )
        assert done.returncode == 8, done.stderr
        assert "The disk is full" in done.stderr
        assert os.listdir(disk) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_leaves_nothing(tmp_path, model, stop):
    path = write_counts(tmp_path / "my.h5ad", cells=20_000)
    folder = tmp_path / "results"
    folder.mkdir()
    words = [sys.executable, "-m", "zoo", "run", str(model), str(path), "--batch-size", "1"]
    run = subprocess.Popen([*words, "-o", str(folder / "out.h5ad")], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not list(folder.glob(".*.part")) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    run.send_signal(stop)
    said = run.communicate(timeout=30)[1].decode()
    assert run.returncode == 130, said
    assert "Interrupted; nothing was written." in said
    assert os.listdir(folder) == []
