"""`zoo run --docker` against a real engine: it does what the bare run does, and leaves nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from spoken import docker, has_image, zoo

from zoo.version import __version__

pytestmark = pytest.mark.docker

CARDS = Path(__file__).parents[2] / "cards"
MODEL = "pbmc-celltype"
# What differs between any two runs, and where the model was taken from.
OF_THE_RUN = {"uns/cellzoo/date", "uns/cellzoo/seconds", "uns/cellzoo/origin"}
SOMEONE = 12345


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the sample of a model."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    zoo("example", MODEL, "-o", "my.h5ad")
    return folder


def content(path: Path) -> dict[str, Any]:
    """Everything in a result but what differs between any two runs."""
    found: dict[str, Any] = {}

    def keep(name: str, node: Any) -> None:
        if name not in OF_THE_RUN:
            attributes = {key: np.asarray(value).tolist() for key, value in node.attrs.items()}
            values = np.asarray(node[()]) if isinstance(node, h5py.Dataset) else None
            stored = values.tolist() if values is not None and values.dtype == object else values
            found[name] = (getattr(stored, "tobytes", lambda s=stored: s)(), attributes)

    with h5py.File(path) as file:
        file.visititems(keep)
    return found


def ours() -> list[str]:
    """Names of the containers of runs, running or not."""
    return docker("ps", "-a", "--filter", "name=zoo-run-", "--format", "{{.Names}}").stdout.split()


# -- the same answer -----------------------------------------------------------------------------


def test_the_same_bytes_as_the_bare_run(place: Path, model_image: Callable[[str], str]) -> None:
    model_image(MODEL)
    words = ("run", MODEL, "my.h5ad", "--outputs", "prob,conformal_p", "--full-digest")
    bare = zoo(*words, "-o", "bare/a.h5ad", "-o", "bare/a.csv", check=False)
    assert bare.returncode == 8, "the bare run makes no folders"
    (place / "bare").mkdir()
    bare = zoo(*words, "-o", "bare/a.h5ad", "-o", "bare/a.csv", "--into", "bare/copy.h5ad")
    inside = zoo(*words, "-o", "inside/a.h5ad", "-o", "inside/a.csv", "--into", "inside/copy.h5ad",
                 "--docker")  # fmt: skip
    assert inside.stderr == bare.stderr
    assert without_seconds(inside.stdout) == without_seconds(
        bare.stdout.replace("bare/", "inside/")
    )
    assert content(place / "inside" / "a.h5ad") == content(place / "bare" / "a.h5ad")
    tables = [(place / where / "a.csv").read_bytes() for where in ("inside", "bare")]
    assert tables[0] == tables[1]
    assert (place / "inside" / "copy.h5ad").stat().st_size > 0
    assert ours() == []


def without_seconds(text: str) -> str:
    return "\n".join(line.partition(" cells in ")[0] for line in text.splitlines())


def test_a_runner_gets_the_model_mounted(place: Path, runner_image: str) -> None:
    shutil.copytree(CARDS / "logistic-pbmc", place / "my-model")
    zoo("run", "./my-model", "my.h5ad", "-o", "bare.h5ad")
    zoo("run", "./my-model", "my.h5ad", "-o", "inside.h5ad", "--docker")
    assert content(place / "inside.h5ad") == content(place / "bare.h5ad")
    if not has_image("cellzoo/logistic-pbmc:1.0.0"):
        ran = zoo("run", "logistic-pbmc", "my.h5ad", "--docker", "-o", "named.h5ad")
        assert f"'{runner_image}' gets the model mounted" in ran.stderr
        assert (place / "named.h5ad").stat().st_size > 0


def test_inputs_that_are_folders(place: Path, runner_image: str) -> None:
    import anndata
    import scipy.io

    data = anndata.read_h5ad(place / "my.h5ad")
    folder = place / "mtx"
    folder.mkdir()
    scipy.io.mmwrite(folder / "matrix.mtx", data.X.T.astype(int))
    (folder / "genes.tsv").write_text("".join(f"{name}\t{name}\n" for name in data.var_names))
    (folder / "barcodes.tsv").write_text("".join(f"{name}\n" for name in data.obs_names))
    for word, output in (("mtx", "x.csv"), ("mtx/matrix.mtx", "y.csv"), ("mtx", "mtx/z.csv")):
        zoo("run", "logistic-pbmc", word, "-o", f"bare-{Path(output).name}")
        zoo("run", "logistic-pbmc", word, "-o", output, "--docker")
        assert (place / output).read_bytes() == (place / f"bare-{Path(output).name}").read_bytes()
    assert (folder / "matrix.mtx").stat().st_size > 0


# -- the same failures ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("no-such-model", "my.h5ad"), 4),
        ((MODEL, "absent.h5ad"), 3),
        ((MODEL, "text.h5ad"), 3),
        ((MODEL, "my.h5ad", "-o", "my.h5ad", "--overwrite"), 8),
        ((MODEL, "my.h5ad", "-o", "there.h5ad"), 8),
        ((MODEL, "my.h5ad", "-o", "x.h5ad", "--outputs", "imputed"), 2),
        ((MODEL, "my.h5ad", "-o", "x.h5ad", "--groups", "no-such-column"), 3),
        ((MODEL, "few-genes.h5ad", "-o", "x.h5ad"), 7),
        (("./broken", "my.h5ad", "-o", "x.h5ad"), 5),
    ],
)
def test_exit_codes_and_texts(
    words: tuple[str, ...], code: int, place: Path, runner_image: str
) -> None:
    import anndata

    (place / "text.h5ad").write_text("no HDF5")
    (place / "there.h5ad").write_text("kept")
    data = anndata.read_h5ad(place / "my.h5ad")
    data[:, :400].copy().write_h5ad(place / "few-genes.h5ad")
    broken = shutil.copytree(
        Path(__file__).parents[2] / "cards" / "logistic-pbmc", place / "broken"
    )
    (broken / "genes.tsv").write_text("symbol\n")
    before = sorted(place.rglob("*"))
    bare = zoo("run", *words, check=False)
    inside = zoo("run", *words, "--docker", check=False)
    said = [line for line in inside.stderr.splitlines() if "gets the model mounted" not in line]
    assert (inside.returncode, "\n".join(said)) == (code, bare.stderr.rstrip())
    assert bare.returncode == code
    assert sorted(place.rglob("*")) == before
    assert ours() == []


def test_no_image_is_told_and_none_is_built(place: Path, engine: str) -> None:
    name = f"cellzoo/runner-gpu:{__version__}"
    if has_image(name):
        pytest.skip(f"{name} is here")
    ran = zoo("run", MODEL, "my.h5ad", "--docker", "--gpus", "all", check=False)
    assert ran.returncode == 6
    assert f"Error: docker has no image '{name}'." in ran.stderr
    assert "Make it with 'zoo image build runner-gpu'" in ran.stderr
    assert not has_image(name)


def test_too_little_memory(place: Path, runner_image: str) -> None:
    ran = zoo(
        "run", MODEL, "my.h5ad", "-o", "new/x.h5ad", "--docker", "--memory", "32m", check=False
    )
    assert ran.returncode == 6
    assert "more than 32m of memory. Nothing was written." in ran.stderr
    assert [path.name for path in place.iterdir()] == ["my.h5ad"]
    assert ours() == []


def test_a_container_that_cannot_start_does_not_stay(
    place: Path, runner_image: str, remove_later: Callable[[str], None]
) -> None:
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("a GPU is here")
    gpu = f"cellzoo/runner-gpu:{__version__}"
    remove_later(gpu)
    if not has_image(gpu):
        docker("tag", runner_image, gpu)
    ran = zoo("run", MODEL, "my.h5ad", "--docker", "--gpus", "all", check=False)
    docker("rmi", gpu)
    assert ran.returncode == 6
    assert "could not start the container (exit 125)" in ran.stderr
    assert "nvidia-container-toolkit" in ran.stderr
    assert ours() == []


def test_an_engine_that_is_not_there(
    place: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    ran = zoo("run", MODEL, "my.h5ad", "--docker", check=False)
    assert ran.returncode == 6
    assert "'docker' does not answer" in ran.stderr


# -- who owns what, and what is left -------------------------------------------------------------


@pytest.fixture
def someones(place: Path, engine: str) -> Iterator[Path]:
    """A folder of a user without rights, who may use the engine."""
    folder = Path(tempfile.mkdtemp(prefix="zoo-docker-"))
    shutil.copy(place / "my.h5ad", folder)
    uid = SOMEONE if os.getuid() == 0 else os.getuid()
    for path in (folder, folder / "my.h5ad"):
        os.chown(path, uid, -1)
    yield folder
    shutil.rmtree(folder)


def test_results_are_the_callers(someones: Path, runner_image: str) -> None:
    socket = Path("/var/run/docker.sock")
    rights: dict[str, Any] = {}
    if os.getuid() == 0:
        if not _is_open_to_all(Path(sys.executable).resolve()):
            pytest.skip("no other user may read this Python")
        group = socket.stat().st_gid
        rights = {"user": SOMEONE, "group": SOMEONE, "extra_groups": [group]}
    environment = {**os.environ, "ZOO_CACHE": str(someones / "cache"), "HOME": str(someones)}
    ran = subprocess.run(
        [sys.executable, "-m", "zoo", "run", "logistic-pbmc", "my.h5ad", "--docker",
         "-o", "new/deep/a.h5ad", "-o", "b.csv"],
        cwd=someones, env=environment, capture_output=True, text=True, check=False, **rights,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    made = list(someones.rglob("*"))
    assert {path.name for path in made} >= {"new", "deep", "a.h5ad", "b.csv", "b.csv.json"}
    assert {path.lstat().st_uid for path in made} == {rights.get("user", os.getuid())}


def _is_open_to_all(path: Path) -> bool:
    return all(part.stat().st_mode & 0o005 == 0o005 for part in (path, *path.parents))


def test_the_container_writes_as_the_caller(
    someones: Path, runner_image: str, run_zoo: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same where this process may not become another user: only the container does."""
    if os.getuid() == 0:
        monkeypatch.setattr(os, "getuid", lambda: SOMEONE)
        monkeypatch.setattr(os, "getgid", lambda: SOMEONE)
        monkeypatch.setattr(os, "getgroups", lambda: [SOMEONE, SOMEONE + 1])
    monkeypatch.chdir(someones)
    ran = run_zoo("run", "logistic-pbmc", "my.h5ad", "--docker", "-o", "a.h5ad", "-o", "b.csv")
    assert ran.code == 0, ran.err
    for name in ("a.h5ad", "b.csv", "b.csv.json"):
        assert (someones / name).stat().st_uid == os.getuid()
    assert (someones / "a.h5ad").stat().st_gid == os.getgid()


def test_a_folder_that_the_caller_may_not_write_to(place: Path, runner_image: str) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a folder away")
    (place / "theirs").mkdir()
    os.chown(place / "theirs", SOMEONE, SOMEONE)
    ran = zoo("run", MODEL, "my.h5ad", "-o", "theirs/x.h5ad", "--docker", check=False)
    assert (ran.returncode, "Cannot write 'theirs/x.h5ad'" in ran.stderr) == (8, True)
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_removes_the_container(
    sent: signal.Signals, place: Path, runner_image: str
) -> None:
    import anndata

    sample = anndata.read_h5ad(place / "my.h5ad")
    many = anndata.concat([sample] * 100, index_unique="-")
    many.uns["organism"] = "Homo sapiens"
    many.write_h5ad(place / "my.h5ad")
    words = ("run", MODEL, "my.h5ad", "-o", "new/x.h5ad", "--docker", "--batch-size", "1",
             "--threads", "1")  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "zoo", *words], stderr=subprocess.PIPE, text=True
    )
    name = _when_it_writes(place / "new", process)
    host = "{{json .HostConfig}}"
    told = docker("inspect", "--format", host, name).stdout
    for setting in ('"ReadonlyRootfs":true', '"NetworkMode":"none"', '"CapDrop":["ALL"]',
                    '"PidsLimit":256', '"SecurityOpt":["no-new-privileges"]'):  # fmt: skip
        assert setting in told
    process.send_signal(sent)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == "Error: Interrupted; nothing was written."
    assert said.count("Interrupted") == 1
    assert [path.name for path in place.iterdir()] == ["my.h5ad"]
    assert ours() == []


def _when_it_writes(folder: Path, process: subprocess.Popen[str]) -> str:
    """The name of the container, once it has begun to write into a folder."""
    for _ in range(600):
        if process.poll() is not None:
            pytest.fail(f"it ended: {process.communicate()[1]}")
        if folder.is_dir() and any(folder.iterdir()):
            return ours()[0]
        time.sleep(0.1)
    raise AssertionError("it did not begin")


# -- air gap -------------------------------------------------------------------------------------


def test_a_bundle_in_a_container_without_network(place: Path, runner_image: str) -> None:
    zoo("bundle", MODEL, "-o", "model.zoo.tar")
    zoo("run", MODEL, "my.h5ad", "-o", "bare.h5ad", "--outputs", "prob")
    (place / "cache").mkdir()

    def inside(*words: str) -> str:
        return docker(
            "run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL",
            "--user", f"{os.getuid()}:{os.getgid()}", "--tmpfs", "/tmp", "--env",
            f"ZOO_CACHE={place}/cache", "--mount", f"type=bind,src={place},dst={place}",
            "--workdir", str(place), "--entrypoint", "zoo", runner_image, *words,
        ).stdout  # fmt: skip

    assert MODEL not in inside("list", "--json")
    assert "verified" in inside("bundle", "load", "model.zoo.tar")
    assert MODEL in inside("list", "--json")
    assert "Passed" in inside("test", MODEL)
    inside("run", MODEL, "my.h5ad", "-o", "inside.h5ad", "--outputs", "prob")
    assert content(place / "inside.h5ad") == content(place / "bare.h5ad")


def test_a_bundle_brings_its_image(place: Path, model_image: Callable[[str], str]) -> None:
    image = model_image(MODEL)
    there, kept = place / "there", f"{image}-kept"
    zoo("bundle", MODEL, "--image", "-o", "model.zoo.tar")
    docker("tag", image, kept)  # for the tests after this one, whatever becomes of it
    try:
        docker("rmi", image)
        zoo("bundle", "load", "model.zoo.tar", cache=there)
        assert not has_image(image)
        zoo("run", MODEL, "my.h5ad", "-o", "bare.h5ad")
        zoo("run", MODEL, "my.h5ad", "-o", "inside.h5ad", "--docker", "--offline", cache=there)
        assert has_image(image)
    finally:
        docker("tag", kept, image)
        docker("rmi", kept)
    assert content(place / "inside.h5ad") == content(place / "bare.h5ad")


# -- podman --------------------------------------------------------------------------------------


def test_podman_gives_the_same(
    place: Path, runner_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Podman raises these, for which a test's own container may not have the right.
    limits = '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]\n'
    (tmp_path / "containers.conf").write_text(limits)
    monkeypatch.setenv("CONTAINERS_CONF", str(tmp_path / "containers.conf"))
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed")
    docker("save", "--output", tmp_path / "runner.tar", runner_image)
    had = subprocess.run(["podman", "image", "exists", runner_image], check=False).returncode == 0
    loaded = ["podman", "load", "--quiet", "--input", str(tmp_path / "runner.tar")]
    subprocess.run(loaded, check=True, capture_output=True)
    zoo("run", "logistic-pbmc", "my.h5ad", "-o", "bare.h5ad")
    words = ("run", "logistic-pbmc", "my.h5ad", "-o", "inside.h5ad", "--docker")
    ran = zoo(*words, "--engine", "podman", check=False)
    if not had:
        subprocess.run(["podman", "rmi", runner_image], check=False, capture_output=True)
    if "could not start the container" in ran.stderr:
        pytest.skip(f"podman starts no container here: {ran.stderr.splitlines()[0]}")
    assert ran.returncode == 0, ran.stderr
    assert content(place / "inside.h5ad") == content(place / "bare.h5ad")
