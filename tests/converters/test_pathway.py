"""The recipe `pathway`: tokens see their own genes alone, attention is shares, rows are right."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("scipy")
pytest.importorskip("sklearn")

from labelled_cells import LABELS, labelled_cells  # noqa: E402

from converters.building.subject import TorchSubject  # noqa: E402
from converters.fit_run import FitRun  # noqa: E402
from converters.pathway import expectation  # noqa: E402
from converters.pathway.expectation import AttentionMeasurer, ranks_of  # noqa: E402
from converters.pathway.gene_sets import OWN, padded, sets_of  # noqa: E402
from converters.pathway.network import PathwayNetwork, rollout  # noqa: E402
from converters.pathway.recipe import Pathways, PathwaySettings  # noqa: E402
from converters.vocabulary import genes_table  # noqa: E402
from zoo.errors import TooFewPathways  # noqa: E402
from zoo.evaluation.asked import Asked  # noqa: E402
from zoo.evaluation.cells import LabelledCells, Placed  # noqa: E402
from zoo.evaluation.measurements import Measurements, Setting  # noqa: E402
from zoo.pathways import Pathway, PathwayTable, pathways_table  # noqa: E402
from zoo.vocabulary import GeneVocabulary  # noqa: E402

SETS = {f"genes of {name}": range(3 + k, 60, 3) for k, name in enumerate(LABELS)}
SETS |= {"mixed": range(60, 75), "small": range(75, 78), "elsewhere": range(100, 120)}


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    path = tmp_path_factory.mktemp("sets") / "sets.tsv"
    path.write_bytes(
        pathways_table(
            [
                Pathway(name, "made up", "CC0-1.0", tuple(f"GENE{i}" for i in genes))
                for name, genes in SETS.items()
            ]
        )
    )
    return PathwaySettings(
        gene_sets=str(path), epochs=4, steps_per_epoch=25, width=16, heads=2, min_genes=5,
        calibration_repeats=1, table_size=64, dominant_share=1.0, most_genes=18, min_cells=1,
    )  # fmt: skip


def fitted(settings, cells=None, run=None):
    torch.set_num_threads(1)
    cells = labelled_cells() if cells is None else cells
    seen = cells.with_genes(Pathways().genes(cells.of("train"), settings))
    return seen, Pathways().fit(seen, settings, run or FitRun(0))


@pytest.fixture(scope="module")
def model(settings):
    return fitted(settings)


def answers(found, counts, present=None):
    present = np.ones(counts.shape[1], dtype=np.float32) if present is None else present
    with torch.no_grad():
        values = found.module(torch.from_numpy(counts), torch.from_numpy(present))
    names = [output.name for output in found.outputs]
    return {name: value.numpy() for name, value in zip(names, values, strict=True)}


def test_genes_are_those_of_pathways_that_are_large_enough(model, settings):
    seen, found = model
    table = PathwayTable.parse(found.files["pathways.tsv"], model="made")
    assert table.names == (*(f"genes of {name}" for name in LABELS), "mixed")
    assert set(seen.symbols) == {gene for p in table.pathways for gene in p.genes}
    assert len(table.pathways[0].genes) == settings.most_genes  # of 19
    assert found.sources[0].license == "CC0-1.0"


def test_a_token_sees_the_genes_of_its_pathway_alone(model):
    seen, found = model
    network = found.module.network
    z = torch.randn(4, len(seen.symbols), requires_grad=True)
    table = PathwayTable.parse(found.files["pathways.tsv"], model="made")
    for number, pathway in enumerate(table.pathways):
        (gradient,) = torch.autograd.grad(network.tokens(z)[:, number].sum(), z)
        inside = np.isin(seen.symbols, pathway.genes)
        assert (gradient[:, ~inside] == 0).all()
        assert (gradient[:, inside] != 0).all()


def test_attention_is_shares_that_sum_to_one(model):
    seen, found = model
    attention = answers(found, seen.dense())["pathway_attention"]
    assert attention.shape == (len(seen), 4)
    assert (attention >= 0).all()
    np.testing.assert_allclose(attention.sum(axis=1), 1, atol=1e-5)


def test_rollout_is_the_product_of_attention_with_residuals():
    first, last = torch.rand(5, 4, 4).softmax(-1), torch.rand(5, 4, 4).softmax(-1)
    halves = [(weights + torch.eye(4)) / 2 for weights in (first, last)]
    whole = (halves[1] @ halves[0])[:, 0, 1:]
    expected = whole / whole.sum(dim=1, keepdim=True)
    torch.testing.assert_close(rollout([first, last[:, :1]]), expected)
    torch.testing.assert_close(
        rollout([last[:, :1]]), last[:, 0, 1:] / last[:, 0, 1:].sum(dim=1, keepdim=True)
    )


@pytest.mark.parametrize("depth", [1, 3])
def test_the_last_block_looks_from_the_first_token_as_from_all(settings, depth):
    cells = labelled_cells()
    sets = tuple(torch.from_numpy(a) for a in padded(sets_of(cells, settings)))
    network = PathwayNetwork(80, 3, sets, settings.changed(depth=depth)).eval()
    z = torch.randn(6, 80)
    _, e, attention = network.look(z)
    x = torch.cat([network.first.expand(6, -1, -1), network.tokens(z)], dim=1)
    layers = []
    for block in network.blocks:
        x, weights = block(x, first_only=False)
        layers.append(weights)
    torch.testing.assert_close(e, network.norm(x[:, 0]))
    torch.testing.assert_close(attention, rollout([*layers[:-1], layers[-1][:, :1]]))


def test_learns_labels(model):
    seen, found = model
    fresh = labelled_cells(seed=3)
    fresh = fresh.with_genes(np.flatnonzero(np.isin(fresh.symbols, seen.symbols)))
    said = answers(found, fresh.dense())
    assert (said["label"] == fresh.label).mean() > 0.9
    assert said["in_set"][np.arange(len(fresh)), fresh.label].mean() > 0.8


@pytest.mark.parametrize("factor", [0.3, 7.0])
def test_scale_of_a_cell_does_not_matter(model, factor):
    seen, found = model
    counts = seen.dense()[:60]
    plain, scaled = answers(found, counts), answers(found, counts * np.float32(factor))
    for name in ("label", "prob", "embedding", "pathway_attention"):
        np.testing.assert_allclose(plain[name], scaled[name], atol=1e-4)


def test_absent_genes_and_empty_cells(model):
    seen, found = model
    present = np.ones(len(seen.symbols), dtype=np.float32)
    present[::2] = 0
    counts = seen.dense()[:30]
    plain = answers(found, counts, present)
    garbled = answers(found, counts + 50 * (1 - present), present)
    for name, values in plain.items():
        np.testing.assert_array_equal(values, garbled[name])
    for shown in (present, np.zeros_like(present)):
        said = answers(found, np.zeros((1, len(present)), np.float32), shown)
        assert all(np.isfinite(values.astype(float)).all() for values in said.values())


def test_shuffled_sets_keep_their_sizes(settings):
    cells = labelled_cells()
    plain, dealt = sets_of(cells, settings), sets_of(cells, settings.changed(shuffled=True))
    assert [len(c) for c in plain.columns] == [len(c) for c in dealt.columns]
    assert not np.array_equal(np.sort(plain.columns[0]), np.sort(dealt.columns[0]))


def test_data_without_the_genes_of_pathways_is_refused():
    with pytest.raises(TooFewPathways, match="only 0 have 4 genes or more"):
        Pathways().genes(labelled_cells(), PathwaySettings())


def test_own_gene_sets_say_their_license_and_hold_what_is_expected():
    table = PathwayTable.parse(OWN.read_bytes(), model="pathway")
    assert {p.license for p in table.pathways} == {"MIT", "CC-BY-4.0"}
    lines = expectation.EXPECTED.read_text(encoding="utf-8").splitlines()[1:]
    assert {line.split("\t")[1] for line in lines} <= set(table.names)


def test_ranks_count_from_one():
    profile = np.array([[0.1, 0.5, 0.4], [0.3, 0.3, 0.4]])
    pairs = np.array([[0, 1], [0, 0], [1, 0]])
    assert ranks_of(profile, pairs).tolist() == [1, 3, 3]


def test_rows_of_attention(model, monkeypatch, tmp_path):
    seen, found = model
    expected = tmp_path / "expected.tsv"
    rows = [f"{name}\tgenes of {name}" for name in LABELS]
    expected.write_text("\n".join(["label\tpathway", *rows, "B cells\tB_UP"]) + "\n")
    monkeypatch.setattr(expectation, "EXPECTED", expected)
    monkeypatch.setattr(expectation, "TOP", 1)
    monkeypatch.setattr(expectation, "DELETED", 1)
    weight = np.full(len(seen.symbols), 1 / len(seen.symbols), dtype=np.float32)
    vocabulary = GeneVocabulary.parse(genes_table(seen.symbols, None, weight), model="made")
    subject = TorchSubject(found, vocabulary)
    placed = Placed(seen.dense(), np.ones(len(seen.symbols), np.float32), 1.0)
    cells = LabelledCells(placed, seen.labels, seen.label)
    told = Setting(
        key="set", dataset="set", role="test", condition="all", donor_independent=None,
        study_independent=None, gene_coverage=1.0,
    )  # fmt: skip
    outputs = dict(subject.ask(placed))
    # An attention that is as it ought to be, so that rows can be told beforehand.
    outputs["pathway_attention"] = (np.eye(4)[seen.label] * 0.7 + 0.075).astype(np.float32)
    into = Measurements(0)
    measurer = AttentionMeasurer.of(subject, cells)
    assert len(measurer.pairs) == 3
    measurer(Asked(subject, cells, outputs, told, into))
    value = {(row.method, row.metric): row.value for row in into.rows}
    assert value["model", "expected_in_top10"] == 1
    assert value["model", "expected_in_top10_specific"] == 1
    assert value["model", "expected_auroc"] == 1
    assert value["global_top", "expected_in_top10"] <= 1 / 3
    assert value["set_score", "expected_auroc"] > 0.9
    assert value["model", "expected_rank:beta: genes of beta"] == 1
    # Without its own genes a cell's type cannot be told; without random ones it often can.
    without = value["model", "accuracy_without_top3"]
    assert without < value["random_pathways", "accuracy_without_top3"]


def test_a_fit_that_was_stopped_goes_on(settings, model, tmp_path):
    fitted(settings, run=FitRun(0, folder=tmp_path))
    run = FitRun(0, folder=tmp_path)
    _, again = fitted(settings, run=run)
    assert run.resumed
    for name, value in again.module.state_dict().items():
        assert torch.equal(value, model[1].module.state_dict()[name]), name


def test_settings_are_described():
    names = [setting.name for setting in Pathways().describe() if not setting.meaning]
    assert names in ([], ["calibration_repeats"])


@pytest.mark.slow
def test_onnx_gives_what_torch_gives(model):
    from converters.onnx_export import to_onnx
    from converters.parity import measured_tolerances, run_graph

    seen, found = model
    feed = {"counts": seen.dense(), "gene_present": np.ones(len(seen.symbols), np.float32)}
    shown = {
        "counts": torch.from_numpy(feed["counts"][:8]),
        "gene_present": torch.from_numpy(feed["gene_present"]),
    }
    names = [output.name for output in found.outputs]
    graph = to_onnx(
        found.module, shown, names, name="simulated", version="1.0.0", genes_table=b"genes"
    )
    for rows in (slice(None), slice(0, 1)):
        part = {**feed, "counts": feed["counts"][rows]}
        measured_tolerances(
            run_graph(graph, part), answers(found, part["counts"]), dict(found.tolerances)
        )
