from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from ran import Ran
from tiny_model import write_manifest, write_tiny_model

import zoo.cli
from zoo.cache import Cache
from zoo.checkout import Checkout
from zoo.cli import output
from zoo.settings import Settings

Zoo = Callable[..., Ran]
TINY = {
    "name": "tiny",
    "version": "1.0.0",
    "task": "cell_type_annotation",
    "organism": "Homo sapiens",
    "summary": "Three kinds of blood cells from six genes, for tests",
}


def zoo_process(*words: str, **how: object) -> subprocess.CompletedProcess[str]:
    code = "from zoo.cli import main; main()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-c", code, *words], env=environment, text=True, check=False, **how
    )


# -- list and search -----------------------------------------------------------------------------


def test_list(checkout: Checkout, run_zoo: Zoo) -> None:
    (listed,) = run_zoo("list", "--json").json
    assert {key: listed[key] for key in TINY} == TINY
    shown = run_zoo("list")
    assert shown.code == 0
    assert shown.out.splitlines()[1].split()[:3] == ["tiny", "1.0.0", "cell_type_annotation"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--organism", "homo SAPIENS"], True),
        (["--organism", "human"], True),
        (["--organism", "mouse"], False),
        (["--tissue", "BLOO"], True),
        (["--tissue", "brain"], False),
        (["--task", "Cell_Type_Annotation"], True),
        (["--task", "imputation"], False),
        (["--architecture", "LIN"], True),
        (["--architecture", "transformer"], False),
        (["--modality", "rna"], True),
        (["--modality", "spatial"], False),
        (["--value-kind", "counts"], True),
        (["--value-kind", "intensity"], False),
        (["--metric", "accuracy"], False),
        (["--output", "conformal_p"], True),
        (["--output", "imputed"], False),
        (["--interpretation", "attribution"], False),
        (["--license", "cc0"], True),
        (["--license", "mit"], False),
        (["--largest", "1"], True),
        (["--largest", "0.001"], False),
        (["--fastest", "1000"], True),
        (["--fastest", "1e9"], False),
        (["--beats-baseline"], False),
    ],
)
def test_list_filters(checkout: Checkout, run_zoo: Zoo, words: list[str], found: bool) -> None:
    assert bool(run_zoo("list", *words, "--json").json) is found
    assert ("tiny" in run_zoo("list", *words).out) is found


def test_search(checkout: Checkout, run_zoo: Zoo) -> None:
    blood = write_tiny_model(checkout.root / "cards" / "blood")
    write_tiny_model(blood, name="blood")
    checkout.build()

    def names(*words: str) -> list[str]:
        return [entry["name"] for entry in run_zoo("search", *words, "--json").json]

    assert names("blood") == ["blood", "tiny"]
    assert names("tiny", "blood") == ["tiny", "blood"]
    assert names("monocyte") == ["blood", "tiny"]
    assert names("neuron") == []
    assert names("e") == []  # a letter counts as a word, not as a part of one
    assert "zoo list" in run_zoo("search", "neuron").out


def test_shelves_are_listed(
    checkout: Checkout, run_zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_model(tmp_path / "shelf" / "a", name="shelved")
    monkeypatch.setenv("ZOO_MODELS", str(tmp_path / "shelf"))
    assert [entry["name"] for entry in run_zoo("list", "--json").json] == ["shelved", "tiny"]
    assert run_zoo("pull", "shelved", "--json").json["origin"] == str(tmp_path / "shelf" / "a")


def test_an_empty_shelf_of_an_image_without_models(
    checkout: Checkout, run_zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout.root / "cards").rename(checkout.root / "away")
    (tmp_path / "shelf").mkdir()
    monkeypatch.setenv("ZOO_MODELS", str(tmp_path / "shelf"))
    shown = run_zoo("list")
    assert f"No model is here. Put folders of models into {tmp_path / 'shelf'}" in shown.out
    assert "The registry knows 1 more that are not here: zoo list --all" in shown.err


# -- info ----------------------------------------------------------------------------------------


def test_info(checkout: Checkout, run_zoo: Zoo) -> None:
    shown = run_zoo("info", "tiny").out
    for part in (
        "tiny@1.0.0",
        "Homo sapiens",
        "at least 50%",
        "all made-up cells (balanced_accuracy 0.98 [0.95, 1])",
        "CC0-1.0",
        "cells/s",
        "First version",
        "embedded:tiny",
    ):
        assert part in shown
    header, row = (line.split() for line in shown.split("Evaluation\n")[1].splitlines()[:2])
    assert header[-2:] == ["model", "majority"]
    assert row[-4:] == ["0.98", "[0.95,", "1]", "0.33"] or "0.98" in row


def test_info_for_programs(checkout: Checkout, run_zoo: Zoo) -> None:
    told = run_zoo("info", "tiny", "--json").json
    assert sorted(told) == ["card", "digest", "files", "locations"]
    assert told["card"]["inputs"]["gene_coverage"] == 0.5
    assert told["locations"] == ["embedded:tiny"]
    assert {file["role"] for file in told["files"]} == {"card", "genes", "labels", "graph"}
    folder = checkout.root / "cards" / "tiny"
    assert run_zoo("info", folder, "--json").json["digest"] == told["digest"]


def test_text_of_a_card_cannot_steer_the_terminal(checkout: Checkout, run_zoo: Zoo) -> None:
    card = checkout.root / "cards" / "tiny" / "README.md"
    text = card.read_text(encoding="utf-8")
    evil = "[bold]x[/bold] :smile: gpj\u200b"
    card.write_text(text.replace("summary: Three", f"summary: '{evil}' #", 1), encoding="utf-8")
    checkout.build()
    shown = run_zoo("info", "tiny").out
    assert "[bold]x[/bold] :smile: gpj�" in shown


@pytest.mark.parametrize("char", ["\u202e", "\x1b"])
def test_a_card_holds_no_signs_that_steer(checkout: Checkout, run_zoo: Zoo, char: str) -> None:
    card = checkout.root / "cards" / "tiny" / "README.md"
    text = card.read_text(encoding="utf-8")
    evil = f'summary: "a{char}b" #'
    card.write_text(text.replace("summary: Three", evil, 1), encoding="utf-8")
    assert run_zoo("registry", "build", "--root", checkout.root).code == 5


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\x1b[31mb", "a�[31mb"), ("a\tb\r", "a b "), ("é – 日本", "é – 日本"), ("\udc80", "�")],
)
def test_plain(text: str, shown: str) -> None:
    assert output.plain(text) == shown


def test_json_without_nan(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json({"a": [float("nan"), 1.5]})
    assert capsys.readouterr().out == '{\n  "a": [\n    null,\n    1.5\n  ]\n}\n'


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 KB"), (2_500_000_000, "2.5 GB")]
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert output.in_bytes(size) == text


# -- pull and cache ------------------------------------------------------------------------------


def test_pull_says_from_where(checkout: Checkout, run_zoo: Zoo) -> None:
    first = run_zoo("pull", "tiny")
    assert first.code == 0
    assert "from embedded:tiny: 4 files" in first.out
    assert "already in the cache" in run_zoo("pull", "tiny@1.0.0", "--offline").out
    told = run_zoo("pull", "tiny", "--json").json
    assert (told["origin"], told["files"]) == ("cache", 4)


def test_pull_mends_the_cache(checkout: Checkout, run_zoo: Zoo) -> None:
    run_zoo("pull", "tiny")
    cache = Cache(Settings.read().cache)
    path = next(cache.root.glob("sha256/??/*"))
    path.write_bytes(bytes(path.stat().st_size))
    verified = run_zoo("cache", "verify")
    assert verified.code == 1
    assert path.name in verified.err
    pulled = run_zoo("pull", "tiny", "--json")
    assert pulled.json["name"] == "tiny"
    assert pulled.err.startswith("Note: ")
    assert run_zoo("cache", "verify", "--json").json["damaged"] == []


def test_cache_commands(checkout: Checkout, run_zoo: Zoo) -> None:
    run_zoo("pull", "tiny")
    (listed,) = run_zoo("cache", "ls", "--json").json
    assert (listed["name"], listed["version"], listed["files"]) == ("tiny", "1.0.0", 4)
    assert "tiny" in run_zoo("cache", "ls").out
    assert run_zoo("cache", "path").out.strip() == os.environ["ZOO_CACHE"]
    assert "All is sound" in run_zoo("cache", "verify").out
    assert run_zoo("cache", "rm", "tinny").code == 4
    assert run_zoo("cache", "rm", "tiny", "--json").json == {"removed": ["tiny@1.0.0"]}
    assert run_zoo("cache", "prune", "--json").json == {"removed": [], "bytes": 0}
    assert run_zoo("cache", "ls", "--json").json == []


def test_an_update_leaves_something_to_prune(checkout: Checkout, run_zoo: Zoo) -> None:
    run_zoo("pull", "tiny")
    folder = checkout.root / "cards" / "tiny"
    (folder / "measurements.json").write_text("{}")
    write_manifest(folder)
    checkout.build()
    run_zoo("pull", "tiny")
    assert "Removed 0 file(s)" in run_zoo("cache", "prune").out
    (folder / "measurements.json").unlink()
    checkout.build()
    run_zoo("pull", "tiny")
    assert "Removed 1 file(s), 2 B" in run_zoo("cache", "prune").out


# -- failures ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (["pull", "tinny"], 4, "UnknownModel"),
        (["pull", "tiny@9.0.0"], 4, "UnknownVersion"),
        (["pull", "tiny@latest"], 4, "UnknownVersion"),
        (["info", "./nowhere"], 3, "FileMissing"),
        (["lits"], 2, "UsageError"),
        (["list", "--tsak", "x"], 2, "UsageError"),
        (["list", "--task", "x"], 2, "UsageError"),
        (["pull"], 2, "UsageError"),
        (["cache"], 2, "UsageError"),
        (["cache", "rm", "tiny"], 4, "NotInCache"),
    ],
)
def test_failures(
    checkout: Checkout, run_zoo: Zoo, words: list[str], code: int, error: str
) -> None:
    ran = run_zoo(*words)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith("Error: ")
    assert len(ran.err.splitlines()) >= 2
    told = run_zoo(*words, "--json")
    assert (told.code, told.err) == (code, "")
    assert sorted(told.json) == ["code", "error", "hint", "message"]
    assert (told.json["code"], told.json["error"]) == (code, error)


def test_near_commands(run_zoo: Zoo) -> None:
    assert "Did you mean 'list' or 'split'?" in run_zoo("lits").err
    assert "'zoo pull --help'" in run_zoo("pull", "--nothing").err


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("zoo.pull.pull", interrupt)


def test_an_interrupt(interrupted: None, run_zoo: Zoo) -> None:
    ran = run_zoo("pull", "tiny")
    assert (ran.code, ran.err) == (130, "Error: Interrupted; nothing was written.\n")
    assert run_zoo("pull", "tiny", "--json").json["code"] == 130


def test_a_fault_is_not_hidden(monkeypatch: pytest.MonkeyPatch, run_zoo: Zoo) -> None:
    monkeypatch.setattr("zoo.hubs.embedded.embedded_registry", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run_zoo("list")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_standard_output_that_cannot_be_written() -> None:
    with Path("/dev/full").open("w") as full:
        ran = zoo_process("cache", "path", stdout=full, stderr=subprocess.PIPE)
    assert ran.returncode == 8
    assert "standard output" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_reader_that_stops_reading() -> None:
    read, write = os.pipe()
    os.close(read)
    ran = zoo_process("--help", stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_terminal_without_cyrillic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    write_tiny_model(tmp_path / "тест")
    ran = zoo_process("info", str(tmp_path / "тест"), capture_output=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "\\u0442" in ran.stdout


# -- the commands --------------------------------------------------------------------------------


def test_every_command_is_there_and_documented(run_zoo: Zoo) -> None:
    shown = run_zoo("--help").out
    for section, commands in zoo.cli.COMMANDS.items():
        assert f"{section}:" in shown
        for name, (target, summary) in commands.items():
            module, _, attribute = target.partition(":")
            command = getattr(importlib.import_module(module), attribute)
            assert isinstance(command, click.Command)
            assert command.name == name
            assert command.help
            assert summary in shown
            assert all(p.help for p in command.params if isinstance(p, click.Option)), name


def test_help_and_version(run_zoo: Zoo) -> None:
    assert run_zoo().out == run_zoo("--help").out == run_zoo("-h").out
    assert run_zoo("--version").out == f"zoo {zoo.cli.__version__}\n"
    assert run_zoo("pull", "--help").code == 0


def test_help_imports_no_heavy_module() -> None:
    code = (
        "import sys; from zoo.cli import execute; execute(['--help']); print(*sorted(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.splitlines()[-1].split())
    assert not loaded & {
        "numpy",
        "pydantic",
        "rich",
        "h5py",
        "onnxruntime",
        "anndata",
        "platformdirs",
    }


def test_no_command_catches_exceptions() -> None:
    folder = Path(zoo.cli.__file__).parent
    for path in sorted(folder.glob("*.py")):
        if path.name not in {"__init__.py", "output.py"}:
            assert "try:" not in path.read_text(encoding="utf-8"), path.name


def test_a_folder_here_is_pointed_at_and_never_taken_unasked(
    run_zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_model(tmp_path / "homemade")
    monkeypatch.chdir(tmp_path)
    told = run_zoo("info", "homemade")
    assert told.code == 4
    assert told.err == (
        "Error: No model is called 'homemade'.\nFor the model folder of that name that is here, "
        "say './homemade'. 'zoo list' shows all models.\n"
    )
    assert run_zoo("info", "./homemade").code == 0
