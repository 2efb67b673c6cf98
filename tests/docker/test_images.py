"""The runner and models' images by a real engine: size, answers, refusals."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from spoken import Ran, docker, zoo

ROOT = Path(__file__).parents[2]
CARDS = ROOT / "cards"
MODELS = ("pbmc-celltype", "pancreas-celltype")
MOST_BYTES = 190_000_000
ME = f"{os.getuid()}:{os.getgid()}"
HARDENED = (
    "--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt",
    "no-new-privileges", "--tmpfs", "/tmp:rw,noexec,nosuid,nodev,size=256m", "--memory", "2g",
    "--memory-swap", "2g", "--pids-limit", "256",
)  # fmt: skip

pytestmark = pytest.mark.docker


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder with the samples of both models."""
    made = tmp_path / "data"
    made.mkdir()
    for name in MODELS:
        shutil.copyfile(CARDS / name / "sample.h5ad", made / f"{name}.h5ad")
    return made


def contained(image: str, *words: str, folder: Path | None = None, options: tuple[str, ...] = (),
              user: str = ME, access: str = "") -> Ran:  # fmt: skip
    """`docker run` as the docs say it, with what a test adds."""
    mount = ("-v", f"{folder}:/data{access}") if folder else ()
    who = ("--user", user) if user else ()
    return docker("run", "--rm", *who, *mount, *options, image, *words, check=False)


def refused(ran: Ran, code: int, *parts: str) -> None:
    assert ran.returncode == code, ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stderr.startswith("Error: ")
    assert len(ran.stderr.splitlines()) >= 2
    for part in parts:
        assert part in ran.stderr


# -- the runner ----------------------------------------------------------------------------------


def test_the_runner_is_small_and_says_what_it_is(runner_image: str) -> None:
    (told,) = json.loads(docker("image", "inspect", runner_image).stdout)
    assert told["Size"] <= MOST_BYTES
    config = told["Config"]
    assert config["Entrypoint"] == ["zoo"]
    assert config["User"] == "65532:65532"
    assert config["WorkingDir"] == "/data"
    assert {"ORT_DISABLE_TELEMETRY=1", "ZOO_MODELS=/models"} <= set(config["Env"])
    # How pip reached its index stays in the build stage.
    assert not [line for line in config["Env"] if line.startswith(("PIP_", "HTTP"))]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.title"] == "cellzoo/runner"
    assert labels["org.cellzoo.platforms"] == "linux/amd64,linux/arm64"
    assert "ca.pem" not in docker("history", "--no-trunc", runner_image).stdout


def test_every_module_imports_where_it_will_run(runner_image: str) -> None:
    ran = docker("run", "--rm", "--entrypoint", "python3", runner_image, "/opt/cellzoo/strip.py",
                 "imports")  # fmt: skip
    assert ran.stderr == ""


def test_nothing_heavy_is_inside(runner_image: str) -> None:
    code = (
        "import importlib.util as u; print([m for m in ('anndata', 'torch', 'pandas', 'scipy', "
        "'pip', 'converters') if u.find_spec(m)])"
    )
    ran = docker("run", "--rm", "--entrypoint", "python3", runner_image, "-c", code)
    assert ran.stdout == "[]\n"
    code = "import os; print(*{n[:6] for n in os.listdir('/opt/cellzoo/bin')} - {'python', 'zoo'})"
    ran = docker("run", "--rm", "--entrypoint", "python3", runner_image, "-c", code)
    assert ran.stdout == "\n"


def test_the_runner_has_the_registry_and_no_model(runner_image: str) -> None:
    assert contained(runner_image, "list", "--json").stdout == "[]\n"
    listed = contained(runner_image, "list", "--all", "--json")
    registry = json.loads((ROOT / "registry.json").read_text(encoding="utf-8"))
    assert [e["name"] for e in json.loads(listed.stdout)] == sorted(
        {e["name"] for e in registry["models"]}
    )
    assert json.loads(contained(runner_image, "search", "pancreas", "--json").stdout)
    refused(contained(runner_image, "run", MODELS[0], "x.h5ad"), 6, "came without its files")


def test_a_mounted_folder_of_models_is_used(runner_image: str, folder: Path) -> None:
    mounted = ("-v", f"{CARDS}:/models:ro")
    ran = contained(
        runner_image, "run", MODELS[0], f"{MODELS[0]}.h5ad", folder=folder, options=mounted
    )
    assert ran.returncode == 0, ran.stderr
    assert (folder / f"{MODELS[0]}.{MODELS[0]}.h5ad").stat().st_uid == os.getuid()


# -- models' images ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_hardened_and_bare_runs_agree_bit_for_bit(
    model_image: Callable[[str], str], folder: Path, tmp_path: Path, name: str
) -> None:
    ran = contained(
        model_image(name), f"{name}.h5ad", "--threads", "1", folder=folder, options=HARDENED
    )
    assert ran.returncode == 0, ran.stderr
    bare = tmp_path / "bare.h5ad"
    zoo("run", name, folder / f"{name}.h5ad", "-o", bare, "--threads", "1", "--offline",
        cache=tmp_path / "cache")  # fmt: skip
    result = folder / f"{name}.{name}.h5ad"
    assert same_results(result, bare) > 5
    assert result.stat().st_uid == os.getuid()


def same_results(one: Path, other: Path) -> int:
    """Compare every array of two results, but not what they tell of the run; returns how many."""
    import h5py
    import numpy as np

    compared = 0
    with h5py.File(one) as first, h5py.File(other) as second:
        names: list[str] = []
        first.visit(names.append)
        theirs: list[str] = []
        second.visit(theirs.append)
        assert names == theirs
        for name in names:
            if isinstance(first[name], h5py.Dataset) and not name.startswith("uns/"):
                mine, yours = first[name][()], second[name][()]
                assert np.asarray(mine).tobytes() == np.asarray(yours).tobytes() or (
                    np.asarray(mine).dtype == object and np.array_equal(mine, yours)
                ), name
                compared += 1
    return compared


def test_an_image_introduces_itself(model_image: Callable[[str], str]) -> None:
    image = model_image(MODELS[0])
    ran = contained(image, user="")
    assert ran.returncode == 0
    for part in ("pbmc-celltype@1.0.0", "Homo sapiens", '-v "$PWD:/data"', "my.h5ad"):
        assert part in ran.stdout
    assert contained(image, "--help").stdout == ran.stdout
    assert contained(image, "--version").stdout.startswith("zoo ")
    assert "--batch-size" in contained(image, "run", "--help").stdout
    listed = contained(image, "list", "--json").stdout
    assert [entry["name"] for entry in json.loads(listed)] == [MODELS[0]]
    assert contained(image, "test", MODELS[0]).returncode == 0


def test_bad_mounts(model_image: Callable[[str], str], folder: Path) -> None:
    image, file = model_image(MODELS[0]), f"{MODELS[0]}.h5ad"
    refused(contained(image, file), 3, "no folder of yours is mounted at '/data'", "docker run")
    refused(contained(image, str(folder / file), folder=folder), 3, "It holds: pancreas-celltype")
    refused(contained(image, file, folder=folder, access=":ro"), 8, "it is mounted read-only")
    folder.chmod(0o755)
    foreign = contained(image, file, folder=folder, user="4242:4242")
    refused(foreign, 8, "the container runs as user 4242", '--user "$(id -u):$(id -g)"')
    # A folder of root, and root without its rights.
    if os.getuid() == 0:
        refused(contained(image, file, folder=folder, user=""), 8, "belongs to user 0")
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{m}.h5ad" for m in MODELS)


def test_an_output_folder_that_is_not_there(
    model_image: Callable[[str], str], folder: Path
) -> None:
    file = f"{MODELS[0]}.h5ad"
    ran = contained(model_image(MODELS[0]), file, "-o", "missing/out.h5ad", folder=folder)
    refused(ran, 8, "missing/out.h5ad")


def test_too_little_memory_ends_the_run_and_leaves_nothing(
    model_image: Callable[[str], str], folder: Path
) -> None:
    little = ("--memory", "64m", "--memory-swap", "64m")
    ran = contained(model_image(MODELS[0]), f"{MODELS[0]}.h5ad", folder=folder, options=little)
    assert ran.returncode == 137
    results = folder / f"{MODELS[0]}.{MODELS[0]}.h5ad"
    assert not results.exists()


def test_no_network_is_needed_and_none_is_missed(model_image: Callable[[str], str]) -> None:
    offline = ("--network", "none")
    image = model_image(MODELS[0])
    assert contained(image, "info", MODELS[0], options=offline).returncode == 0
    refused(contained(image, "run", "no-such-model", "x.h5ad", options=offline), 4, "no-such-model")
    other = contained(image, "run", MODELS[1], "x.h5ad", options=offline)
    refused(other, 6, f"use the image cellzoo/{MODELS[1]}")


def test_a_damaged_model_layer_is_found(
    model_image: Callable[[str], str], folder: Path, tmp_path: Path
) -> None:
    image = model_image(MODELS[0])
    graph = (CARDS / MODELS[0] / "model.onnx").read_bytes()
    damaged = tmp_path / "model.onnx"
    damaged.write_bytes(graph[:-1] + bytes([graph[-1] ^ 1]))
    over = ("-v", f"{damaged}:/models/{MODELS[0]}/model.onnx:ro")
    ran = contained(image, f"{MODELS[0]}.h5ad", folder=folder, options=over)
    refused(ran, 5, "model.onnx", "is not the published file")
    damaged.write_bytes(graph[:1000])
    ran = contained(image, f"{MODELS[0]}.h5ad", folder=folder, options=over)
    refused(ran, 5, "has 1,000 bytes")


# -- archives ------------------------------------------------------------------------------------


def test_an_archive_is_the_same_each_time_and_loads(
    model_image: Callable[[str], str], runner_image: str, tmp_path: Path
) -> None:
    name = MODELS[1]
    base = tmp_path / "runner.tar"
    docker("save", "-o", base, runner_image)
    for out in ("one.tar", "two.tar"):
        zoo("image", "build", name, "--base-image", base, "-o", tmp_path / out,
            cache=tmp_path / "cache")  # fmt: skip
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as archive:
        (listed,) = json.loads(archive.extractfile("manifest.json").read())
    # Put together here, yet the very image that the engine already has.
    (told,) = json.loads(docker("image", "inspect", model_image(name)).stdout)
    assert told["Id"] == f"sha256:{listed['Config'].removesuffix('.json')}"
    assert "Loaded image" in docker("load", "-i", tmp_path / "one.tar").stdout


def test_a_damaged_archive_is_refused(runner_image: str, tmp_path: Path) -> None:
    base = tmp_path / "runner.tar"
    docker("save", "-o", base, runner_image)
    with base.open("r+b") as file:
        file.seek(base.stat().st_size // 2)
        file.write(b"damage" * 100)
    out = tmp_path / "out.tar"
    ran = zoo("image", "build", MODELS[0], "--base-image", base, "-o", out, check=False,
              cache=tmp_path / "cache")  # fmt: skip
    assert ran.returncode == 5
    assert "is damaged" in ran.stderr
    assert not out.exists()


# -- builders ------------------------------------------------------------------------------------


def test_buildkit_takes_the_same_file(
    runner_image: str, base_images: tuple[str, str], pins: Path, tmp_path: Path,
    remove_later: Callable[[str], None],
) -> None:  # fmt: skip
    """The other builder of the two; the fixture used whichever is the default here."""
    programs = [path for path in ("/usr/bin/docker", shutil.which("docker")) if path]
    program = next((path for path in programs if has_buildkit(path)), None)
    if program is None:
        pytest.skip("no docker program with BuildKit is here")
    tag = "cellzoo/runner-buildkit:test"
    remove_later(tag)
    environment = dict(os.environ) | {
        "DOCKER_BUILDKIT": "1",
        "PATH": f"{Path(program).parent}{os.pathsep}{os.environ['PATH']}",
    }
    ran = subprocess.run(
        [sys.executable, "-m", "zoo", "image", "build", "runner", "--tag", tag, "--base-image",
         base_images[0], "--runtime-image", base_images[1], "--constraints", pins],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert "buildkit" not in ran.stderr.lower() or "disabled" not in ran.stderr
    assert docker("run", "--rm", tag, "--version").stdout.startswith("zoo ")


def test_local_bases_and_wheels_are_enough(
    runner_image: str, base_images: tuple[str, str], pins: Path, tmp_path: Path,
    remove_later: Callable[[str], None],
) -> None:  # fmt: skip
    """Nothing is fetched: no index, no network in the build."""
    base, runtime = base_images
    code = "import sys; print(*sys.version_info[:2], sep='.')"
    version = docker("run", "--rm", base, "python3", "-c", code).stdout.strip()
    wheels, tag = tmp_path / "wheels", "cellzoo/runner-offline:test"
    needed = [line for line in pins.read_text().splitlines() if line]
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "-d", wheels, "--only-binary=:all:",
         "--python-version", version, *needed, "hatchling>=1.27"], check=True,
    )  # fmt: skip
    remove_later(tag)
    zoo("image", "build", "runner", "--tag", tag, "--base-image", base, "--runtime-image", runtime,
        "--offline", "--wheels", wheels, "--constraints", pins)  # fmt: skip
    assert docker("run", "--rm", tag, "--version").stdout.startswith("zoo ")


def has_buildkit(program: str) -> bool:
    """Whether a client speaks to BuildKit: built in before version 23, by a plugin since."""
    told = subprocess.run([program, "version", "--format", "{{.Client.Version}}"],
                          capture_output=True, text=True)  # fmt: skip
    plugin = subprocess.run([program, "buildx", "version"], capture_output=True, text=True)
    major = told.stdout.partition(".")[0]
    return plugin.returncode == 0 or (major.isdigit() and int(major) < 23)
