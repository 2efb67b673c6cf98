from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from ran import Ran

Zoo = Callable[..., Ran]


def test_flags_become_a_plan(tmp_path: Path, run_zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run_zoo(
        "new", "my_skin", "--recipe", "celltype", "--source", "skin.h5ad", "--organism", "mouse",
        "--tissue", "skin", "--summary", 'Four "types" of skin', "--label", "cell_type",
    )  # fmt: skip
    assert done.code == 0
    assert "zoo train celltype skin.h5ad -o my_skin/model --config my_skin/plan.toml" in done.out
    plan = tomllib.loads(Path("my_skin/plan.toml").read_text())
    assert plan["name"] == "my-skin"
    assert plan["summary"] == 'Four "types" of skin'
    assert plan["inputs"]["organism"] == "Mus musculus"
    assert plan["data"]["label"] == "cell_type"
    assert plan["license"].startswith("<<")


@pytest.mark.parametrize("how", [["--recipe", "celltype"], ["--format", "celltypist"]])
def test_the_plan_is_what_the_command_reads(tmp_path: Path, run_zoo: Zoo, how: list[str]) -> None:
    """Every key of the scaffold is a field of the plan, hints included."""
    run_zoo("new", tmp_path / "mine", *how)
    told = tomllib.loads((tmp_path / "mine" / "plan.toml").read_text())
    if how[0] == "--recipe":
        from converters.plan import Plan

        Plan.model_validate(told)
    else:
        pytest.importorskip("converters.importing.plan").ImportPlan.model_validate(told)


def test_validate_says_what_is_left_and_what_is_next(tmp_path: Path, run_zoo: Zoo) -> None:
    mine = tmp_path / "mine"
    run_zoo("new", mine, "--recipe", "logistic", "--source", "a.h5ad")
    done = run_zoo("validate", mine, "--json")
    assert done.code == 1
    places = [finding["detail"] for finding in done.json["findings"]]
    assert "summary is not filled" in places
    assert "'How to cite' of card.md is not filled" in places
    for path in (mine / "plan.toml", mine / "card.md"):
        path.write_text(path.read_text().replace("<<", "").replace(">>", ""))
    done = run_zoo("validate", mine, "--json")
    assert done.json["next"] == (
        f"Next: zoo train logistic a.h5ad -o {mine}/model --config {mine}/plan.toml"
    )


def test_questions(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from zoo.cli import zoo

    answers = "Types of blood\nhuman\nblood\n\nmit\nMe\n"
    done = CliRunner().invoke(zoo, ["new", str(tmp_path / "mine"), "--ask"], input=answers)
    assert done.exit_code == 0
    plan = tomllib.loads((tmp_path / "mine" / "plan.toml").read_text())
    assert plan["inputs"]["organism"] == "Homo sapiens"
    assert plan["inputs"]["assays"][0].startswith("<<")
    assert plan["authors"] == [{"name": "Me"}]


def test_what_is_there_is_not_overwritten(tmp_path: Path, run_zoo: Zoo) -> None:
    assert run_zoo("new", tmp_path / "mine").code == 0
    assert run_zoo("new", tmp_path / "mine").code == 8


def test_trained_or_converted(tmp_path: Path, run_zoo: Zoo) -> None:
    done = run_zoo("new", tmp_path / "mine", "--recipe", "a", "--format", "b")
    assert done.code == 2
    assert "--recipe and --format" in done.err
