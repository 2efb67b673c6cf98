"""scGen: the shift by hand, the folds of a response, and what holds of any fitted model."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pathlib import Path  # noqa: E402

from scipy import sparse  # noqa: E402

from converters.building.build import build  # noqa: E402
from converters.building.order import Order  # noqa: E402
from converters.building.parts import divide  # noqa: E402
from converters.fit_run import FitRun  # noqa: E402
from converters.onnx_export import to_onnx  # noqa: E402
from converters.parity import run_graph  # noqa: E402
from converters.scgen.fitting import latent_difference, responding  # noqa: E402
from converters.scgen.recipe import Scgen, ScgenSettings  # noqa: E402
from converters.training_cells import TrainingCells  # noqa: E402
from zoo.errors import MissingPerturbation, NoResponse, UnknownPerturbation  # noqa: E402
from zoo.evaluation import measurements  # noqa: E402
from zoo.recipes import TrainRequest, TrainWatch  # noqa: E402

GENES, TYPES = 40, 3
TINY = ScgenSettings(epochs=120, hidden=16, latent=4, batch=32, learning_rate=5e-3, dropout=0.0)
PLAN = """
name = "tiny-response"
sample = "simulated"
sample_cells = 12

[data]
key = "made"
dataset = "made up"
label = "cell_type"
batch = "donor"
split = "donor"
leave_one_out = true
perturbation = {{ column = "condition", control = "{control}", stimulated = "stim" }}

[inputs]
organism = "Homo sapiens"

[settings]
epochs = 2
hidden = 8
latent = 2
"""


def rates(kind, stimulated):
    """Gene i is high in type i modulo 3; stimulated cells have the last five genes in addition."""
    rate = np.where(np.arange(GENES)[None, :] % TYPES == kind[:, None], 6.0, 1.0)
    rate[:, -5:] += 12.0 * stimulated[:, None]
    return rate


def simulated(cells=240, seed=0):
    """Three types in two donors, each cell control or stimulated."""
    rng = np.random.default_rng(seed)
    kind, stimulated, donor = (np.arange(cells) // step % n for step, n in ((1, 3), (3, 2), (6, 2)))
    counts = rng.poisson(rates(kind, stimulated)).astype(np.float32)
    return TrainingCells(
        path="simulated.h5ad",
        counts=sparse.csr_matrix(counts),
        symbols=np.array([f"G{i}" for i in range(GENES)]),
        gene_ids=None,
        names=np.array([f"cell{i}" for i in range(cells)]),
        part=np.where(np.arange(cells) // 12 % 5 == 4, "validation", "train"),
        total_counts=counts.sum(axis=1),
        labels=("a", "b", "c"),
        label=kind.astype(np.int64),
        batches=("d1", "d2"),
        batch=donor.astype(np.int64),
        stimulated=stimulated.astype(np.int64),
    )


def controls(cells, seed):
    kind = np.arange(cells) % TYPES
    counts = np.random.default_rng(seed).poisson(rates(kind, np.zeros(cells)))
    return torch.from_numpy(counts.astype(np.float32))


@pytest.fixture(scope="module", params=[False, True], ids=["published", "residual"])
def fitted(request):
    torch.set_num_threads(1)
    return Scgen().fit(simulated(), TINY.changed(residual=request.param), FitRun(0))


def ask(fitted, counts, present=None):
    present = torch.ones(GENES) if present is None else present
    with torch.no_grad():
        answers = fitted.module(counts, present)
    return dict(zip([o.name for o in fitted.outputs], answers, strict=True))


# -- the shift -------------------------------------------------------------------------------------


def test_the_shift_is_the_mean_over_labels_and_batches_that_were_stimulated():
    cells = simulated(120)
    z = torch.zeros(120, 1)
    # Type a moves by 3, b by 1; c has control cells alone, whose place must not matter.
    for kind, by in ((0, 3.0), (1, 1.0)):
        moved = (cells.label == kind) & (cells.stimulated == 1)
        z[torch.from_numpy(moved)] = by
    z[torch.from_numpy(cells.label == 2)] = 100.0
    lonely = (cells.label == 2) & (cells.stimulated == 1)
    delta = latent_difference(z[torch.from_numpy(~lonely)], responding(cells.where(~lonely)))
    assert delta.tolist() == [2.0]


def test_cells_that_show_no_response_are_refused():
    cells = simulated(120)
    with pytest.raises(NoResponse, match="no response to learn"):
        Scgen().fit(cells.where(cells.stimulated == 0), TINY, FitRun(0))


# -- fitted models ---------------------------------------------------------------------------------


def test_the_genes_that_respond_are_foretold(fitted):
    counts = controls(90, 1)
    predicted = ask(fitted, counts)["predicted"]
    change = predicted.mean(dim=0) - counts.mean(dim=0)
    assert change[-5:].min() > 0.5
    assert change[-5:].mean() > change[:-5].mean() + 2


def test_predicted_counts_follow_the_depth_of_the_cell(fitted):
    counts = controls(10, 2)
    once = ask(fitted, counts)
    for scale in (0.3, 7.0):
        scaled = ask(fitted, scale * counts)
        expected = scale * once["predicted"]
        torch.testing.assert_close(scaled["predicted"], expected, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(scaled["embedding"], once["embedding"], atol=1e-4, rtol=1e-3)


def test_without_a_shift_the_residual_form_gives_the_cell_back():
    fitted = Scgen().fit(simulated(), TINY.changed(residual=True, epochs=2), FitRun(0))
    fitted.module.delta.zero_()
    counts = controls(10, 3)
    torch.testing.assert_close(ask(fitted, counts)["predicted"], counts, atol=1e-3, rtol=1e-3)


def test_an_empty_cell_and_a_file_without_genes_give_finite_answers(fitted):
    for counts, present in (
        (torch.zeros(2, GENES), torch.ones(GENES)),
        (controls(2, 4), torch.zeros(GENES)),
    ):
        for values in ask(fitted, counts, present).values():
            assert torch.isfinite(values).all()
            assert not (values < 0).any() or values.ndim != 2 or values.shape[1] != GENES


def test_counts_of_an_absent_gene_are_ignored(fitted):
    counts, present = controls(10, 5), torch.ones(GENES)
    present[::4] = 0
    plain, garbled = ask(fitted, counts, present), ask(fitted, counts + 99 * (1 - present), present)
    for name, values in plain.items():
        torch.testing.assert_close(garbled[name], values)


def test_answers_do_not_depend_on_batch_mates(fitted):
    counts = controls(30, 6)
    together, alone = ask(fitted, counts), ask(fitted, counts[7:8])
    for name, values in together.items():
        torch.testing.assert_close(alone[name], values[7:8], atol=1e-4, rtol=1e-4)


def test_what_is_given_fits_the_contract(fitted):
    assert fitted.inputs == ("counts", "gene_present")
    assert {o.name for o in fitted.outputs} == set(fitted.tolerances)
    assert fitted.gene_weight.sum() == pytest.approx(1, abs=1e-4)


def test_no_counts_of_a_training_cell_lie_in_the_model(fitted):
    rows = {tuple(row) for row in simulated().dense()}
    for values in fitted.module.state_dict().values():
        if values.dim() == 2 and values.shape[1] == GENES:
            assert not rows & {tuple(row) for row in values.numpy()}


def test_a_resumed_fit_gives_the_same_model(tmp_path):
    cells, settings = simulated(120), TINY.changed(epochs=3)
    once = Scgen().fit(cells, settings, FitRun(1, folder=tmp_path, fingerprint="a"))
    again = FitRun(1, folder=tmp_path, fingerprint="a")
    twice = Scgen().fit(cells, settings, again)
    assert again.resumed
    counts = controls(5, 7)
    for name, values in ask(once, counts).items():
        torch.testing.assert_close(ask(twice, counts)[name], values)


def test_neighbouring_settings_change_one_thing():
    settings = ScgenSettings()
    for name, neighbour in Scgen().neighbours(settings).items():
        own = settings.as_json()
        changed = [key for key, value in neighbour.as_json().items() if value != own[key]]
        assert changed == [name.split("=")[0]]


@pytest.mark.slow
def test_the_graph_that_is_exported_answers_the_same(fitted):
    counts = controls(25, 8)
    graph = to_onnx(
        fitted.module,
        {"counts": counts, "gene_present": torch.ones(GENES)},
        [o.name for o in fitted.outputs],
        name="scgen-test",
        version="1.0.0",
        genes_table=b"",
    )
    for rows in (counts, counts[:1], torch.zeros(1, GENES)):
        found = run_graph(
            graph, {"counts": rows.numpy(), "gene_present": np.ones(GENES, dtype=np.float32)}
        )
        for name, values in ask(fitted, rows).items():
            atol, rtol = fitted.tolerances[name]
            np.testing.assert_allclose(found[name], values.numpy(), atol=atol, rtol=rtol)


# -- donor and cell type held out ------------------------------------------------------------------


def write_file(path, cells):
    import anndata as ad
    import pandas as pd

    obs = pd.DataFrame(
        {
            "cell_type": np.array(cells.labels)[cells.label],
            "donor": np.array(cells.batches)[cells.batch],
            "condition": np.array(["ctrl", "stim"])[cells.stimulated],
        },
        index=cells.names,
    )
    ad.AnnData(cells.counts, obs=obs, var=pd.DataFrame(index=cells.symbols)).write_h5ad(path)
    return path


def request_of(tmp_path, *, control="ctrl", plan=PLAN):
    config = tmp_path / "plan.toml"
    config.write_text(plan.format(control=control))
    data = write_file(tmp_path / "made.h5ad", simulated(240))
    return TrainRequest(data=str(data), output=tmp_path / "tiny-response", config=Path(config))


def test_a_fold_sees_no_cell_of_the_donor_and_no_stimulated_cell_of_the_type(tmp_path):
    order = Order.of(Scgen(), request_of(tmp_path))
    cells = replace(simulated(120), path=str(tmp_path / "made.h5ad"), part=np.full(120, "train"))
    division = divide(cells, order, 0, print)
    assert [fold.name for fold in division.folds] == [
        f"{donor}-{kind}" for donor in ("d1", "d2") for kind in "abc"
    ]
    for number, fold in enumerate(division.folds):
        donor, kind = divmod(number, TYPES)
        seen, test = fold.cells.seen(), fold.cells.of("test")
        assert (seen.batch != donor).all()
        assert set(seen.stimulated[seen.label == kind]) == {0}
        assert set(seen.stimulated[seen.label != kind]) == {0, 1}
        assert set(test.batch) == {donor}
        assert set(test.label) == {kind}
        assert set(test.stimulated) == {0, 1}
    assert (division.shipped.part != "left out").all()


@pytest.mark.slow
def test_a_folder_is_made_and_measured_by_the_change(tmp_path):
    report = build(Scgen(), request_of(tmp_path), TrainWatch(lambda *_: None, lambda _: None))
    rows = {row.id: row for row in measurements.read(report.folder / "measurements.json")[0]}
    for method in ("model", "mean_shift", "no_change", "same_label_elsewhere_refit"):
        row = rows[f"made-test.{method}.r2_of_change"]
        assert row.n == 120  # every control cell once
        assert row.donor_independent
        assert "mean over 6 labels of groups" in row.condition
    assert rows["made-test.mean_shift.r2_of_change"].value > 0.2
    assert rows["made-test.no_change.r2_of_change"].value <= 0
    assert "made-test.model.r2_of_change-b" in rows


def test_a_plan_that_does_not_say_who_was_stimulated_is_refused(tmp_path):
    silent = "\n".join(line for line in PLAN.splitlines() if "perturbation" not in line)
    with pytest.raises(MissingPerturbation, match="which cells were stimulated"):
        build(Scgen(), request_of(tmp_path, plan=silent), TrainWatch())


def test_a_condition_that_no_cell_has_is_refused(tmp_path):
    with pytest.raises(UnknownPerturbation, match="'untreated'") as error:
        build(Scgen(), request_of(tmp_path, control="untreated"), TrainWatch())
    assert "'ctrl', 'stim'" in str(error.value)
    assert not (tmp_path / "tiny-response").exists()
