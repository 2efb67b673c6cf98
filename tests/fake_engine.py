"""A program that stands for docker or podman: it answers as told and writes down what it was asked.

Its answers are a JSON object in the environment: the first word of the command line → exit code,
standard output and standard error. `image inspect` succeeds for the images that `images` lists.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

USUAL = {
    "version": [0, "20.10.24", ""],
    "info": [0, "[name=seccomp,profile=default]", ""],
    "run": [0, "", ""],
    "rm": [0, "", ""],
    "stop": [0, "", ""],
    "load": [0, "", ""],
    "pull": [0, "", ""],
    "tag": [0, "", ""],
}


@dataclass(frozen=True)
class FakeEngine:
    """Where it keeps what it was asked, and how it is told what to answer."""

    log: Path
    monkeypatch: pytest.MonkeyPatch

    def answers(self, **answers: Any) -> None:
        """Answer these from now on: exit code, output, error; `images` are those that it has."""
        self.monkeypatch.setenv("FAKE_ENGINE", json.dumps({**USUAL, "images": [], **answers}))

    def asked(self, word: str) -> list[list[str]]:
        """The command lines that began with a word, without the program."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line for line in map(json.loads, lines) if line[0] == word]


def install(folder: Path, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """Put it alone on the PATH, under these names."""
    folder.mkdir()
    for name in names:
        program = folder / name
        program.write_text(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(HERE)!r})\n"
                           "import fake_engine\nfake_engine.main(sys.argv[1:])\n")  # fmt: skip
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("FAKE_LOG", str(folder / "log"))
    engine = FakeEngine(folder / "log", monkeypatch)
    engine.answers()
    return engine


HERE = Path(__file__).parent


def main(words: list[str]) -> None:
    """Answer."""
    with Path(os.environ["FAKE_LOG"]).open("a") as log:
        log.write(json.dumps(words) + "\n")
    told = json.loads(os.environ["FAKE_ENGINE"])
    if words[0] == "image":
        held = {**dict.fromkeys(told["images"], ""), **told.get("labels", {})}
        # What was fetched is there from then on.
        fetched = [
            json.loads(line) for line in Path(os.environ["FAKE_LOG"]).read_text().splitlines()
        ]
        held |= {line[2]: "" for line in fetched if line[0] == "tag"}
        if any(line[0] == "load" for line in fetched):
            held |= dict.fromkeys(told.get("loads", []), "")
        if words[-1] not in held:
            sys.exit("Error: No such image")
        print(held[words[-1]])
        return
    code, out, err = told[words[0]]
    sys.stdout.write(out)
    sys.stderr.write(err)
    sys.exit(code)
