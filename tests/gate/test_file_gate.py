from __future__ import annotations

import os
import pickle  # noqa: TID251  # what a hostile folder would hold
from pathlib import Path

import pytest
from tiny_model import write_tiny_model

from zoo.errors import ForeignFile, InvalidModelFile, ZooError
from zoo.gate.files import LARGEST, ensure_bounded, ensure_data, ensure_listed
from zoo.manifest import Manifest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "tiny")


def check(folder: Path, manifest: Manifest) -> None:
    """All rules on a folder."""
    ensure_bounded(manifest)
    ensure_listed(folder, manifest)
    for file in manifest.files:
        ensure_data(file, (folder / file.path).read_bytes(), manifest.reference)


def refused(folder: Path, manifest: Manifest) -> str:
    with pytest.raises(ZooError) as error:
        check(folder, manifest)
    assert isinstance(error.value, ForeignFile | InvalidModelFile)
    return error.value.message


@pytest.mark.parametrize("path", sorted((ROOT / "cards").iterdir()), ids=lambda path: path.name)
def test_published_models_pass(path: Path) -> None:
    manifest = Manifest.of_folder(path)
    ensure_bounded(manifest)
    for file in manifest.files:
        ensure_data(file, (path / file.path).read_bytes(), manifest.reference)


# -- what lies there -----------------------------------------------------------------------------


def test_a_symbolic_link(folder: Path, tmp_path: Path) -> None:
    manifest = Manifest.of_folder(folder)
    (tmp_path / "outside").write_bytes((folder / "genes.tsv").read_bytes())
    (folder / "genes.tsv").unlink()
    (folder / "genes.tsv").symlink_to(tmp_path / "outside")
    assert "it is a symbolic link" in refused(folder, manifest)


def test_a_symbolic_link_to_a_folder(folder: Path) -> None:
    manifest = Manifest.of_folder(folder)
    (folder / "figures").symlink_to("/etc")
    assert "it is a symbolic link" in refused(folder, manifest)


def test_a_hard_link(folder: Path, tmp_path: Path) -> None:
    manifest = Manifest.of_folder(folder)
    os.link(folder / "genes.tsv", tmp_path / "twin")
    assert "it is a hard link" in refused(folder, manifest)


def test_a_pipe(folder: Path) -> None:
    manifest = Manifest.of_folder(folder)
    os.mkfifo(folder / "waits")
    assert "it is no regular file" in refused(folder, manifest)


@pytest.mark.parametrize("name", ["setup.py", "weights.bin", "figures/run.sh", ".hidden"])
def test_an_unlisted_file(folder: Path, name: str) -> None:
    manifest = Manifest.of_folder(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("print('hello')")
    assert "the manifest does not list it" in refused(folder, manifest)


def test_a_missing_file(folder: Path) -> None:
    manifest = Manifest.of_folder(folder)
    (folder / "labels.tsv").unlink()
    assert "'labels.tsv'" in refused(folder, manifest)


def test_a_file_that_announces_too_much(folder: Path) -> None:
    manifest = Manifest.of_folder(folder)
    files = [
        file.model_copy(update={"size": LARGEST[file.role] + 1}) if file.role == "genes" else file
        for file in manifest.files
    ]
    message = refused(folder, manifest.model_copy(update={"files": files}))
    assert "16,777,217 bytes, and a genes has at most 16,777,216" in message


# -- what it holds -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (pickle.dumps({"a": 1}, protocol=4), "it is a pickle, which can hold code"),
        (pickle.dumps({"a": 1}, protocol=2), "it is a pickle, which can hold code"),
        (b"PK\x03\x04 torch", "it is an archive"),
        (b"\x1f\x8b\x08", "it is a compressed file"),
        (b"\x7fELF\x02", "it is a program"),
        (b"#!/bin/sh\nrm -rf ~", "it is a script"),
        (b"symbol\n\xff\xfe", "it is no UTF-8 text"),
        (b"symbol\n\0", "it holds a NUL character"),
    ],
)
def test_bytes_that_are_no_genes(folder: Path, content: bytes, detail: str) -> None:
    manifest = Manifest.of_folder(folder)
    (folder / "genes.tsv").write_bytes(content)
    assert detail in refused(folder, manifest)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<script>alert(1)</script>", "<script"),
        ("<img src=x onerror=alert(1)>", "<img src=x"),
        ("<IFRAME src='https://x'>", "<IFRAME"),
        ("[click](javascript:alert(1))", "javascript:"),
        ("[click](JavaScript :alert(1))", "JavaScript :"),
        ("![x](data:text/html;base64,PHN2Zz4=)", "data:text/html"),
        ("<!DOCTYPE html>", "<!DOCTYPE"),
    ],
)
def test_markup_in_a_card(folder: Path, text: str, found: str) -> None:
    card = folder / "README.md"
    card.write_text(f"{card.read_text()}\n{text}\n")
    assert found in refused(folder, Manifest.of_folder(folder))


@pytest.mark.parametrize("text", ["p < 0.05 and n > 3", "<!-- a note -->", "a<b, 3<4"])
def test_text_that_looks_like_markup(folder: Path, text: str) -> None:
    card = folder / "README.md"
    card.write_text(f"{card.read_text()}\n{text}\n")
    if text != "a<b, 3<4":
        check(folder, Manifest.of_folder(folder))
    else:  # a letter after the sign is an element to a browser
        assert "<b" in refused(folder, Manifest.of_folder(folder))


def test_a_picture_that_is_none(folder: Path) -> None:
    (folder / "figures").mkdir()
    (folder / "figures" / "a.png").write_text("<svg onload=alert(1)>")
    assert "it is no PNG picture" in refused(folder, Manifest.of_folder(folder))
