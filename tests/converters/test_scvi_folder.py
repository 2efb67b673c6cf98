"""`zoo convert scvi`: folders that scvi-tools saves, read as data, against torch and scvi-tools."""

import os
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("converters.importing")
h5py = pytest.importorskip("h5py")

from saved_scvi import GENES, LABELS, Network, content_of, save  # noqa: E402

from converters.importing.importer import Source  # noqa: E402
from converters.parity import run_graph  # noqa: E402
from converters.scvi.saved.folder import SavedFolder  # noqa: E402
from converters.scvi.saved.importer import ScviFolder  # noqa: E402
from zoo.errors import (  # noqa: E402
    FileMissing,
    ForbiddenGlobal,
    MissingWeights,
    NoLabelNames,
    UnequalLengths,
    UnreadableWeights,
    UnsupportedWeights,
    WeightsNotFinite,
)
from zoo.evaluation.cells import Placed  # noqa: E402

DATA = Path(__file__).parents[1] / "data" / "scvi"
COUNTS = np.random.default_rng(0).poisson(3, size=(7, GENES)).astype(np.float32)


def read(path, **settings):
    return ScviFolder().read(Source(path=path, format="scvi", settings=settings))


def graph_answers(model, counts):
    model.graph.keep_only([output.name for output in model.outputs])
    return run_graph(model.graph.finish({}), {"counts": counts})


def numpy_answers(model, counts):
    return model.answers(Placed(counts, np.ones(counts.shape[1], dtype=np.float32), 1.0))


# -- the same answers ----------------------------------------------------------------------------

VARIANTS = {
    "usual": ({}, {}),
    "layer norm": ({"batch_norm": False, "layer_norm": True}, {"use_layer_norm": "both"}),
    "both norms, two layers": (
        {"layer_norm": True, "layers": 2},
        {"use_layer_norm": "encoder", "gene_likelihood": "nb", "dispersion": "gene-batch"},
    ),
    "no norm": ({"batch_norm": False}, {"use_batch_norm": "none"}),
    "plain counts": ({"log": False}, {"log_variational": False, "use_observed_lib_size": False}),
    "linear classifier": ({"linear": True}, {"linear_classifier": True}),
    "no classifier": ({"classifier": False}, {}),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_graph_gives_what_torch_gives(tmp_path, variant):
    built, choices = VARIANTS[variant]
    network = Network(**built)
    kind = "SCVI" if variant == "no classifier" else "SCANVI"
    model = read(save(tmp_path / "saved", content_of(network, choices, model=kind)))
    expected = network.answers(COUNTS)
    for found in (graph_answers(model, COUNTS), numpy_answers(model, COUNTS)):
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, atol=1e-5)
    assert model.labels == (() if kind == "SCVI" else LABELS)
    assert model.value_kinds == ("counts",)


@pytest.mark.parametrize("deep", [True, False])
@pytest.mark.parametrize("batch", ["one", "two"])
def test_an_encoder_with_batches_is_told_one_of_them(tmp_path, deep, batch):
    network = Network(layers=2, told=2, deep=deep)
    choices = {"encode_covariates": True, "deeply_inject_covariates": deep}
    model = read(save(tmp_path / "saved", content_of(network, choices)), batch=batch)
    told = torch.tensor([[float(batch == "one"), float(batch == "two")]])
    expected = network.answers(COUNTS, told)
    found = graph_answers(model, COUNTS)
    np.testing.assert_allclose(found["embedding"], expected["embedding"], atol=1e-5)
    np.testing.assert_allclose(found["prob"], expected["prob"], atol=1e-5)


def sample_counts():
    """Counts [cells, genes] of the stored sample, which has the models' genes in their order."""
    sparse = pytest.importorskip("scipy.sparse")
    with h5py.File(DATA / "sample.h5ad") as file:
        parts = tuple(file["X"][name][()] for name in ("data", "indices", "indptr"))
        shape = tuple(file["X"].attrs["shape"])
    return sparse.csr_matrix(parts, shape=shape).toarray().astype(np.float32)


@pytest.mark.parametrize("name", ["scanvi", "scanvi-arches"])
def test_graph_gives_what_scvi_tools_gave(name):
    model = read(DATA / name, **({"batch": "human1"} if name == "scanvi-arches" else {}))
    with h5py.File(DATA / f"{name}.h5") as file:
        assert "scvi-tools" in file.attrs["made_with"]
        expected = {key: file[key][()] for key in file}
    order = [expected["classes"].astype(str).tolist().index(label) for label in model.labels]
    found = graph_answers(model, sample_counts())
    np.testing.assert_allclose(found["embedding"], expected["embedding"], atol=1e-5)
    np.testing.assert_allclose(found["prob"], expected["prob"][:, order], atol=1e-5)
    assert len(model.labels) == 14


def test_one_cell_and_no_counts_are_fine(tmp_path):
    model = read(save(tmp_path / "saved", content_of(Network(), {})))
    found = graph_answers(model, np.zeros((1, GENES), dtype=np.float32))
    assert all(np.isfinite(values).all() for values in found.values())


def test_covariates_that_only_the_decoder_is_told_change_nothing(tmp_path):
    setup = {"categorical_covariate_keys": ["plate"]}
    folder = save(tmp_path / "saved", content_of(Network(), {}, setup=setup))
    assert read(folder).labels == LABELS


def test_a_prefix_of_the_file_is_found(tmp_path):
    folder = save(tmp_path / "saved", content_of(Network(), {}))
    (folder / "model.pt").rename(folder / "lung_model.pt")
    assert read(folder).labels == LABELS


# -- refusals ------------------------------------------------------------------------------------


def test_another_class_is_refused_by_name(tmp_path):
    folder = save(tmp_path / "saved", content_of(Network(), {}, model="TOTALVI"))
    with pytest.raises(UnsupportedWeights, match="TOTALVI") as caught:
        read(folder)
    assert "SCVI, SCANVI" in caught.value.hint


def test_covariates_that_the_encoder_is_told_are_refused(tmp_path):
    setup = {"continuous_covariate_keys": ["percent_mito"]}
    content = content_of(Network(told=3), {"encode_covariates": True}, setup=setup)
    with pytest.raises(UnsupportedWeights, match="percent_mito"):
        read(save(tmp_path / "saved", content), batch="one")


@pytest.mark.parametrize("batch", [None, "three"])
def test_a_batch_that_nobody_named_is_asked_for(tmp_path, batch):
    content = content_of(Network(told=2), {"encode_covariates": True})
    with pytest.raises(UnsupportedWeights) as caught:
        read(save(tmp_path / "saved", content), **({"batch": batch} if batch else {}))
    assert "--set batch=NAME" in caught.value.hint
    assert "one, two" in caught.value.hint


@pytest.mark.parametrize(
    "choices",
    [
        {"latent_distribution": "ln"},
        {"use_labels_groups": True},
        {"extra_encoder_kwargs": {"activation_fn": "ELU"}},
    ],
)
def test_choices_that_the_graph_cannot_follow_are_refused(tmp_path, choices):
    with pytest.raises(UnsupportedWeights, match=next(iter(choices))):
        read(save(tmp_path / "saved", content_of(Network(), choices)))


def test_another_number_of_genes_is_refused(tmp_path):
    folder = save(tmp_path / "saved", content_of(Network(), {}, genes=GENES - 1))
    with pytest.raises(UnequalLengths, match="11 genes, but 12 inputs"):
        read(folder)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(FileMissing):
        read(tmp_path)
    (tmp_path / "model_params.pt").write_bytes(b"")
    with pytest.raises(UnsupportedWeights, match=r"before 0\.15"):
        read(tmp_path)


@pytest.mark.parametrize("part", ["var_names", "attr_dict", "model_state_dict"])
def test_a_missing_part_is_named(tmp_path, part):
    content = content_of(Network(), {})
    del content[part]
    with pytest.raises(MissingWeights, match=part):
        read(save(tmp_path / "saved", content))


def test_missing_and_broken_weights_are_named(tmp_path):
    content = content_of(Network(), {})
    mean = content["model_state_dict"].pop("z_encoder.mean_encoder.weight")
    with pytest.raises(MissingWeights, match="mean_encoder"):
        read(save(tmp_path / "saved", content))
    content["model_state_dict"]["z_encoder.mean_encoder.weight"] = mean * float("nan")
    with pytest.raises(WeightsNotFinite, match="mean_encoder"):
        read(save(tmp_path / "saved", content))


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_code_in_the_archive_is_refused_and_not_run(tmp_path):
    trap = tmp_path / "ran"
    content = content_of(Network(), {})
    content["attr_dict"]["history_"] = Evil(trap)
    with pytest.raises(ForbiddenGlobal, match=r"posix\.system"):
        read(save(tmp_path / "saved", content))
    assert not trap.exists()


def test_files_that_are_no_archive_are_refused(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"not a zip")
    with pytest.raises(UnreadableWeights, match="no torch archive"):
        read(tmp_path)
    save(tmp_path, content_of(Network(), {}))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableWeights):
        read(tmp_path)
    torch.save([1, 2], path)
    with pytest.raises(UnreadableWeights, match="no saved model"):
        read(tmp_path)


def test_pandas_tables_are_read_as_nothing(tmp_path):
    pandas = pytest.importorskip("pandas")
    content = content_of(Network(), {})
    table = pandas.DataFrame({"elbo_train": [3.0, 2.0]})
    content["attr_dict"]["history_"] = {"elbo_train": table}
    folder = save(tmp_path / "saved", content)
    assert not hasattr(SavedFolder.read(folder).attributes["history_"]["elbo_train"], "columns")
    assert read(folder).labels == LABELS


@pytest.mark.parametrize(
    ("part", "value"), [("model_state_dict", [1]), ("var_names", "INS"), ("var_names", 3)]
)
def test_parts_of_another_kind_are_refused(tmp_path, part, value):
    content = content_of(Network(), {})
    content[part] = value
    with pytest.raises(UnreadableWeights, match="no known kind"):
        read(save(tmp_path / "saved", content))


def test_registries_of_another_kind_name_no_classes(tmp_path):
    content = content_of(Network(), {})
    content["attr_dict"]["registry_"]["field_registries"] = [1, 2]
    with pytest.raises(NoLabelNames):
        read(save(tmp_path / "saved", content))


def test_genes_as_fixed_width_text_are_read(tmp_path):
    content = content_of(Network(), {})
    content["var_names"] = np.array([f"GENE{i}" for i in range(GENES)])
    assert read(save(tmp_path / "saved", content)).genes.symbols[-1] == "GENE11"


def test_a_choice_that_is_no_plain_value_is_refused(tmp_path):
    content = content_of(Network(), {"encode_covariates": np.bool_(False)})
    with pytest.raises(UnsupportedWeights, match="encode_covariates"):
        read(save(tmp_path / "saved", content))
