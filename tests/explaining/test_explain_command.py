"""`zoo explain` on the tiny model: what it writes, in which form, and what it refuses."""

import csv
import json
import shutil

import anndata as ad
import h5py
import numpy as np
import pytest
from counts_file import write_counts
from explained_model import add_explanation, with_metadata, write_explained_model
from tiny_model import GENES, write_manifest, write_tiny_model

from zoo.card_file import ModelCard
from zoo.errors import InvalidManifest
from zoo.manifest import Manifest
from zoo.session import Session

CELLS = 60


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_explained_model(tmp_path_factory.mktemp("explained") / "tiny")


@pytest.fixture
def file(tmp_path):
    return write_counts(tmp_path / "my.h5ad", CELLS)


def explained(run_zoo, *words):
    ran = run_zoo("explain", *words, "--json")
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


def test_a_result_holds_answers_and_what_they_rest_on(run_zoo, model, file, tmp_path):
    explained(run_zoo, model, file, "-o", tmp_path / "out.h5ad", "--top", 2)
    result = ad.read_h5ad(tmp_path / "out.h5ad")
    assert result.obs.columns[-2:].tolist() == ["top_present", "top_absent"]
    assert result.var_names.tolist() == list(GENES)
    # Cell i expresses gene i mod 6, which speaks for class i mod 3.
    first = [names.split(" ")[0] for names in result.obs["top_present"]]
    assert first == [GENES[i % 6] for i in range(CELLS)]
    layer = result.layers["attribution"]
    assert layer.shape == (CELLS, len(GENES))
    assert layer.nnz <= CELLS * 4
    assert (layer.data > 0).all()
    table = result.uns["explanation"]
    assert table.columns.tolist() == ["group", "state", "rank", "gene", "attribution", "share"]
    mine = table[(table["group"] == "T cell") & (table["state"] == "present")]
    assert set(mine["gene"]) == {"G1", "G4"}
    assert mine["rank"].tolist() == [1, 2]
    facts = result.uns["cellzoo"]["explanation"]
    assert facts["method"] == "integrated gradients"
    assert facts["label"] == "each cell's own"
    assert facts["absent_share"] == 0  # its reference cell expresses nothing
    assert result.uns["cellzoo"]["command"].startswith("zoo explain ")


def test_tables_for_people_without_anndata(run_zoo, model, file, tmp_path):
    said = explained(run_zoo, model, file, "-o", tmp_path / "out.csv")
    assert [path.rpartition("/")[2] for path in said["outputs"]] == [
        "out.csv", "out.csv.json", "out.groups.csv",
    ]  # fmt: skip
    with (tmp_path / "out.csv").open(encoding="utf-8") as cells:
        first = next(csv.DictReader(cells))
    assert first["label"] == "T cell"
    assert first["top_present"].split(" ")[0] == "G1"
    with (tmp_path / "out.groups.csv").open(encoding="utf-8") as groups:
        lines = list(csv.DictReader(groups))
    assert [line["gene"] for line in lines] == [entry["gene"] for entry in said["genes"]]


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_results_do_not_depend_on_blocks_and_threads(run_zoo, model, file, tmp_path, batch_size):
    words = ["--batch-size", batch_size, "--threads", 2, "--outputs", "attribution"]
    explained(run_zoo, model, file, "-o", tmp_path / "a.h5ad", *words)
    explained(run_zoo, model, file, "-o", tmp_path / "b.h5ad", "--outputs", "attribution")
    one, other = ad.read_h5ad(tmp_path / "a.h5ad"), ad.read_h5ad(tmp_path / "b.h5ad")
    assert one.layers["attribution"].shape == (CELLS, len(GENES))
    np.testing.assert_allclose(
        one.layers["attribution"], other.layers["attribution"], rtol=1e-4, atol=1e-5
    )
    assert one.uns["explanation"]["gene"].tolist() == other.uns["explanation"]["gene"].tolist()


def test_all_genes_of_every_cell_if_asked(run_zoo, model, file, tmp_path):
    explained(run_zoo, model, file, "-o", tmp_path / "out.h5ad", "--outputs", "attribution")
    with h5py.File(tmp_path / "out.h5ad") as result:
        assert result["layers/attribution"].attrs["encoding-type"] == "array"


def test_the_answers_are_those_of_a_run(run_zoo, model, file, tmp_path):
    explained(run_zoo, model, file, "-o", tmp_path / "a.h5ad")
    assert run_zoo("run", model, file, "-o", tmp_path / "b.h5ad").code == 0
    one, other = ad.read_h5ad(tmp_path / "a.h5ad").obs, ad.read_h5ad(tmp_path / "b.h5ad").obs
    assert one[other.columns.tolist()].equals(other)


def test_a_column_of_groups(run_zoo, model, file, tmp_path):
    said = explained(run_zoo, model, file, "-o", tmp_path / "out.h5ad", "--groups", "cluster")
    assert {line["group"] for line in said["genes"]} == {"c0", "c1", "c2"}
    assert "group_call" in ad.read_h5ad(tmp_path / "out.h5ad").obs


def test_one_class_for_every_cell(run_zoo, model, file, tmp_path):
    said = explained(run_zoo, model, file, "-o", tmp_path / "out.h5ad", "--label", "B cell")
    assert said["explanation"]["label"] == "B cell"
    top = {line["gene"] for line in said["genes"] if line["state"] == "present"}
    assert top == {"G2", "G5"}


def test_the_table_on_the_terminal(run_zoo, model, file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = run_zoo("explain", model, file)
    assert ran.code == 0
    assert "What the labels rest on:" in ran.out
    assert "of what speaks for the labels is genes that are absent." in ran.out
    assert "Wrote my.tiny.explained.h5ad" in ran.out


def test_a_report_draws_it(run_zoo, model, file, tmp_path):
    explained(run_zoo, model, file, "-o", tmp_path / "out.h5ad")
    with h5py.File(tmp_path / "out.h5ad", "r+") as result:
        lines = result["uns/explanation"]
        lines["state"][1], lines["gene"][1] = "absent", "G<2>"
    assert run_zoo("report", tmp_path / "out.h5ad", "-o", tmp_path / "out.html").code == 0
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "What the labels rest on" in page
    assert "against a reference cell (the mean of made-up cells)" in page
    assert 'class="bar present"' in page
    assert "no G&lt;2&gt;" in page


def test_a_report_refuses_a_damaged_table(run_zoo, model, file, tmp_path):
    explained(run_zoo, model, file, "-o", tmp_path / "out.h5ad")
    with h5py.File(tmp_path / "out.h5ad", "r+") as result:
        del result["uns/explanation/share"]
        result["uns/explanation"].attrs["column-order"] = ["group", "state", "rank", "gene"]
    ran = run_zoo("report", tmp_path / "out.h5ad", "-o", tmp_path / "out.html")
    assert ran.code == 3
    assert "uns/explanation" in ran.err


def test_a_report_of_a_run_has_no_such_section(run_zoo, model, file, tmp_path):
    assert run_zoo("run", model, file, "-o", tmp_path / "out.h5ad").code == 0
    assert run_zoo("report", tmp_path / "out.h5ad", "-o", tmp_path / "out.html").code == 0
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "What the labels rest on" not in page


# -- refusals ------------------------------------------------------------------------------------


def test_a_model_without_an_explanation(run_zoo, tiny_hub, file, tmp_path):
    ran = run_zoo("explain", tiny_hub, file, "-o", tmp_path / "out.h5ad")
    assert ran.code == 4
    assert "'tiny@1.0.0' has no explain.onnx: it cannot be explained." in ran.err
    assert not (tmp_path / "out.h5ad").exists()


def test_an_unknown_label(run_zoo, model, file, tmp_path):
    ran = run_zoo("explain", model, file, "-o", tmp_path / "out.h5ad", "--label", "neuron")
    assert ran.code == 2
    assert "'tiny' has no label 'neuron'." in ran.err
    assert "Its labels: 'T cell', 'B cell', 'monocyte'." in ran.err
    assert not (tmp_path / "out.h5ad").exists()


def test_an_unknown_column(run_zoo, model, file, tmp_path):
    ran = run_zoo("explain", model, file, "-o", tmp_path / "out.h5ad", "--groups", "louvain")
    assert ran.code == 3
    assert "louvain" in ran.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-o", "out.parquet"], "out.parquet"),
        (["-o", "out.csv", "--outputs", "attribution"], "which only an .h5ad holds"),
        (["-o", "out.h5ad", "--outputs", "imputed"], "imputed"),
    ],
)
def test_outputs_that_cannot_be(run_zoo, model, file, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    ran = run_zoo("explain", model, file, *words)
    assert ran.code == 2
    assert told in ran.err


def test_attribution_is_no_output_of_a_run(run_zoo, model, file, tmp_path):
    ran = run_zoo("run", model, file, "-o", tmp_path / "o.h5ad", "--outputs", "attribution")
    assert ran.code == 2


def test_a_changed_byte_is_refused_before_it_is_loaded(run_zoo, model, file, tmp_path, monkeypatch):
    broken = shutil.copytree(model, tmp_path / "tiny")
    content = bytearray((broken / "explain.onnx").read_bytes())
    content[-1] ^= 1
    (broken / "explain.onnx").write_bytes(bytes(content))
    monkeypatch.setattr(Session, "open_explanation", None)
    ran = run_zoo("explain", broken, file, "-o", tmp_path / "out.h5ad")
    assert ran.code == 5
    assert "'explain.onnx' from" in ran.err


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"cellzoo_graph_sha256": "0" * 64}, "explain.onnx was made for another model.onnx"),
        ({"cellzoo_name": "other"}, "its metadata says cellzoo_name = 'other'"),
        ({"cellzoo_genes_sha256": "0" * 64}, "its metadata says cellzoo_genes_sha256"),
    ],
)
def test_an_explanation_of_another_model(run_zoo, model, file, tmp_path, changes, told):
    broken = shutil.copytree(model, tmp_path / "tiny")
    path = broken / "explain.onnx"
    path.write_bytes(with_metadata(path.read_bytes(), **changes))
    write_manifest(broken)
    ran = run_zoo("explain", broken, file, "-o", tmp_path / "out.h5ad")
    assert ran.code == 5
    assert told in ran.err


def test_a_model_graph_is_no_explanation(run_zoo, model, file, tmp_path):
    broken = shutil.copytree(model, tmp_path / "tiny")
    graph = (broken / "model.onnx").read_bytes()
    explain = (broken / "explain.onnx").read_bytes()
    own = {"cellzoo_graph_sha256": _made_for(explain)}
    (broken / "explain.onnx").write_bytes(with_metadata(graph, **own))
    write_manifest(broken)
    ran = run_zoo("explain", broken, file, "-o", tmp_path / "out.h5ad")
    assert ran.code == 5
    assert "the inputs of explain.onnx are" in ran.err


def _made_for(content):
    import onnx

    entries = onnx.load_from_string(content).metadata_props
    return next(entry.value for entry in entries if entry.key == "cellzoo_graph_sha256")


def test_a_card_with_an_explanation_needs_the_file(model, tmp_path):
    broken = shutil.copytree(model, tmp_path / "tiny")
    (broken / "explain.onnx").unlink()
    with pytest.raises(InvalidManifest, match=r"there is no explain\.onnx"):
        Manifest.of_folder(broken)


def test_a_calibrated_version_has_no_explanation_of_the_former_graph(model):
    from zoo.calibrating.folder import KEPT

    assert "explain" not in KEPT
    assert ModelCard.read(model / "README.md").block.explanation is not None


def test_the_tiny_model_is_explained_again_after_a_change(tmp_path):
    folder = write_tiny_model(tmp_path / "tiny", classes=4)
    add_explanation(folder)
    assert Manifest.of_folder(folder).file("explain") is not None
