from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from complete_model import change_card, copy_of, write_complete_model
from ran import Ran

from zoo.checkout import Checkout
from zoo.contributing.validating import Finding, Report, validate

Zoo = Callable[..., Ran]


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_complete_model(tmp_path_factory.mktemp("complete") / "tiny")


@pytest.fixture
def folder(complete: Path, tmp_path: Path) -> Path:
    return copy_of(complete, tmp_path / "tiny")


def found(report: Report, check: str) -> Finding:
    return next(finding for finding in report.findings if finding.check == check)


def test_a_complete_model_passes_deep(folder: Path, run_zoo: Zoo) -> None:
    done = run_zoo("validate", folder, "--level", "deep", "--json")
    assert done.code == 0
    assert done.json["passed"]
    checks = {finding["check"]: finding["status"] for finding in done.json["findings"]}
    assert checks.pop("headline") == "note"
    assert checks == dict.fromkeys(
        ["card", "files", "evaluation", "scope", "contract", "trial", "parity", "resources"],
        "passed",
    )
    assert done.json["next"] == f"Next: zoo publish {folder} --to URI"


def test_each_level_names_the_next(folder: Path, run_zoo: Zoo) -> None:
    shown = run_zoo("validate", folder, "--level", "inspect")
    assert shown.code == 0
    assert shown.out.rstrip().endswith(f"Next: zoo validate {folder} --level surface")
    assert validate(folder, "surface").next_step.endswith("--level deep")


def test_what_is_missing_has_a_remedy(folder: Path, run_zoo: Zoo) -> None:
    (folder / "sample.h5ad").unlink()
    (folder / "expected.h5").unlink()
    change_card(folder, scope__works_poorly=[])
    done = run_zoo("validate", folder)
    assert done.code == 1
    assert "no file has the role sample" in done.out
    assert "no claim says where it fails" in done.out
    assert "'tiny' is not valid at level surface: files, scope" in done.err.replace(
        str(folder), "tiny"
    )
    assert "(2 more after it)" in done.out


def test_nothing_measured(folder: Path) -> None:
    change_card(folder, evaluation=[], scope__works_well=[], scope__works_poorly=[])
    finding = found(validate(folder, "inspect"), "evaluation")
    assert finding.status == "missing"
    assert "zoo evaluate ./tiny" in finding.remedy


def test_no_baseline(folder: Path) -> None:
    card_rows = validate(folder, "inspect").manifest
    assert card_rows is not None
    rows = [
        row.model_dump(mode="json") for row in card_rows.card.evaluation if row.method == "model"
    ]
    change_card(folder, evaluation=rows)
    finding = found(validate(folder, "inspect"), "evaluation")
    assert (finding.status, finding.detail) == ("missing", "no baseline stands beside it")


def test_hints_are_left(folder: Path) -> None:
    change_card(folder, summary="<<one line: what it does>>")
    card = folder / "README.md"
    card.write_text(f"{card.read_text()}\n## Use\n\n<<when to use it>>\n")
    report = validate(folder)
    assert [(f.detail, f.remedy) for f in report.findings] == [
        ("cellzoo.summary is not filled", "one line: what it does"),
        ("'Use' of README.md is not filled", "when to use it"),
    ]
    assert report.next_step == "Next: one line: what it does (1 more after it)"


def test_a_stale_manifest(folder: Path, run_zoo: Zoo) -> None:
    card = folder / "README.md"
    card.write_text(f"{card.read_text()}\nMore text.\n")
    done = run_zoo("validate", folder, "--level", "inspect")
    assert done.code == 1
    assert "zoo validate" in done.out
    assert "--write makes it anew" in done.out
    assert run_zoo("validate", folder, "--level", "inspect", "--write").code == 0


def test_a_folder_without_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    assert validate(folder, "surface").passed


def test_a_link_fails(folder: Path) -> None:
    (folder / "extra").symlink_to("/etc/hostname")
    report = validate(folder)
    assert not report.passed
    assert "extra" in " ".join(finding.detail for finding in report.findings)


def test_answers_that_are_not_the_stored_ones(folder: Path) -> None:
    import h5py

    with h5py.File(folder / "expected.h5", "r+") as file:
        file["prob"][0, 0] += 0.5
    from tiny_model import write_manifest

    write_manifest(folder)
    finding = found(validate(folder), "parity")
    assert finding.status == "failed"
    assert finding.detail.startswith("prob: 1 values differ")


def test_log_values_need_a_graph_that_scale_leaves_alone(folder: Path) -> None:
    change_card(folder, inputs__value_kinds=["counts", "log_normalized"])
    finding = found(validate(folder), "scale")
    assert "multiplied by 0.3 and 7" in finding.detail


def test_no_folder(tmp_path: Path, run_zoo: Zoo) -> None:
    done = run_zoo("validate", tmp_path / "nowhere")
    assert done.code == 3
    assert "nowhere" in done.err


def test_the_registry_knows_what_passed(checkout: Checkout, run_zoo: Zoo, complete: Path) -> None:
    shutil.rmtree(checkout.root / "cards" / "tiny")
    copy_of(complete, checkout.root / "cards" / "tiny")
    words = ("registry", "build", "--root", checkout.root)
    assert run_zoo(*words, "--validate", "surface").code == 0
    registry = checkout.root / "registry.json"
    assert '"validated": "surface"' in registry.read_text()
    assert run_zoo(*words, "--check").code == 0  # kept while the model is the same
    change_card(checkout.root / "cards" / "tiny", summary="Another one")
    assert run_zoo(*words).code == 0
    assert '"validated": null' in registry.read_text()


def test_a_model_that_does_not_pass_stops_it(checkout: Checkout, run_zoo: Zoo) -> None:
    done = run_zoo("registry", "build", "--root", checkout.root, "--validate", "inspect")
    assert done.code == 1
    assert "not valid at level inspect" in done.err
