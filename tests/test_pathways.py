"""Outputs by pathway: a run names their columns, and a table that does not fit is refused."""

import anndata as ad
import numpy as np
import onnx
import pandas as pd
import pytest
from counts_file import make_adata, write_counts
from onnx import TensorProto, helper
from tiny_model import tiny_block, write_manifest, write_tiny_model

import zoo
from zoo import cli
from zoo.card import Output
from zoo.card_file import ModelCard
from zoo.errors import InvalidModelFile
from zoo.pathways import Pathway, PathwayTable, pathways_table

NAMES = ("B cell receptor", "T cell receptor", "lysosome")
TABLE = pathways_table([Pathway(name, "made up", "CC0-1.0", ("G1", "G2")) for name in NAMES])


@pytest.fixture
def folder(tmp_path):
    """The tiny model with its probabilities as attention."""
    made = write_tiny_model(tmp_path / "tiny")
    graph = onnx.load(made / "model.onnx")
    graph.graph.node.append(helper.make_node("Identity", ["prob"], ["pathway_attention"]))
    graph.graph.output.append(
        helper.make_tensor_value_info("pathway_attention", TensorProto.FLOAT, ["cells", 3])
    )
    onnx.save(graph, made / "model.onnx")
    block = tiny_block()
    told = Output(name="pathway_attention", description="attention", unit="share of 1")
    tolerances = {**block.tolerances, "pathway_attention": block.tolerances["prob"]}
    block = block.model_copy(update={"outputs": [*block.outputs, told], "tolerances": tolerances})
    (made / "README.md").write_text(ModelCard(block, "# tiny\n").render(), encoding="utf-8")
    (made / "pathways.tsv").write_bytes(TABLE)
    write_manifest(made)
    return made


def test_columns_of_attention_have_the_names_of_pathways(folder, tmp_path):
    file, out = write_counts(tmp_path / "my.h5ad"), tmp_path / "out.h5ad"
    assert cli.execute(["run", str(folder), str(file), "-o", str(out)]) == 0
    result = ad.read_h5ad(out)
    table = pd.DataFrame(
        result.obsm["pathway_attention"],
        index=result.obs_names,
        columns=result.uns["cellzoo"]["pathways"],
    )
    assert tuple(table.columns) == NAMES
    np.testing.assert_allclose(table.sum(axis=1), 1, atol=1e-5)


def test_a_copy_and_an_annotated_object_have_them_too(folder, tmp_path):
    file, into = write_counts(tmp_path / "my.h5ad"), tmp_path / "copy.h5ad"
    assert cli.execute(["run", str(folder), str(file), "--into", str(into)]) == 0
    copy = ad.read_h5ad(into)
    assert copy.obsm["tiny_pathway_attention"].shape == (60, 3)
    assert tuple(copy.uns["cellzoo"]["tiny"]["pathways"]) == NAMES
    adata = make_adata()
    zoo.annotate(adata, str(folder))
    assert tuple(adata.uns["cellzoo"]["tiny"]["pathways"]) == NAMES


def test_pathways_that_are_not_those_of_the_graph_are_refused(folder, tmp_path):
    (folder / "pathways.tsv").write_bytes(TABLE.rsplit(b"lysosome", 1)[0])
    write_manifest(folder)
    with pytest.raises(InvalidModelFile, match="2 pathways where 'pathway_attention' has 3"):
        zoo.load(str(folder)).predict(make_adata())


def test_a_table_is_read_as_it_was_written():
    table = PathwayTable.parse(TABLE, model="tiny")
    assert table.names == NAMES
    assert table.pathways[0].genes == ("G1", "G2")
    assert pathways_table(table.pathways) == TABLE
    twice = TABLE + TABLE.partition(b"\n")[2]
    with pytest.raises(InvalidModelFile, match="not unique"):
        PathwayTable.parse(twice, model="tiny")
