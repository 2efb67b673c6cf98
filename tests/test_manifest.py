from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_model import write_manifest

from zoo.digest import sha256_of
from zoo.errors import InvalidCard, InvalidManifest, InvalidModelFile
from zoo.manifest import MAXIMUM_BYTES, Manifest

ROOT = Path(__file__).parents[1]

FOLDERS = sorted(path.parent for path in ROOT.glob("cards/*/manifest.json"))


def test_a_manifest_lists_every_file_with_its_digest(tiny_hub: Path) -> None:
    manifest = Manifest.of_folder(tiny_hub)
    assert {file.path: file.role for file in manifest.files} == {
        "README.md": "card",
        "genes.tsv": "genes",
        "labels.tsv": "labels",
        "model.onnx": "graph",
    }
    for file in manifest.files:
        content = (tiny_hub / file.path).read_bytes()
        assert (file.sha256, file.size) == (sha256_of(content), len(content))


def test_a_manifest_reads_back(tiny_hub: Path) -> None:
    manifest = Manifest.of_folder(tiny_hub)
    assert Manifest.parse(manifest.render(), "test") == manifest
    assert manifest.digest == sha256_of((tiny_hub / "manifest.json").read_bytes())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_shipped_manifest_follows_from_its_card(folder: Path) -> None:
    assert Manifest.of_folder(folder).render() == (folder / "manifest.json").read_bytes()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"manifest_version": 2}', b" " * (MAXIMUM_BYTES + 1)]
)
def test_what_is_no_manifest(content: bytes) -> None:
    with pytest.raises(InvalidManifest, match=r"'hub/manifest\.json'"):
        Manifest.parse(content, "hub/manifest.json")


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (lambda files: files[0].update(sha256="abc"), "sha256"),
        (lambda files: files[0].update(size=-1), "size"),
        (lambda files: files[0].update(role="code"), "role"),
        (lambda files: files[0].update(more=1), "more"),
        (lambda files: files.append(files[0]), "listed twice"),
        (lambda files: files.pop(), "no file has the role graph"),
    ],
)
def test_a_manifest_that_breaks_the_schema(tiny_hub: Path, change, detail: str) -> None:
    manifest = json.loads((tiny_hub / "manifest.json").read_bytes())
    change(manifest["files"])
    with pytest.raises(InvalidManifest, match=detail):
        Manifest.parse(json.dumps(manifest).encode(), "test")


def test_a_folder_may_hold_only_what_a_model_is_made_of(tiny_hub: Path) -> None:
    (tiny_hub / "setup.py").touch()
    with pytest.raises(InvalidModelFile, match=r"setup\.py"):
        write_manifest(tiny_hub)


def test_a_link_is_refused(tiny_hub: Path) -> None:
    (tiny_hub / "figures").mkdir()
    (tiny_hub / "figures" / "a.svg").symlink_to("/etc/hostname")
    with pytest.raises(InvalidModelFile, match="link"):
        write_manifest(tiny_hub)


def test_a_folder_without_a_card(tiny_hub: Path) -> None:
    (tiny_hub / "README.md").unlink()
    with pytest.raises(InvalidModelFile, match="no card"):
        write_manifest(tiny_hub)
    (tiny_hub / "README.md").write_text("# Prose alone\n")
    with pytest.raises(InvalidCard, match="front matter"):
        write_manifest(tiny_hub)
