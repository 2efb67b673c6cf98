"""docs/contribute.md, word for word: its files written, its commands run."""

from __future__ import annotations

import os
import pickle  # noqa: TID251  # CellTypist's own format
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)```", re.S)


def steps() -> Iterator[tuple[str, str]]:
    """The page's files and commands, in order: (path, content) or ("", commands)."""
    page = (ROOT / "docs" / "contribute.md").read_text(encoding="utf-8")
    for block in _BLOCK.finditer(page):
        if block["file"]:
            yield block["file"], block["text"]
        elif block["kind"] == "sh":
            yield "", block["text"]


def prepare(folder: Path) -> None:
    """What the page says that its reader has."""
    sys.path.insert(0, str(ROOT / "tests" / "importing"))
    from foreign_cells import GENES, LABELS, make_cells
    from test_celltypist import trained

    (folder / "model.pkl").write_bytes(pickle.dumps(trained(make_cells())))
    make_cells(150, seed=1).write(folder / "cells.h5ad")
    make_cells(200, seed=2).write(folder / "train.h5ad")
    (folder / "genes.txt").write_text("\n".join(GENES) + "\n")
    (folder / "labels.txt").write_text("\n".join(LABELS) + "\n")


def test_every_command_runs(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    prepare(tmp_path)
    scripts = tmp_path / "bin"
    scripts.mkdir()
    code = f'#!/bin/sh\nexec {sys.executable} -c "from zoo.cli import main; main()" "$@"\n'
    (scripts / "zoo").write_text(code)
    (scripts / "zoo").chmod(0o755)
    (scripts / "python").symlink_to(sys.executable)
    environment = {
        **os.environ,
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        "ZOO_CACHE": str(tmp_path / "cache"),
        "ZOO_CONFIG": str(tmp_path / "config"),
    }
    for path, text in steps():
        if path:
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_text(text, encoding="utf-8")
            continue
        for command in text.strip().splitlines():
            done = subprocess.run(
                ["sh", "-c", command],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert len((tmp_path / "labels.csv").read_text().splitlines()) == 151
