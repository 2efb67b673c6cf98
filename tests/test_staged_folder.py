"""A model folder is replaced whole, and the old one is never lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo.staging import staged_folder


@pytest.fixture
def old(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "card").write_text("old")
    return folder


def test_a_folder_takes_the_place_of_another(old: Path) -> None:
    with staged_folder(old) as staging:
        (staging / "card").write_text("new")
    assert (old / "card").read_text() == "new"
    assert [path.name for path in old.parent.iterdir()] == ["model"]


def test_an_error_leaves_the_old_one(old: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted(old)
    assert (old / "card").read_text() == "old"
    assert [path.name for path in old.parent.iterdir()] == ["model"]


def interrupted(target: Path) -> None:
    with staged_folder(target) as staging:
        (staging / "card").write_text("half")
        raise KeyboardInterrupt


def test_an_old_folder_that_cannot_be_moved_back_is_kept_aside(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move, target = Path.replace, old

    def moves_aside_only(path: Path, to: Path) -> Path:
        if to == target:
            raise OSError("the disk went away")
        return move(path, to)

    monkeypatch.setattr(Path, "replace", moves_aside_only)
    with pytest.raises(OSError, match="the disk went away"), staged_folder(old) as staging:
        (staging / "card").write_text("new")
    (kept,) = old.parent.iterdir()
    assert (kept / "card").read_text() == "old"
