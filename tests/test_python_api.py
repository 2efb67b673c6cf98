"""The Python API: load, predict, annotate."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from counts_file import make_adata, write_counts
from tiny_model import write_manifest, write_tiny_model

import zoo
from zoo import cli
from zoo.errors import InvalidOption, WrongOrganism


@pytest.fixture
def folder(tmp_path):
    return write_tiny_model(tmp_path / "tiny")


@pytest.fixture
def model(folder):
    return zoo.load(str(folder))


def test_what_the_package_offers():
    assert zoo.__all__ == ["Model", "Predictions", "ZooError", "__version__", "annotate", "load"]
    assert all(hasattr(zoo, name) for name in zoo.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = zoo.nothing


def test_a_model_knows_its_card(model):
    assert model.card.name == "tiny"
    assert model.labels == ("T cell", "B cell", "monocyte")
    assert repr(model) == "<zoo.Model tiny@1.0.0 (cell_type_annotation)>"


def test_a_file_and_an_adata_give_the_same_predictions(model, tmp_path):
    of_file = model.predict(write_counts(tmp_path / "my.h5ad"))
    adata = make_adata()
    before = adata.copy()
    of_adata = model.predict(adata)
    for name in of_file.obs:
        assert (of_file[name] == of_adata[name]).all(), name
    assert of_file.provenance["input_digest"] == of_adata.provenance["input_digest"]
    assert of_adata.provenance["input"] == "<AnnData>"
    assert (adata.X != before.X).nnz == 0
    assert adata.obs.equals(before.obs)


def test_predictions_have_names(model):
    predictions = model.predict(make_adata(), outputs=["prob"], groups="cluster")
    assert len(predictions) == 60
    assert predictions["X_embedding"].shape == (60, 2)
    assert predictions.obsm["prob"].shape == (60, 3)
    frame = predictions.to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert frame.index.tolist() == make_adata().obs_names.tolist()
    assert frame["group_call"].nunique() == 3
    assert predictions.summary().cells == 60
    with pytest.raises(KeyError, match="there are label, label_id"):
        predictions["nothing"]


def test_annotate_adds_prefixed_columns(model):
    adata = make_adata()
    assert zoo.annotate(adata, model) is None
    assert adata.obs["tiny_call"].dtype == "category"
    assert adata.obsm["X_tiny"].shape == (60, 2)
    assert adata.uns["cellzoo"]["tiny"]["model"] == "tiny"
    copy = zoo.annotate(make_adata(), model, key_added="mine", copy=True)
    assert "mine_verdict" in copy.obs
    assert not any(name.startswith("mine") for name in adata.obs)


def test_an_annotated_adata_can_be_written_and_read(model, tmp_path):
    adata = make_adata()
    zoo.annotate(adata, model, outputs=["prob"])
    adata.write_h5ad(tmp_path / "annotated.h5ad")
    assert model.predict(tmp_path / "annotated.h5ad")["label"][0] == "T cell"


def test_a_refused_adata_is_unchanged(model):
    adata = make_adata(organism="Mus musculus")
    with pytest.raises(WrongOrganism, match="was made for Homo sapiens"):
        zoo.annotate(adata, model)
    assert adata.obs.columns.tolist() == ["cluster"]
    zoo.annotate(adata, model, force=True)
    assert adata.obs["tiny_forced"].all()


@pytest.mark.parametrize(
    "options", [{"batch_size": 0}, {"threads": -1}, {"device": "gpu"}, {"value_kind": "foo"}]
)
def test_options_are_checked(model, options):
    with pytest.raises(InvalidOption, match="cannot be"):
        model.predict(make_adata(), **options)


def test_predictions_are_shown_in_a_line(model):
    shown = repr(model.predict(make_adata(), outputs="prob"))
    assert shown.startswith("<zoo.Predictions of tiny@1.0.0 for 60 cells: label, label_id, call")
    assert len(shown) < 250


def test_layers_are_named_as_in_scanpy(model):
    adata = make_adata()
    adata.layers["raw_counts"] = adata.X.copy()
    adata.X = np.log1p(adata.X.toarray() + 0.7)
    predictions = model.predict(adata, source="raw_counts")
    assert predictions.provenance["source"] == "layers/raw_counts"


def test_import_is_light():
    script = (
        "import sys, zoo; "
        "heavy = {'numpy', 'h5py', 'onnxruntime', 'pydantic', 'click', 'rich'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_parity_holds_and_is_noticed_when_it_does_not(folder, tmp_path, capsys):
    import h5py

    sample = write_counts(folder / "sample.h5ad")
    predictions = zoo.load(str(folder)).predict(sample, outputs=["prob", "conformal_p", "in_set"])
    arrays = {
        **predictions.obsm,
        "embedding": predictions["X_embedding"],
        "label": np.array([predictions.obs["label"] != "T cell"])[0] * 1,
        "ood_z": predictions["ood_z"],
        "ood_p": predictions["ood_p"],
    }
    arrays["label"] = predictions.obsm["prob"].argmax(axis=1)
    arrays.pop("X_embedding")
    with h5py.File(folder / "expected.h5", "w") as file:
        for name, values in arrays.items():
            file[name] = values
    write_manifest(folder)
    assert cli.execute(["test", str(folder)]) == 0
    assert "Passed" in capsys.readouterr().out
    with h5py.File(folder / "expected.h5", "r+") as file:
        file["prob"][3] = 0.25
    write_manifest(folder)
    assert cli.execute(["test", str(folder)]) == 1
    assert "prob: 3 values differ by more than" in capsys.readouterr().err


def test_sample_is_written_by_example(folder, tmp_path, capsys):
    write_counts(folder / "sample.h5ad")
    write_manifest(folder)
    out = tmp_path / "sample.h5ad"
    assert cli.execute(["example", str(folder), "-o", str(out)]) == 0
    assert out.read_bytes() == (folder / "sample.h5ad").read_bytes()
    assert cli.execute(["example", str(folder), "-o", str(out)]) == 8
