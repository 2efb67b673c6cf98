"""The tissue map of a report."""

import json

import h5py
import numpy as np
import pytest
from simulated_result import PROVENANCE, write_result
from test_report import HOSTILE, report_on

from zoo.errors import CorruptMatrix
from zoo.reporting import tissue
from zoo.writing import elements


@pytest.fixture
def result(tmp_path):
    """A classifier's result with coordinates."""
    path = write_result(tmp_path / "my.h5ad")
    with h5py.File(path, "r+") as file:
        file["obsm/spatial"] = np.random.default_rng(0).uniform(size=(300, 2))
    return path


def add_column(path, name, categories):
    with h5py.File(path, "r+") as file:
        codes = np.arange(300) % len(categories)
        elements.write_categorical(file["obs"], name, codes, categories)
        order = [*file["obs"].attrs["column-order"], name]
        elements.finish_frame(file["obs"], order)


def titles(page):
    return [alt for alt in page.all("img", "alt") if "places on the slide" in alt]


def test_shows_calls_and_verdicts_at_their_places(result):
    page = report_on(result)
    assert "The tissue" in page.text
    assert len(titles(page)) == 2
    assert "coloured by 4 calls" in titles(page)[0]
    assert "y axis runs downwards" in page.text


def test_is_absent_without_coordinates(tmp_path):
    page = report_on(write_result(tmp_path / "my.h5ad"))
    assert "The tissue" not in page.text
    assert "graphs of the slides" not in page.text


def test_shows_each_slide_with_its_domains_up_to_a_limit(result, monkeypatch):
    add_column(result, "slide", ["A", "B", "C"])
    add_column(result, "domain", ["0", "1"])
    monkeypatch.setattr(tissue, "SLIDES_LIMIT", 2)
    page = report_on(result)
    assert len(titles(page)) == 6
    for words in ("Domains, slide A", "Calls, slide B", "Further slides that are not drawn: 1."):
        assert words in page.text
    assert "slide C" not in page.text
    assert page.text.count("y axis runs downwards") == 3


def test_tells_the_graph_of_each_slide(tmp_path):
    slides = [{"slide": "A", "spots": 300, "edges": 2846, "length": 0.48681}]
    facts = {**PROVENANCE, "slides": json.dumps(slides), "slide_key": "batch"}
    text = report_on(write_result(tmp_path / "my.h5ad", provenance=facts)).text
    assert "A 300 2,846 0.4868" in text
    assert "slide key batch" in text


@pytest.mark.parametrize("slides", ["", "{", "7", "[1]", '[{"slide": null, "spots": "x"}]'])
def test_takes_slides_that_cannot_be_read(tmp_path, slides):
    facts = {"model": "m", "slides": slides}
    path = write_result(tmp_path / "my.h5ad", columns={}, provenance=facts)
    assert "300 cells" in report_on(path).text


def test_takes_spots_without_a_place(result):
    with h5py.File(result, "r+") as file:
        file["obsm/spatial"][:3] = np.nan
    assert "Drawn are 297 of 300 cells; 3 have no finite value here." in report_on(result).text


def test_names_of_slides_stay_text(result):
    add_column(result, "slide", [HOSTILE, "$x$"])
    page = report_on(result)
    assert "script" not in page.tags
    assert HOSTILE[:40] in page.text


def test_refuses_coordinates_that_are_none(result):
    with h5py.File(result, "r+") as file:
        del file["obsm/spatial"]
        file["obsm/spatial"] = np.zeros((300, 1))
    with pytest.raises(CorruptMatrix):
        report_on(result)
