from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from complete_model import change_card, copy_of, write_complete_model
from ran import Ran

from zoo.adoption import adopt
from zoo.cache import Cache
from zoo.contributing.publishing import publish
from zoo.errors import (
    InvalidGraph,
    NameTaken,
    NoCollection,
    NoRegistryThere,
    ValidationFailed,
    VersionPublished,
)
from zoo.hubs.collection import collection_at
from zoo.registry import Registry
from zoo.settings import Settings

Zoo = Callable[..., Ran]


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_complete_model(tmp_path_factory.mktemp("complete") / "tiny", name="my-tiny")


@pytest.fixture
def folder(complete: Path, tmp_path: Path) -> Path:
    return copy_of(complete, tmp_path / "my-tiny")


@pytest.fixture
def shared(tmp_path: Path) -> str:
    return str(tmp_path / "shared")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a machine of its own, for this process's commands too."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path / "config"))
    return Settings.read()


def test_published_pulled_and_run(
    folder: Path, shared: str, here: Settings, run_zoo: Zoo, tmp_path: Path
) -> None:
    done = run_zoo("publish", folder, "--to", shared, "--json")
    assert done.code == 0
    assert done.json["pull"] == f"zoo pull my-tiny@1.0.0 --from {shared}"
    assert run_zoo("pull", "my-tiny@1.0.0", "--from", shared).code == 0
    out = tmp_path / "out.h5ad"
    ran = run_zoo("run", "my-tiny", folder / "sample.h5ad", "-o", out, "--offline")
    assert ran.code == 0
    assert out.is_file()
    assert "my-tiny" in run_zoo("list").out


def test_the_same_again_changes_nothing(folder: Path, shared: str) -> None:
    first = publish(folder, shared)
    again = publish(folder, shared)
    assert (first.is_new, again.is_new) == (True, False)
    assert again.entry == first.entry
    assert first.entry.validated == "deep"


def test_other_bytes_under_a_known_version_are_refused(folder: Path, shared: str) -> None:
    before = publish(folder, shared)
    change_card(folder, summary="Something else")
    with pytest.raises(VersionPublished, match="was published to"):
        publish(folder, shared)
    content = collection_at(shared).registry()
    assert content is not None
    assert Registry.parse(content, shared).models == [before.entry]


def test_a_version_without_a_word_of_what_changed(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"the changelog has no entry for version 1\.1\.0"):
        change_card(folder, version="1.1.0")


def test_two_versions(folder: Path, shared: str, here: Settings, tmp_path: Path) -> None:
    publish(folder, shared)
    newer = write_complete_model(tmp_path / "newer", name="my-tiny", version="1.1.0")
    publish(newer, shared)
    assert adopt("my-tiny", shared, here).manifest.card.version == "1.1.0"
    assert adopt("my-tiny@1.0.0", shared, here).manifest.card.version == "1.0.0"


def test_what_is_not_valid_is_not_published(folder: Path, shared: str) -> None:
    (folder / "sample.h5ad").unlink()
    (folder / "manifest.json").unlink()
    with pytest.raises(ValidationFailed, match="files"):
        publish(folder, shared)
    assert not Path(shared).exists()


# -- registries ----------------------------------------------------------------------------------


def test_added_updated_and_removed(
    folder: Path, shared: str, here: Settings, run_zoo: Zoo, tmp_path: Path
) -> None:
    publish(folder, shared)
    assert "with 1 models: my-tiny" in run_zoo("registry", "add", shared).out
    assert [one["uri"] for one in run_zoo("registry", "list", "--json").json] == [
        "embedded:",
        shared,
    ]
    assert run_zoo("pull", "my-tiny", "--json").json["origin"].startswith(shared)
    newer = write_complete_model(tmp_path / "newer", name="my-tiny", version="1.1.0")
    publish(newer, shared)
    assert run_zoo("pull", "my-tiny", "--json").json["version"] == "1.0.0"  # pinned
    assert run_zoo("registry", "update", "--json").json == [
        {"uri": shared, "new": ["my-tiny@1.1.0"]}
    ]
    assert run_zoo("pull", "my-tiny", "--json").json["version"] == "1.1.0"
    assert run_zoo("registry", "remove", shared).code == 0
    gone = run_zoo("registry", "remove", shared)
    assert gone.code == 2
    assert "Added: none" in gone.err


def test_a_name_belongs_to_the_first_registry_that_knows_it(
    here: Settings, run_zoo: Zoo, tmp_path: Path
) -> None:
    taken = write_complete_model(tmp_path / "taken", name="pbmc-celltype", version="99.0.0")
    publish(taken, str(tmp_path / "evil"))
    assert run_zoo("registry", "add", tmp_path / "evil").code == 0
    told = run_zoo("info", "pbmc-celltype", "--json").json
    assert told["card"]["version"] != "99.0.0"


def test_the_same_version_with_other_bytes_is_not_adopted(
    folder: Path, shared: str, here: Settings, tmp_path: Path
) -> None:
    publish(folder, shared)
    adopt("my-tiny", shared, here)
    change_card(folder, summary="Something else")
    publish(folder, str(tmp_path / "other"))
    with pytest.raises(NameTaken, match="here that name is"):
        adopt("my-tiny", str(tmp_path / "other"), here)


# -- refusals ------------------------------------------------------------------------------------


def test_no_registry_there(shared: str, here: Settings, run_zoo: Zoo) -> None:
    with pytest.raises(NoRegistryThere):
        adopt("my-tiny", shared, here)
    assert run_zoo("registry", "add", shared).code == 6


def test_no_collection_of_that_scheme() -> None:
    with pytest.raises(NoCollection, match="ftp://example"):
        collection_at("ftp://example.org/models")


def test_a_graph_that_is_refused_leaves_no_name(folder: Path, shared: str, here: Settings) -> None:
    """Somebody with write access puts a graph with a loop there, with right digests."""
    import sys

    sys.path.insert(0, str(Path(__file__).parents[1] / "gate"))
    from hostile_graphs import endless_loop, with_properties
    from tiny_model import registry_of, write_manifest

    genes = (folder / "genes.tsv").read_bytes()
    graph = with_properties(endless_loop(), genes, cellzoo_name="my-tiny")
    (folder / "model.onnx").write_bytes(graph)
    write_manifest(folder)
    collection_at(shared).put_registry(registry_of(folder).render())
    with pytest.raises(InvalidGraph, match="Loop"):
        adopt("my-tiny", shared, here)
    assert Cache(here.cache).models() == []
