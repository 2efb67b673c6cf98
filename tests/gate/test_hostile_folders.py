"""Every hostile folder, by the command that meets it: refused by name, and nothing is kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile_folders import HOSTILE, Publication, sample_that_links_outside
from ran import Ran

from zoo.cache import Cache
from zoo.settings import Settings

Zoo = Callable[..., Ran]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Publication:
    return Publication.write(tmp_path_factory.mktemp("source") / "zoo")


@pytest.fixture
def made(source: Publication, tmp_path: Path) -> Publication:
    shutil.copytree(source.root, tmp_path / "zoo")
    copy = Publication(tmp_path / "zoo", dict(source.entry))
    copy.register()
    return copy


def tried(made: Publication, command: str, run_zoo: Zoo) -> Ran:
    if command == "pull":
        return run_zoo("pull", "tiny", "--from", made.root)
    if command == "bundle":
        return run_zoo("bundle", "load", made.root / "tiny.zoo.tar")
    return run_zoo("validate", made.folder, "--json")


def files_in(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if "cache" not in path.parts}


def test_a_sound_publication_is_taken(made: Publication, run_zoo: Zoo, settings: Settings) -> None:
    assert tried(made, "pull", run_zoo).code == 0
    assert [model.reference for model in Cache(settings.cache).models()] == ["tiny@1.0.0"]
    assert tried(made, "validate", run_zoo).code == 0


@pytest.mark.parametrize("maker", HOSTILE, ids=lambda maker: maker.__name__)
def test_a_hostile_folder_is_refused(
    maker: Callable[[Publication], None],
    made: Publication,
    tmp_path: Path,
    run_zoo: Zoo,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command, code, words = HOSTILE[maker]
    maker(made)
    monkeypatch.chdir(tmp_path)
    before = files_in(tmp_path)
    ran = tried(made, command, run_zoo)
    told = (
        "\n".join(f["detail"] for f in ran.json["findings"] if f["status"] == "failed")
        if command == "validate"
        else ran.err
    )
    assert words in " ".join(told.split())
    assert ran.code == code
    assert "Traceback" not in ran.err
    assert not set("\x1b\x07\u202e") & set(ran.out + ran.err), "no terminal obeys what is told"
    cache = Cache(settings.cache)
    assert cache.models() == []
    cache.prune()
    assert not [path for path in settings.cache.rglob("*") if path.is_file()]
    assert files_in(tmp_path) == before


def test_an_example_that_links_outside_is_not_handed_out(
    made: Publication, tmp_path: Path, run_zoo: Zoo
) -> None:
    """It passes a pull, which opens no sample; other programs would follow the link."""
    sample_that_links_outside(made)
    ran = run_zoo("example", made.folder, "-o", tmp_path / "my.h5ad")
    assert (ran.code, "an external link to '/etc/passwd:/'" in ran.err) == (3, True)
    assert not (tmp_path / "my.h5ad").exists()
