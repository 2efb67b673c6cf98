from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from counts_file import write_counts
from fake_engine import FakeEngine, install
from ran import Ran
from test_container import after
from tiny_model import write_manifest

from zoo.checkout import Checkout
from zoo.version import __version__

Zoo = Callable[..., Ran]

MODEL, RUNNER = "cellzoo/tiny:1.0.0", f"cellzoo/runner:{__version__}"
ME = f"{os.getuid()}:{os.getgid()}"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a file."""
    folder = tmp_path / "work"
    folder.mkdir()
    write_counts(folder / "my.h5ad", 12)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def engine(checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    engine = install(tmp_path / "bin", ("docker", "podman"), monkeypatch)
    engine.answers(images=[MODEL])
    return engine


def binds(words: list[str]) -> list[tuple[str, bool]]:
    """Target and whether it is read-only, of each bind mount."""
    mounts = [value.split(",") for value in after(words, "--mount") if "type=bind" in value]
    return [(fields[2].removeprefix("dst="), fields[-1] == "readonly") for fields in mounts]


# -- the usual run -------------------------------------------------------------------------------


def test_a_run(engine: FakeEngine, place: Path, run_zoo: Zoo) -> None:
    engine.answers(images=[MODEL], run=[0, "said\n", "Note: heard\n"])
    ran = run_zoo("run", "tiny", "my.h5ad", "--docker")
    assert (ran.code, ran.out, ran.err) == (0, "said\n", "Note: heard\n")
    (words,) = engine.asked("run")
    assert after(words, "--user") == [ME]
    assert after(words, "--workdir") == [str(place)]
    assert after(words, "--entrypoint") == ["zoo"]
    assert words[words.index(MODEL) :] == [MODEL, "run", "--", "tiny", "my.h5ad"]
    assert binds(words) == [(str(place), False), (f"{place}/my.h5ad", True)]
    assert engine.asked("rm") == []


def test_options_are_passed_on(engine: FakeEngine, place: Path, run_zoo: Zoo) -> None:
    options = shlex.split(
        "-o a.h5ad -o out/a.csv --into b.h5ad --device cpu --threads 2 --batch-size 64 "
        "--groups cluster --outputs prob --outputs embedding,ood_p --slide-key slide "
        "--source layers/counts --value-kind counts --force --overwrite --allow-duplicate-cells "
        "--full-digest --offline --json"
    )
    assert run_zoo("run", "tiny", "my.h5ad", *options, "--docker", "--memory", "1g").code == 0
    (words,) = engine.asked("run")
    inner = words[words.index(MODEL) + 2 :]
    assert sorted(inner) == sorted([word.replace("-o", "--output") if word == "-o" else word
                                    for word in options] + ["--", "tiny", "my.h5ad"])  # fmt: skip
    assert after(inner, "--output") == ["a.h5ad", "out/a.csv"]
    assert after(inner, "--outputs") == ["prob", "embedding,ood_p"]
    assert (after(words, "--memory"), after(words, "--cpus")) == (["1g"], ["2"])


def test_every_option_of_run_is_known_here() -> None:
    """An option that is added to `zoo run` is passed on, unless it is about the container."""
    from zoo.cli.contained import _OWN
    from zoo.cli.run import run

    assert set(_OWN) <= {param.name for param in run.params}


def test_folders_of_outputs_are_made_beforehand(
    engine: FakeEngine, place: Path, run_zoo: Zoo
) -> None:
    assert run_zoo("run", "tiny", "my.h5ad", "-o", "a/b/x.h5ad", "--docker").code == 0
    (words,) = engine.asked("run")
    assert (f"{place}/a/b", False) in binds(words)
    assert (place / "a" / "b").is_dir()
    assert (f"type=tmpfs,dst={place},tmpfs-size=65536") in after(words, "--mount")


def test_folders_that_were_made_in_vain_go(engine: FakeEngine, place: Path, run_zoo: Zoo) -> None:
    engine.answers(images=[MODEL], run=[7, "", "Error: out of scope\n"])
    ran = run_zoo("run", "tiny", "my.h5ad", "-o", "a/b/x.h5ad", "--docker")
    assert (ran.code, ran.err) == (7, "Error: out of scope\n")
    assert not (place / "a").exists()


def test_a_link_keeps_its_name(engine: FakeEngine, place: Path, run_zoo: Zoo) -> None:
    shutil.move(place / "my.h5ad", place.parent / "far.h5ad")
    (place / "my.h5ad").symlink_to(place.parent / "far.h5ad")
    assert run_zoo("run", "tiny", "my.h5ad", "-o", "out/x.csv", "--docker").code == 0
    (words,) = engine.asked("run")
    value = f"type=bind,src={place.parent}/far.h5ad,dst={place}/my.h5ad,readonly"
    assert value in after(words, "--mount")


def test_folders_as_input(engine: FakeEngine, place: Path, run_zoo: Zoo) -> None:
    (place / "x.zarr").mkdir()
    (place / "mtx").mkdir()
    for name in ("matrix.mtx.gz", "features.tsv.gz", "barcodes.tsv.gz", "other"):
        (place / "mtx" / name).touch()
    for word, seen in (("x.zarr", "x.zarr"), ("mtx", "mtx"), ("mtx/matrix.mtx.gz", "mtx")):
        assert run_zoo("run", "tiny", word, "--docker").code == 0
        assert binds(engine.asked("run")[-1]) == [(str(place), False), (f"{place}/{seen}", True)]


def test_a_matrix_whose_folder_takes_the_result(
    engine: FakeEngine, place: Path, run_zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("matrix.mtx", "genes.tsv", "barcodes.tsv"):
        (place / name).touch()
    assert run_zoo("run", "tiny", ".", "--docker").code == 0
    assert binds(engine.asked("run")[-1]) == [
        (str(place), False),
        *((f"{place}/{name}", True) for name in ("barcodes.tsv", "genes.tsv", "matrix.mtx")),
    ]


def test_a_dry_run_prints_the_command_and_asks_nobody(
    engine: FakeEngine, place: Path, run_zoo: Zoo
) -> None:
    ran = run_zoo("run", "tiny", "my.h5ad", "-o", "o ut/x.csv", "--docker", "--dry-run")
    words = shlex.split(ran.out)
    assert words[:2] == ["docker", "run"]
    assert (f"{place}/o ut", False) in binds(words)
    assert not (place / "o ut").exists()
    assert not engine.log.exists()
    sif = run_zoo("run", "tiny", "my.h5ad", "--docker", "--dry-run", "--engine", "apptainer").out
    assert "/sif/tiny_1.0.0.sif zoo run -- tiny my.h5ad" in sif


# -- the model and its image ---------------------------------------------------------------------


def test_a_model_folder_is_mounted_into_the_runner(
    engine: FakeEngine, place: Path, tiny_source: Path, run_zoo: Zoo
) -> None:
    engine.answers(images=[RUNNER])
    shutil.copytree(tiny_source, place / "my-model")
    assert run_zoo("run", "./my-model", "my.h5ad", "-o", "out/x.csv", "--docker").code == 0
    (words,) = engine.asked("run")
    assert words[words.index(RUNNER) :][-3:] == ["--", "./my-model", "my.h5ad"]
    assert (f"{place}/my-model", True) in binds(words)


def test_a_shelf_is_mounted_where_models_lie(
    engine: FakeEngine, place: Path, tiny_source: Path, run_zoo: Zoo,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    engine.answers(images=[RUNNER])
    shutil.copytree(tiny_source, place / "shelf" / "anything")
    monkeypatch.setenv("ZOO_MODELS", str(place / "shelf"))
    assert run_zoo("run", "tiny", "my.h5ad", "--docker").code == 0
    assert ("/models/tiny", True) in binds(engine.asked("run")[0])


def test_a_runner_does_for_every_model(engine: FakeEngine, place: Path, run_zoo: Zoo) -> None:
    engine.answers(images=[RUNNER])
    ran = run_zoo("run", "tiny", "my.h5ad", "--docker")
    assert ran.code == 0
    assert f"No image '{MODEL}' is here: '{RUNNER}' gets the model mounted." in ran.err
    (words,) = engine.asked("run")
    (mount,) = [value for value in after(words, "--mount") if "dst=/models/tiny" in value]
    folder = Path(mount.split(",")[1].removeprefix("src="))
    assert sorted(path.name for path in folder.iterdir()) == [
        *("README.md", "genes.tsv", "labels.tsv", "manifest.json", "model.onnx")
    ]
    assert run_zoo("cache", "verify").code == 0
    (folder / "genes.tsv").write_text("changed")
    assert run_zoo("run", "tiny", "my.h5ad", "--docker").code == 0
    assert (folder / "genes.tsv").read_text() != "changed"


def test_gpus_take_the_image_for_gpus(engine: FakeEngine, place: Path, run_zoo: Zoo) -> None:
    gpu = f"cellzoo/runner-gpu:{__version__}"
    engine.answers(images=[gpu, MODEL])
    assert run_zoo("run", "tiny", "my.h5ad", "--docker", "--gpus", "all").code == 0
    (words,) = engine.asked("run")
    assert gpu in words
    assert after(words, "--gpus") == ["all"]
    assert ("/models/tiny", True) in binds(words)


def test_no_image(engine: FakeEngine, place: Path, run_zoo: Zoo) -> None:
    engine.answers()
    ran = run_zoo("run", "tiny", "my.h5ad", "-o", "new/x.csv", "--docker")
    assert ran.code == 6
    assert ran.err.splitlines() == [
        f"Error: docker has no image '{MODEL}'.",
        "Make it with 'zoo image build tiny@1.0.0', load a bundle that holds it ('zoo bundle load "
        "FILE'), or let ZOO_IMAGES name a registry.",
    ]
    assert engine.asked("run") == engine.asked("build") == []
    assert not (place / "new").exists()


def test_an_image_from_a_registry(
    engine: FakeEngine, place: Path, run_zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.answers()
    monkeypatch.setenv("ZOO_IMAGES", "oci://registry.example.org/cellzoo/")
    assert run_zoo("run", "tiny", "my.h5ad", "--docker").code == 0
    origin = "registry.example.org/cellzoo/tiny:1.0.0"
    assert engine.asked("pull") == [["pull", "--quiet", origin]]
    assert engine.asked("tag") == [["tag", origin, MODEL]]


def test_offline_pulls_no_image(
    engine: FakeEngine, place: Path, run_zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.answers()
    monkeypatch.setenv("ZOO_IMAGES", "registry.example.org/cellzoo")
    ran = run_zoo("run", "tiny", "my.h5ad", "--docker", "--offline")
    assert (ran.code, engine.asked("pull")) == (6, [])
    assert "--offline forbids fetching it from registry.example.org/cellzoo" in ran.err


def test_a_registry_that_does_not_answer(
    engine: FakeEngine, place: Path, run_zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.answers(pull=[1, "", "dial tcp: connection refused\n"])
    monkeypatch.setenv("ZOO_IMAGES", "registry.example.org/cellzoo")
    ran = run_zoo("run", "tiny", "my.h5ad", "--docker")
    assert ran.code == 6
    assert "cannot be taken from registry.example.org/cellzoo/tiny:1.0.0: dial tcp" in ran.err


def test_an_image_of_another_model(engine: FakeEngine, place: Path, run_zoo: Zoo) -> None:
    engine.answers(labels={MODEL: "f" * 64})
    ran = run_zoo("run", "tiny", "my.h5ad", "--docker")
    assert (ran.code, engine.asked("run")) == (5, [])
    assert f"'{MODEL}' holds the model ffffffffffff… where the registry says" in ran.err
    assert "zoo image build tiny@1.0.0" in ran.err


# -- failures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1, 3, 4, 5, 6, 7, 8, 130])
def test_exit_codes_are_passed_on(code: int, engine: FakeEngine, place: Path, run_zoo: Zoo) -> None:
    engine.answers(images=[MODEL], run=[code, "", "Error: said inside\n"])
    ran = run_zoo("run", "tiny", "my.h5ad", "--docker")
    assert (ran.code, ran.err) == (code, "Error: said inside\n")
    (words,) = engine.asked("run")
    assert engine.asked("rm") == [["rm", "--force", "--volumes", after(words, "--name")[0]]]


def test_words_that_are_wrong_need_no_engine(
    checkout: Checkout, place: Path, run_zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert run_zoo("run", "tinny", "my.h5ad", "--docker").code == 4
    assert run_zoo("run", "tiny", "absent.h5ad", "--docker").code == 3
    assert run_zoo("run", "tiny", "/etc/hostname", "--docker").code == 2
    assert run_zoo("run", "tiny", "my.h5ad", "--docker", "--memory", "much").code == 2
    ran = run_zoo("run", "tiny", "my.h5ad", "--gpus", "all")
    assert (ran.code, "--gpus is for --docker" in ran.err) == (2, True)


def test_no_engine(
    checkout: Checkout, place: Path, run_zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    ran = run_zoo("run", "tiny", "my.h5ad", "--docker")
    assert ran.code == 6
    assert "There is no 'docker' on the PATH." in ran.err


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("Cannot connect to the Docker daemon. Is the docker daemon running?", "systemctl start"),
        ("Got permission denied while trying to connect", "usermod -aG docker"),
    ],
)
def test_an_engine_that_does_not_answer(
    said: str, hint: str, engine: FakeEngine, place: Path, run_zoo: Zoo
) -> None:
    engine.answers(version=[1, "", f"{said}\n"])
    ran = run_zoo("run", "tiny", "my.h5ad", "--docker")
    assert ran.code == 6
    assert f"'docker' does not answer: {said.rstrip('.')}." in ran.err
    assert hint in ran.err


def test_a_container_that_does_not_start(engine: FakeEngine, place: Path, run_zoo: Zoo) -> None:
    said = "docker: Error response from daemon: could not select device driver.\nSee --help.\n"
    engine.answers(images=[MODEL], run=[125, "", said])
    ran = run_zoo("run", "tiny", "my.h5ad", "-o", "new/x.csv", "--docker")
    assert ran.code == 6
    assert "docker could not start the container (exit 125): docker: Error response" in ran.err
    assert "nvidia-container-toolkit" in ran.err
    assert len(engine.asked("rm")) == 1
    assert not (place / "new").exists()


def test_a_container_that_was_killed(engine: FakeEngine, place: Path, run_zoo: Zoo) -> None:
    engine.answers(images=[MODEL], run=[137, "", ""])
    ran = run_zoo("run", "tiny", "my.h5ad", "--docker", "--memory", "64m", "--json")
    assert ran.json["error"] == "ContainerKilled"
    assert "more than 64m of memory" in ran.json["message"]
    assert ran.code == 6


def test_docker_without_root(engine: FakeEngine, place: Path, run_zoo: Zoo) -> None:
    engine.answers(images=[MODEL], info=[0, "[name=seccomp name=rootless]", ""])
    assert run_zoo("run", "tiny", "my.h5ad", "--docker").code == 0
    (words,) = engine.asked("run")
    assert after(words, "--user") == ["0:0"]
    assert "--group-add" not in words


def test_podman(engine: FakeEngine, place: Path, run_zoo: Zoo) -> None:
    assert run_zoo("run", "tiny", "my.h5ad", "--docker", "--engine", "podman").code == 0
    assert "label=disable" in engine.asked("run")[0]


def test_apptainer_names_the_conversion(
    checkout: Checkout, place: Path, run_zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = install(tmp_path / "bin", ("apptainer",), monkeypatch)
    sif = tmp_path / "cache" / "sif" / "tiny_1.0.0.sif"
    ran = run_zoo("run", "tiny", "my.h5ad", "--docker", "--engine", "apptainer")
    assert ran.code == 6
    assert f"apptainer build {sif} docker-daemon:{MODEL}" in ran.err
    sif.parent.mkdir(parents=True)
    sif.touch()
    engine.answers(exec=[0, "done\n", ""])
    ran = run_zoo("run", "tiny", "my.h5ad", "--docker", "--engine", "apptainer")
    assert (ran.code, ran.out) == (0, "done\n")


def test_a_changed_version_has_an_image_of_its_own(
    engine: FakeEngine, checkout: Checkout, place: Path, run_zoo: Zoo
) -> None:
    write_manifest(checkout.root / "cards" / "tiny")
    ran = run_zoo("run", "tiny@1.0.0", "my.h5ad", "--docker", "--dry-run")
    assert f"zoo {MODEL} run -- tiny@1.0.0 my.h5ad" in ran.out
