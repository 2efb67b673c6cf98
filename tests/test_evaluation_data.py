"""Reading a data set to evaluate with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from counts_file import GENES, make_adata
from spatial_file import make_slides
from tiny_model import genes_table

from zoo.digest import sha256_of_file
from zoo.errors import (
    FileMissing,
    InvalidOrthologs,
    InvalidStudy,
    MissingKey,
    NoKnownLabels,
    NoSharedGenes,
    OtherDataFile,
    UnknownModelLabel,
    WrongValueKind,
)
from zoo.evaluation.data_set import EvaluationData
from zoo.evaluation.loading import read_cells
from zoo.evaluation.study import Study
from zoo.vocabulary import GeneVocabulary

VOCABULARY = GeneVocabulary.parse(genes_table(GENES).encode(), model="tiny")
LABELS = ("T cell", "B cell", "monocyte")


def written(tmp_path: Path, adata, **fields) -> EvaluationData:
    adata.write_h5ad(tmp_path / "data.h5ad")
    return EvaluationData(key="data", file="data.h5ad", dataset="made up", **fields)


def read(data: EvaluationData, folder: Path, labels=LABELS, value_kinds=("counts",)):
    return read_cells(data, folder, vocabulary=VOCABULARY, labels=labels, value_kinds=value_kinds)


def labelled(cells: int = 60):
    adata = make_adata(cells, ("G2", "G1", "other"))
    adata.obs["type"] = [("T", "B cell", "platelet", "doublet", "")[i % 5] for i in range(cells)]
    adata.obs["donor"] = [f"d{i % 3}" for i in range(cells)]
    return adata


def test_counts_in_the_order_of_the_vocabulary(tmp_path):
    adata = labelled()
    ((part, cells),) = read(written(tmp_path, adata), tmp_path)
    assert part is None
    assert cells.placed.present.tolist() == [1, 1, 0, 0, 0, 0]
    assert cells.placed.coverage == pytest.approx(1 / 3)
    np.testing.assert_array_equal(cells.placed.counts[:, :2], adata.X.toarray()[:, [1, 0]])
    np.testing.assert_array_equal(cells.placed.total_counts[:, 0], adata.X.toarray().sum(axis=1))
    assert cells.label is None


def test_labels_are_mapped_then_matched_by_name(tmp_path):
    data = written(tmp_path, labelled(), label="type", mapping={"T": "T cell", "doublet": ""})
    ((_, cells),) = read(data, tmp_path)
    assert cells.labels == LABELS
    assert cells.label[:5].tolist() == [0, 1, -1, -1, -1]
    # Only the platelet is of a type that the model could know and does not.
    assert cells.stranger[:5].tolist() == [False, False, True, False, False]


def test_a_model_without_classes_takes_the_names_of_the_data(tmp_path):
    data = written(tmp_path, labelled(), label="type", mapping={"T": "T cell", "doublet": ""})
    ((_, cells),) = read(data, tmp_path, labels=())
    assert cells.labels == ("B cell", "T cell", "platelet")
    assert cells.label[:5].tolist() == [1, 0, 2, -1, -1]
    assert not cells.stranger.any()


def test_groups_and_parts(tmp_path):
    data = written(tmp_path, labelled(), group="donor", by="cluster")
    parts = dict(read(data, tmp_path))
    assert list(parts) == ["c0", "c1", "c2"]
    assert [len(cells) for cells in parts.values()] == [20, 20, 20]
    assert parts["c1"].groups == ("d0", "d1", "d2")
    assert set(parts["c1"].group.tolist()) == {1}


def test_a_sample_is_the_same_each_time(tmp_path):
    data = written(tmp_path, labelled(), maximum_cells=7)
    ((_, once),) = read(data, tmp_path)
    ((_, again),) = read(data, tmp_path)
    assert len(once) == 7
    np.testing.assert_array_equal(once.placed.counts, again.placed.counts)


def test_log_normalized_values_are_counts_again(tmp_path):
    adata = make_adata(60)
    counts = np.random.default_rng(0).poisson(3, adata.shape)
    counts[:, 0] = 1  # so that a cell's smallest value is one count
    adata.X = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)
    data = written(tmp_path, adata)
    ((_, cells),) = read(data, tmp_path, value_kinds=("counts", "log_normalized"))
    np.testing.assert_array_equal(cells.placed.counts, counts)
    with pytest.raises(WrongValueKind):
        read(data, tmp_path)


def test_intensities_are_read_as_they_are(tmp_path):
    adata = make_adata(20)
    adata.X = np.random.default_rng(0).normal(3, 2, (20, len(GENES))).astype(np.float32)
    ((_, cells),) = read(written(tmp_path, adata), tmp_path, value_kinds=("intensity",))
    np.testing.assert_array_equal(cells.placed.counts, adata.X)


def test_slides_are_groups_unless_others_are_named(tmp_path):
    adata = make_slides(10, 14)
    data = written(tmp_path, adata, slide_key="section")
    ((_, cells),) = read(data, tmp_path)
    assert cells.placed.slides.names == ("A", "B")
    assert cells.groups == ("A", "B")
    ((_, cells),) = read(written(tmp_path, adata, slide_key="section", group="cluster"), tmp_path)
    assert cells.groups == ("c0", "c1", "c2")


def test_genes_of_a_mouse_are_read_as_human(tmp_path):
    adata = make_adata(20, ("g1", "g2", "g9", "nobody"))
    (tmp_path / "pairs.tsv").write_text("human\tmouse\nG1\tg1\nG2\tg2\nG9\tg9\n")
    data = written(tmp_path, adata, orthologs="pairs.tsv")
    ((_, cells),) = read(data, tmp_path)
    assert cells.placed.present.tolist() == [1, 1, 0, 0, 0, 0]
    np.testing.assert_array_equal(cells.placed.counts[:, :2], adata.X.toarray()[:, :2])
    (tmp_path / "pairs.tsv").write_text("human\tmouse\nG1\tg1\nG1\tg2\n")
    with pytest.raises(InvalidOrthologs, match="column 'human' names a gene twice"):
        read(data, tmp_path)
    (tmp_path / "pairs.tsv").write_text("human\trat\nG1\tg1\n")
    with pytest.raises(InvalidOrthologs, match="no column 'mouse'"):
        read(data, tmp_path)
    (tmp_path / "pairs.tsv").unlink()
    with pytest.raises(FileMissing):
        read(data, tmp_path)


# -- what stops ----------------------------------------------------------------------------------


def test_no_such_column(tmp_path):
    with pytest.raises(MissingKey, match="has no 'cell_type' in obs"):
        read(written(tmp_path, labelled(), label="cell_type"), tmp_path)


def test_no_label_has_a_counterpart(tmp_path):
    data = written(tmp_path, labelled(), label="cluster")
    with pytest.raises(NoKnownLabels, match=r"'c0', 'c1', 'c2'.*is one of the model's.*'T cell'"):
        read(data, tmp_path)
    shift = data.model_copy(update={"role": "shift"})
    ((_, cells),) = read(shift, tmp_path)
    assert cells.stranger.all()


def test_a_label_is_mapped_to_none_of_the_models(tmp_path):
    data = written(tmp_path, labelled(), label="type", mapping={"T": "T cells"})
    with pytest.raises(UnknownModelLabel, match="'T cells', which is none of the model's"):
        read(data, tmp_path)


def test_another_file_than_the_one_that_was_named(tmp_path):
    data = written(tmp_path, labelled())
    right = sha256_of_file(tmp_path / "data.h5ad")
    assert read(data.model_copy(update={"sha256": right}), tmp_path)
    with pytest.raises(OtherDataFile, match=f"sha256 {right[:12]}… where 000000000000… is"):
        read(data.model_copy(update={"sha256": "0" * 64}), tmp_path)


def test_no_shared_gene(tmp_path):
    with pytest.raises(NoSharedGenes):
        read(written(tmp_path, make_adata(10, ("A", "B"))), tmp_path)


# -- study files ---------------------------------------------------------------------------------


def test_a_study_file_may_be_a_plan(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(
        'name = "a-model"\n[[evaluation]]\nkey = "kang"\nfile = "kang.h5ad"\ndataset = "Kang"\n'
    )
    assert [data.key for data in Study.read(path).evaluation] == ["kang"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = [", "it is no TOML"),
        ("x = 1", "evaluation: Field required"),
        ('[[evaluation]]\nkey = "a"\nfile = "a"\ndataset = "a"\nlabell = "b"', "labell: Extra"),
        (
            '[[evaluation]]\nkey = "a"\nfile = "a"\ndataset = "a"\nconditions = ["heat"]',
            "conditions.0: Input should be 'thinning'",
        ),
        ('[[evaluation]]\nkey = "a"\nfile = "a"\ndataset = "a"\n' * 2, "two data sets have the ke"),
    ],
)
def test_a_study_file_that_cannot_be_used(tmp_path, text, told):
    path = tmp_path / "study.toml"
    path.write_text(text)
    with pytest.raises(InvalidStudy, match=told):
        Study.read(path)
