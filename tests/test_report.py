"""The report: what it says, what it refuses, and that a stranger's strings stay strings."""

import base64
import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import h5py
import numpy as np
import pytest
from simulated_result import PROVENANCE, write_result

from zoo.errors import (
    CorruptMatrix,
    DeclaredSize,
    FileMissing,
    MissingExtra,
    NotAResult,
    NotHdf5,
    OutputExists,
    OutputIsInput,
    OutputUnwritable,
    TruncatedFile,
    UnsafeLink,
)
from zoo.reporting import answers, panels, report
from zoo.reporting.figures import number_places, ood_range
from zoo.reporting.palette import UNKNOWN, call_colors
from zoo.reporting.projection import project, sampled_rows
from zoo.reporting.report import write_report
from zoo.reporting.wording import overall_verdict, plain, scope_sentences

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>$\\frac{$ {{ 7*7 }} \"'&"


class Page(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.pieces, self.style = [], [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_data(self, data):
        if self.tags and self.tags[-1] == "style":
            self.style += data
        else:
            self.pieces.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.pieces).split())

    def all(self, tag, name):
        return [value for t, n, value in self.attributes if (t, n) == (tag, name)]


def report_on(path, **options):
    output = path.with_suffix(".html")
    assert write_report(path, output, **options) == [output]
    return Page(output.read_text(encoding="utf-8"))


@pytest.fixture
def result(tmp_path):
    return write_result(tmp_path / "my.tiny.h5ad")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report on a usual result, to be read by several tests."""
    return report_on(write_result(tmp_path_factory.mktemp("usual") / "my.tiny.h5ad"))


# -- what it says --------------------------------------------------------------------------------


def test_says_what_the_result_holds(page):
    for words in (
        "tiny 1.0.0", "300 cells of my.h5ad", "2026-01-02 03:04 UTC", "Borderline",
        "The cells look like those the model was trained on: 4.3% are unusual", "2.5% to 7.3%",
        "1 finding about the input below asks for attention", "Spleen. See the card.",
        "T cell CL:0000000", "unknown", "one label 100.0%", "88.4%",
        "not the probability of being wrong",
        "zoo run tiny@1.0.0 my.h5ad --groups louvain", "cell0", "fewer than 200 counts",
    ):  # fmt: skip
        assert words in page.text, words
    # findings that ask for attention come first
    assert page.text.index("Spleen") < page.text.index("Unique names")


def test_has_every_figure_with_a_text_for_those_who_cannot_see_it(page):
    assert len(page.all("img", "src")) == len(page.all("img", "alt")) == 6
    assert all(len(alt) > 20 for alt in page.all("img", "alt"))
    kinds = [re.match(r"data:image/([a-z+]+);base64,", src)[1] for src in page.all("img", "src")]
    assert sorted(kinds) == ["png"] * 3 + ["svg+xml"] * 3


def test_is_self_contained_and_forbids_scripts_and_network(page):
    assert not {"script", "link", "iframe", "object", "form"} & set(page.tags)
    assert all(src.startswith("data:image/") for src in page.all("img", "src"))
    policy = page.all("meta", "content")[0]
    assert "default-src 'none'" in policy
    assert "http" not in "".join(value or "" for _, _, value in page.attributes)
    assert "url(" not in page.style


def test_is_the_same_every_time(result):
    report_on(result)
    first = result.with_suffix(".html").read_bytes()
    report_on(result, overwrite=True)
    assert result.with_suffix(".html").read_bytes() == first


def test_leaves_out_what_an_embedding_model_does_not_give(tmp_path):
    path = write_result(tmp_path / "e.h5ad", columns={}, provenance={"model": "latent"})
    page = report_on(path)
    assert "Scope not assessed" in page.text
    assert len(page.all("img", "src")) == 1
    for absent in ("Composition", "Confidence", "How verdicts", "Findings", "unusual cells"):
        assert absent not in page.text
    assert "does not record the command" in page.text


def test_tells_groups_with_their_agreement(tmp_path):
    columns = {
        "group_call": np.array(["T cell", "T cell", "B cell"], dtype=object),
        "group_agreement": np.array([0.5, 1.0, 0.25], dtype=np.float32),
    }
    path = write_result(tmp_path / "g.h5ad", cells=3, columns=columns)
    assert "T cell 2 75.0% B cell 1 25.0%" in report_on(path).text


@pytest.mark.parametrize("cells", [0, 1, 2])
def test_takes_few_cells(tmp_path, cells):
    words = f"{cells} cell{'s' * (cells != 1)} of"
    assert words in report_on(write_result(tmp_path / "f.h5ad", cells=cells)).text


def test_takes_values_that_are_no_numbers(tmp_path):
    path = write_result(tmp_path / "nan.h5ad")
    with h5py.File(path, "r+") as file:
        for key in ("obs/prob", "obs/conformal_p", "obs/ood_z", "obs/ood_p"):
            file[key][:3] = (np.nan, np.inf, -np.inf)
        file["obsm/X_embedding"][:2] = np.nan
        file["obs/call/codes"][5] = -1
    assert "Drawn are 298 of 300 cells; 2 have no finite value here." in report_on(path).text


def test_draws_a_part_of_many_cells_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(panels, "POINTS_LIMIT", 100)
    page = report_on(write_result(tmp_path / "many.h5ad"))
    assert "Drawn are 100 of 300 cells, taken at random" in page.text


def test_lists_many_calls_in_part(tmp_path):
    labels = [f"type {number}" for number in range(100)]
    page = report_on(write_result(tmp_path / "many.h5ad", labels=labels))
    assert "41 further calls with" in page.text
    assert "and 77 more in the table" in page.text


# -- strings of strangers ------------------------------------------------------------------------


def test_every_string_of_the_file_stays_text(tmp_path):
    facts = dict.fromkeys(PROVENANCE, HOSTILE) | {HOSTILE.replace("/", ""): {"deep": HOSTILE}}
    facts["findings"] = PROVENANCE["findings"].replace("Spleen.", "<script>alert(3)</script>")
    path = write_result(
        tmp_path / "evil.h5ad",
        labels=[HOSTILE, "</style></title><svg onload=alert(4)>", "$\\x$"],
        names=[f"{HOSTILE}{row}" for row in range(300)],
        provenance=facts,
    )
    html = (report_on(path), path.with_suffix(".html").read_text())[1]
    page = Page(html)
    assert not {"script", "svg"} & set(page.tags)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert all(src.startswith("data:image/") for src in page.all("img", "src"))
    assert "{{ 7*7 }}" in page.text
    assert "<script>alert(1)</script>" in page.text
    # no string of the file enters a figure
    for source in page.all("img", "src"):
        if source.startswith("data:image/svg"):
            assert b"alert" not in base64.b64decode(source.partition(",")[2])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\x1b[31mb\x00c", "a[31mbc"),
        ("two\nlines\tand\u2028more", "two lines and more"),
        ("\u202eevil\u200b", "evil"),
        ("x" * 500, "x" * 159 + "…"),
        (" " * 500 + "x", "…"),
        (None, "None"),
        ("\ud800", ""),
    ],
)
def test_plain(value, shown):
    assert plain(value) == shown


@pytest.mark.parametrize("findings", ["", "{", "7", "[1]", "[" * 100_000, '[{"level": 3}]'])
def test_takes_findings_that_cannot_be_read(tmp_path, findings):
    facts = {"model": "m", "findings": findings}
    path = write_result(tmp_path / "f.h5ad", cells=1, columns={}, provenance=facts)
    assert "1 cell " in report_on(path).text


# -- scope ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "levels", "verdict"),
    [
        ({}, [], "unknown"),
        ({}, ["green"], "unknown"),
        ({}, ["green", "yellow"], "borderline"),
        ({"scope_verdict": "in"}, ["green"], "in"),
        ({"scope_verdict": "in"}, ["green", "yellow"], "borderline"),
        ({"scope_verdict": "borderline"}, ["green"], "borderline"),
        ({"scope_verdict": "out"}, [], "out"),
        ({"scope_verdict": "in"}, ["red"], "out"),
        ({"scope_verdict": "in", "forced": True}, [], "out"),
        ({"scope_verdict": "<b>"}, ["purple"], "unknown"),
    ],
)
def test_overall_verdict_is_the_worst(facts, levels, verdict):
    assert overall_verdict(facts, levels) == verdict


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"calibration": "temperature scaling; split-conformal p-values"}, "Calibrated: of cells"),
        ({"calibration": "none"}, "Not calibrated: it ranks cells"),
        ({"calibration": "label and prob as in the source"}, "Not calibrated: it ranks cells"),
        ({"thresholds": {"alpha": 0.1}}, "Calibrated: of cells"),
        ({}, "Not calibrated: it ranks cells"),
    ],
)
def test_a_probability_is_called_calibrated_where_it_was(tmp_path, facts, told):
    codes = np.zeros(2, np.int32)
    columns = {"label": codes, "prob": np.array([0.9, 0.4], np.float32), "verdict": codes}
    path = write_result(
        tmp_path / "f.h5ad", cells=2, columns=columns, provenance={"model": "m", **facts}
    )
    text = report_on(path).text
    assert told in text
    assert "Label Cells Share" in " ".join(text.split())
    assert "no out-of-distribution score" in text


def test_scope_sentences_say_what_to_do():
    facts = PROVENANCE | {"forced": True, "value_kind_declared": True, "scope_verdict": "out"}
    text = " ".join(scope_sentences(facts, ["red", "yellow"]))
    assert "Do not rely on these calls" in text
    assert "--force" in text
    assert "declared by the user" in text
    assert "2 findings about the input below ask for attention" in text


# -- refusals ------------------------------------------------------------------------------------


def test_refuses_what_is_no_result(tmp_path, result):
    output = tmp_path / "out.html"
    with pytest.raises(FileMissing):
        write_report(tmp_path / "absent.h5ad", output)
    with pytest.raises(NotAResult, match="it is a folder"):
        write_report(tmp_path, output)
    (tmp_path / "text.h5ad").write_text("cell,label\n")
    with pytest.raises(NotHdf5):
        write_report(tmp_path / "text.h5ad", output)
    (tmp_path / "cut.h5ad").write_bytes(result.read_bytes()[:-500])
    with pytest.raises(TruncatedFile):
        write_report(tmp_path / "cut.h5ad", output)
    with h5py.File(tmp_path / "plain.h5ad", "w") as file:
        file.create_group("obs")
    with pytest.raises(NotAResult, match="zoo run"):
        write_report(tmp_path / "plain.h5ad", output)
    with h5py.File(tmp_path / "other.h5ad", "w") as file:
        file["uns/cellzoo/schema_version"] = 1
    with pytest.raises(NotAResult, match="names no model"):
        write_report(tmp_path / "other.h5ad", output)
    assert not output.exists()


def _code_without_category(file):
    file["obs/call/codes"][0] = 99


def _short_column(file):
    del file["obs/prob"]
    file["obs/prob"] = np.zeros(7, dtype=np.float32)


def _text_for_numbers(file):
    del file["obs/prob"]
    file["obs/prob"] = np.array([b"x"] * 300)


def _other_cells(file):
    del file["obsm/X_embedding"]
    file["obsm/X_embedding"] = np.zeros((7, 2), dtype=np.float32)


@pytest.mark.parametrize(
    "damage", [_code_without_category, _short_column, _text_for_numbers, _other_cells]
)
def test_refuses_a_damaged_result(result, damage):
    with h5py.File(result, "r+") as file:
        damage(file)
    with pytest.raises(CorruptMatrix):
        report_on(result)


def test_refuses_links_to_other_files_and_endless_categories(tmp_path, result, monkeypatch):
    monkeypatch.setattr(answers, "_CATEGORIES_LIMIT", 2)
    with pytest.raises(DeclaredSize):
        report_on(result)
    with h5py.File(result, "r+") as file:
        del file["obs/prob"]
        file["obs/prob"] = h5py.ExternalLink("/etc/hostname", "/")
    with pytest.raises(UnsafeLink):
        report_on(result)


def test_refuses_an_output_that_cannot_be_written(tmp_path, result, monkeypatch):
    taken = tmp_path / "taken.html"
    taken.write_text("mine")
    with pytest.raises(OutputExists):
        write_report(result, taken)
    assert taken.read_text() == "mine"
    with pytest.raises(OutputUnwritable):
        write_report(result, tmp_path / "absent" / "out.html")
    before = result.read_bytes()
    with pytest.raises(OutputIsInput):
        write_report(result, result, overwrite=True)
    assert result.read_bytes() == before
    monkeypatch.setattr(report, "render", lambda answers, name: "<!DOCTYPE html>")
    write_report(result, taken, overwrite=True)
    assert taken.read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("module", ["jinja2", "matplotlib"])
def test_names_the_extra_that_is_missing(result, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=r"cellzoo\[report\]"):
        report_on(result)


# -- the command ---------------------------------------------------------------------------------


def test_command_writes_into_the_current_folder(result, tmp_path, monkeypatch, run_zoo):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(report, "render", lambda answers, name: "<!DOCTYPE html>")
    assert run_zoo("report", result, "--json").json == {"outputs": ["my.tiny.html"]}
    assert os.listdir(folder) == ["my.tiny.html"]
    assert run_zoo("report", result).code == 8
    ran = run_zoo("report", result, "--overwrite", "-o", "my.tiny.html")
    assert (ran.code, ran.out) == (0, "Wrote my.tiny.html\n")


def test_command_exit_codes(tmp_path, result, run_zoo):
    assert run_zoo("report").code == 2
    assert run_zoo("report", tmp_path / "absent.h5ad").code == 3
    assert run_zoo("report", result, "-o", tmp_path / "no" / "x.html").code == 8
    with h5py.File(tmp_path / "plain.h5ad", "w") as file:
        file.create_group("obs")
    ran = run_zoo("report", tmp_path / "plain.h5ad", "--json")
    assert (ran.code, ran.json["error"]) == (3, "NotAResult")


def test_needs_no_pyplot_and_no_settings_of_the_user(result, tmp_path):
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\naxes.facecolor: black\n")
    program = (
        "import sys, zoo.cli.report\n"
        "assert 'matplotlib' not in sys.modules and 'jinja2' not in sys.modules\n"
        "from zoo.cli import execute\n"
        f"assert execute(['report', {str(result)!r}, '-o', 'out.html']) == 0\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=tmp_path, check=True)


# -- parts ---------------------------------------------------------------------------------------


def test_projection_is_the_principal_components(monkeypatch):
    monkeypatch.setattr("zoo.reporting.projection._BLOCK_VALUES", 64)
    random = np.random.default_rng(1)
    values = random.normal(size=(200, 5)) * (1, 9, 2, 5, 1) + 1000

    class Stored:
        shape = values.shape

        def read(self, start, stop):
            return values[start:stop]

    rows = np.array([0, 3, 50, 199])
    projection = project(Stored(), rows)
    centred = values - values.mean(axis=0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(projection.xy), np.abs(centred[rows] @ axes[:2].T), rtol=1e-6)
    np.testing.assert_allclose(projection.explained, sizes[:2] ** 2 / np.sum(sizes**2), rtol=1e-6)


def test_sampled_rows_are_few_sorted_and_the_same():
    rows = sampled_rows(1000, 50)
    assert len(rows) == len(set(rows)) == 50
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(rows, sampled_rows(1000, 50))
    assert len(sampled_rows(10, 50)) == 10


def test_numbers_keep_apart():
    xy = np.random.default_rng(0).normal(size=(400, 2))
    placed = dict(number_places(xy, [row % 3 + 1 if row % 4 else None for row in range(400)]))
    assert sorted(placed) == [1, 2, 3]
    assert min(np.linalg.norm(placed[a] - placed[b]) for a, b in ((1, 2), (1, 3), (2, 3))) > 0.2


def test_a_few_extreme_scores_do_not_press_the_others_flat():
    scores = np.append(np.linspace(-2, 2, 2000), [1e6, -1e6])
    low, high = ood_range(scores)
    assert -10 < low < -2
    assert 2 < high < 10
    assert ood_range(np.zeros(5)) == (0, 1)


def test_colours_are_different_and_unknown_is_grey():
    colors = call_colors([f"type {number}" for number in range(40)] + ["unknown"])
    assert len(set(colors.values())) == 41
    assert colors["unknown"] == UNKNOWN
