"""Images without an engine: build context, layer, archives, and a registry of this process."""

from __future__ import annotations

import ast
import gzip
import io
import json
import runpy
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_registry import FakeRegistry, fake_registry
from ran import Ran
from tiny_model import write_tiny_model

from zoo.checkout import Checkout
from zoo.digest import sha256_of
from zoo.errors import (
    DigestMismatch,
    FileMissing,
    InvalidImage,
    MountUnwritable,
    NoImageSources,
    OutputExists,
)
from zoo.imaging.build_context import PipNeeds, write_context
from zoo.imaging.image_archive import open_archive, write_archive
from zoo.imaging.layer import ModelLayer
from zoo.imaging.model_image import ModelImage
from zoo.pull import PulledModel, in_place

ROOT = Path(__file__).parents[1]
Zoo = Callable[..., Ran]
CERTIFICATES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


def tar_of(files: dict[str, bytes]) -> bytes:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return memory.getvalue()


def runner_config(*layers: bytes) -> bytes:
    return json.dumps(
        {
            "architecture": "arm64",
            "os": "linux",
            "created": "2026-01-01T00:00:00Z",
            "config": {
                "Entrypoint": ["zoo"],
                "Env": ["ZOO_MODELS=/models", "ZOO_MODEL=another"],
                "Labels": {"org.cellzoo.platforms": "linux/amd64,linux/arm64"},
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256_of(t)}" for t in layers]},
            "history": [{"created_by": "base"}],
        }
    ).encode()


@pytest.fixture
def runner_archive(tmp_path: Path) -> Path:
    """An archive as `docker save` writes it, of a runner with two layers."""
    layers = [tar_of({"etc/passwd": b"root"}), tar_of({"opt/zoo": b"#!" * 5000})]
    config = runner_config(*layers)
    listed = [{"Config": "c.json", "RepoTags": ["r:1"], "Layers": ["0/layer.tar", "1/layer.tar"]}]
    path = tmp_path / "runner.tar"
    path.write_bytes(
        tar_of(
            {
                "0/layer.tar": layers[0],
                "1/layer.tar": layers[1],
                "c.json": config,
                "manifest.json": json.dumps(listed).encode(),
            }
        )
    )
    return path


@pytest.fixture
def tiny(tiny_hub: Path) -> PulledModel:
    return in_place(tiny_hub)


def image_of(archive: Path, model: PulledModel) -> ModelImage:
    layer = ModelLayer.of(model)
    return ModelImage.on(open_archive(archive), layer, model.manifest, model.digest)


# -- the build -----------------------------------------------------------------------------------


def imported_at_once(module: Path) -> set[str]:
    """Packages that a module needs to be imported itself."""
    nodes = list(ast.parse(module.read_bytes()).body)
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names}


def test_the_build_knows_what_the_runner_lacks() -> None:
    """Else a module with an import of an extra would be found by the build of an image alone."""
    step = runpy.run_path(str(ROOT / "containers" / "strip.py"))
    known = {*step["PACKAGES"], *step["NOT_HERE"], *sys.stdlib_module_names}
    for module in (ROOT / "zoo").rglob("*.py"):
        assert imported_at_once(module) <= known, module


# -- the layer -----------------------------------------------------------------------------------


def test_a_layer_is_the_same_bytes_each_time(tiny: PulledModel, tiny_hub: Path) -> None:
    layer = ModelLayer.of(tiny)
    (tiny_hub / "genes.tsv").touch()
    again = ModelLayer.of(in_place(tiny_hub))
    assert layer == again
    assert gzip.decompress(layer.compressed) == layer.tar
    with tarfile.open(fileobj=io.BytesIO(layer.tar)) as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == [
        "models/tiny", "models/tiny/README.md", "models/tiny/genes.tsv", "models/tiny/labels.tsv",
        "models/tiny/manifest.json", "models/tiny/model.onnx",
    ]  # fmt: skip
    assert {(m.uid, m.gid, m.mtime) for m in members} == {(0, 0, 0)}
    assert {m.mode for m in members if m.isfile()} == {0o444}


def test_a_damaged_model_gets_no_layer(tiny: PulledModel, tiny_hub: Path) -> None:
    graph = tiny_hub / "model.onnx"
    content = graph.read_bytes()
    graph.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DigestMismatch):
        ModelLayer.of(tiny)


def test_a_manifest_keeps_the_bytes_that_another_version_of_cellzoo_wrote(tiny_hub: Path) -> None:
    path = tiny_hub / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()), indent=7), encoding="utf-8")
    model = in_place(tiny_hub)
    with tarfile.open(fileobj=io.BytesIO(ModelLayer.of(model).tar)) as archive:
        stream = archive.extractfile("models/tiny/manifest.json")
        assert stream is not None
        assert sha256_of(stream.read()) == model.digest


# -- the config ----------------------------------------------------------------------------------


def test_the_config_names_the_model(runner_archive: Path, tiny: PulledModel) -> None:
    image = image_of(runner_archive, tiny)
    config: dict[str, Any] = json.loads(image.config)
    assert config["config"]["Env"] == ["ZOO_MODELS=/models", "ZOO_MODEL=tiny"]
    labels = config["config"]["Labels"]
    assert labels["org.cellzoo.platforms"] == "linux/amd64,linux/arm64"
    assert labels["org.opencontainers.image.version"] == "1.0.0"
    assert tiny.digest in labels.values()
    assert config["architecture"] == "arm64"
    assert len(config["rootfs"]["diff_ids"]) == len(image.base.layers) + 1
    assert len(config["history"]) == 2
    assert image_of(runner_archive, tiny).config_digest == image.config_digest


# -- archives ------------------------------------------------------------------------------------


def test_an_archive_is_written_and_can_be_a_base(
    runner_archive: Path, tiny: PulledModel, tmp_path: Path
) -> None:
    image, out = image_of(runner_archive, tiny), tmp_path / "out.tar"
    write_archive(image, out, ["cellzoo/tiny:1.0.0", "cellzoo/tiny:latest"])
    again = open_archive(out)
    assert again.config == json.loads(image.config)
    for layer in again.layers:
        with layer.open() as stream:
            assert f"sha256:{sha256_of(stream.read())}" == layer.diff_id
    with tarfile.open(out) as archive:
        listed = json.loads(archive.extractfile("manifest.json").read())
    assert listed[0]["RepoTags"] == ["cellzoo/tiny:1.0.0", "cellzoo/tiny:latest"]
    with pytest.raises(OutputExists):
        write_archive(image, out, ["x"])


def test_a_damaged_base_leaves_nothing(
    runner_archive: Path, tiny: PulledModel, tmp_path: Path
) -> None:
    content = runner_archive.read_bytes()
    runner_archive.write_bytes(content.replace(b"#!#!#!", b"#!#!!#", 1))
    out = tmp_path / "out.tar"
    with pytest.raises(InvalidImage, match="is damaged"):
        write_archive(image_of(runner_archive, tiny), out, ["x"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hub", "runner.tar"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "no archive of one image"),
        ({"manifest.json": b"[]"}, "it holds 0 images"),
        ({"manifest.json": b"[{}, {}]"}, "it holds 2 images"),
        ({"manifest.json": b"nonsense"}, "no archive of one image"),
        ({"manifest.json": b'[{"Config": "../../etc/passwd", "Layers": []}]'}, "no archive"),
        ({"manifest.json": b'[{"Config": "c", "Layers": []}]', "c": b"[]"}, "its config is not"),
        (
            {"manifest.json": b'[{"Config": "c", "Layers": []}]', "c": runner_config(b"a")},
            "0 layers and 1 diff_ids",
        ),
        (
            {
                "manifest.json": b'[{"Config": "c", "Layers": []}]',
                "c": b'{"config": {"Env": null}, "rootfs": {"diff_ids": []}}',
            },
            "it is no runner",
        ),
    ],
)
def test_archives_that_are_none(tmp_path: Path, files: dict[str, bytes], said: str) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(tar_of(files))
    with pytest.raises(InvalidImage, match=said):
        open_archive(path)


def test_a_file_that_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"\x1f\x8b" + bytes(600))
    with pytest.raises(InvalidImage):
        open_archive(tmp_path / "x.tar")
    with pytest.raises(FileMissing):
        open_archive(tmp_path / "none.tar")


# -- the command, and a registry -----------------------------------------------------------------


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRegistry]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    with fake_registry() as served:
        yield served


def test_pushed_on_an_archive_and_then_on_the_registry(
    checkout: Checkout, runner_archive: Path, fake: FakeRegistry, run_zoo: Zoo, tmp_path: Path
) -> None:
    uri = f"oci://{fake.host}/some/models"
    words = ("image", "build", "tiny", "--json", "--push", f"{uri}:1.0.0")
    first = run_zoo(*words, "--base-image", runner_archive).json
    assert first["uploaded"] > first["added"] > 0
    media, content = fake.manifests["1.0.0"]
    manifest = json.loads(content)
    assert media == manifest["mediaType"]
    assert len(manifest["layers"]) == 3
    assert all(layer["digest"] in fake.blobs for layer in manifest["layers"])
    # What was pushed is an image like any other: the next model may lie on top of it.
    write_tiny_model(checkout.root / "cards" / "other", name="other")
    checkout.build()
    again = run_zoo("image", "build", "other", "--json", "--push", f"{uri}:2",
                    "--base-image", f"{uri}:1.0.0").json  # fmt: skip
    assert again["uploaded"] < again["added"] + 3000
    out = tmp_path / "image.tar"
    told = run_zoo("image", "build", "tiny", "--base-image", f"{uri}:1.0.0", "-o", out)
    assert "cellzoo/tiny:1.0.0 is in" in told.out
    with tarfile.open(out) as archive:
        assert len(archive.getnames()) == 6


def test_a_tampered_layer_of_a_registry_is_refused(
    checkout: Checkout, runner_archive: Path, fake: FakeRegistry, run_zoo: Zoo, tmp_path: Path
) -> None:
    uri = f"oci://{fake.host}/some/models:1.0.0"
    run_zoo("image", "build", "tiny", "--push", uri, "--base-image", runner_archive)
    layer = json.loads(fake.manifests["1.0.0"][1])["layers"][0]["digest"]
    fake.blobs[layer] = bytes(len(fake.blobs[layer]))
    out = tmp_path / "image.tar"
    ran = run_zoo("image", "build", "tiny", "--base-image", uri, "-o", out)
    assert ran.code == 5
    assert "is not the published file" in ran.err
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("tiny", "--push", "registry/x"), 2, "is not a place in an OCI registry"),
        (("tiny", "--push", "oci://h/x", "-o", "x.tar"), 2, "both say where"),
        (("runner", "-o", "x.tar"), 2, "'docker save' writes 'runner'"),
        (("tiny", "--wheels", "."), 2, "are for the runner"),
        (("tinny", "-o", "x.tar"), 4, "Did you mean 'tiny'"),
        (("tiny", "--base-image", "oci://127.0.0.1:1/r", "--push", "oci://127.0.0.1:1/x"), 6,
         "Connection refused"),
    ],
)  # fmt: skip
def test_refusals(
    checkout: Checkout, run_zoo: Zoo, words: tuple[str, ...], code: int, said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr("zoo.hubs.exchange.Exchange.__init__.__kwdefaults__",
                        {"timeout": 5.0, "attempts": 2, "pause": lambda _: None})  # fmt: skip
    ran = run_zoo("image", "build", *words)
    assert ran.code == code
    assert said in ran.err


def test_the_command_of_a_sif(checkout: Checkout, run_zoo: Zoo, tmp_path: Path) -> None:
    told = run_zoo("image", "sif", "tiny", "-o", "my.sif", "--dry-run").out
    assert told == "apptainer build my.sif docker-daemon:cellzoo/tiny:1.0.0\n"
    told = run_zoo("image", "sif", "tiny", "--from", "a b.tar", "-o", "my.sif", "--dry-run").out
    assert told == "apptainer build my.sif 'docker-archive:a b.tar'\n"
    (tmp_path / "there.sif").touch()
    assert run_zoo("image", "sif", "tiny", "-o", tmp_path / "there.sif").code == 8


# -- the build context ---------------------------------------------------------------------------


def test_the_context_of_a_checkout_has_no_model(tmp_path: Path) -> None:
    write_context(tmp_path, PipNeeds())
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"containers", "zoo", "converters", "registry.json", "pyproject.toml",
                     "hatch_build.py", "README.md", "LICENSE"}  # fmt: skip
    assert not list(tmp_path.rglob("*.onnx"))
    assert (tmp_path / "containers" / "runner.Dockerfile").is_file()


def test_pip_needs(tmp_path: Path) -> None:
    bundle, pins, wheels = tmp_path / "ca.pem", tmp_path / "pins", tmp_path / "wheels"
    bundle.write_text("CA")
    pins.write_text("numpy==2")
    wheels.mkdir()
    environ = {
        "PIP_CERT": str(bundle),
        "PIP_INDEX_URL": "https://index.example/simple",
        "PIP_EXTRA_INDEX_URL": "file:///here",
    }
    needs = PipNeeds.read(environ, constraints=pins, wheels=wheels, offline=True)
    assert needs.build_args() == {
        "PIP_INDEX_URL": "https://index.example/simple",
        "PIP_CERT": "/source/with/ca.pem",
        "PIP_FIND_LINKS": "/source/with/wheels",
        "PIP_NO_INDEX": "1",
    }
    context = tmp_path / "context"
    context.mkdir()
    write_context(context, needs)
    given = {path.name for path in (context / "containers" / "with").iterdir()}
    assert given == {"README.md", "ca.pem", "constraints.txt", "wheels"}
    with pytest.raises(FileMissing):
        PipNeeds.read({}, wheels=tmp_path / "none")


def test_an_installation_without_sources(tmp_path: Path) -> None:
    package = tmp_path / "site" / "zoo"
    package.mkdir(parents=True)
    with pytest.raises(NoImageSources, match="containers"):
        write_context(tmp_path / "context", PipNeeds(), package=package)


# -- inside an image -----------------------------------------------------------------------------


def test_words_in_an_image() -> None:
    from zoo.cli.model_image import words_in_image

    commands, inside = {"run", "list"}, {"ZOO_MODEL": "tiny"}
    for words, taken in (
        ([], ["in-image", "tiny"]),
        (["--help"], ["in-image", "tiny"]),
        (["--version"], ["--version"]),
        (["list", "--all"], ["list", "--all"]),
        (["my.h5ad", "--force"], ["in-image", "tiny", "my.h5ad", "--force"]),
        (["--force", "my.h5ad"], ["in-image", "tiny", "--force", "my.h5ad"]),
    ):
        assert words_in_image(words, commands, inside) == taken
        assert words_in_image(words, commands, {}) == words


def test_the_image_of_a_model_runs_it(
    checkout: Checkout, run_zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "tiny@1.0.0" in run_zoo("in-image", "tiny").out
    ran = run_zoo("in-image", "tiny", "none.h5ad")
    assert ran.code == 3
    assert "no folder of yours is mounted" in ran.err
    monkeypatch.setattr("pathlib.Path.is_mount", lambda self: True)
    (tmp_path / "there.h5ad").write_bytes(b"no HDF5")
    ran = run_zoo("in-image", "tiny", "none.h5ad")
    assert "It holds: checkout, there.h5ad" in ran.err
    assert run_zoo("in-image", "tiny", "there.h5ad", "--threads", "x").code == 2
    monkeypatch.setattr("zoo.imaging.mount._unwritable", lambda folder: "as the test wants")
    ran = run_zoo("in-image", "tiny", "there.h5ad", "-o", "out.h5ad")
    assert ran.code == MountUnwritable.exit_code
    assert "as the test wants" in ran.err


def test_what_an_installation_without_models_lists(checkout: Checkout, run_zoo: Zoo) -> None:
    import shutil

    assert [entry["name"] for entry in run_zoo("list", "--json").json] == ["tiny"]
    shutil.rmtree(checkout.root / "cards")
    listed = run_zoo("list")
    assert listed.code == 0
    assert "The registry knows 1 more" in listed.err
    assert [entry["name"] for entry in run_zoo("list", "--all", "--json").json] == ["tiny"]
    assert run_zoo("search", "tiny").code == 0
    ran = run_zoo("info", "tiny")
    assert ran.code == 6
    assert "came without its files" in ran.err


# -- the Dockerfiles -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["runner", "runner-gpu", "trainer"])
def test_a_dockerfile_suits_both_builders_and_any_base(name: str) -> None:
    text = (ROOT / "containers" / f"{name}.Dockerfile").read_text(encoding="utf-8")
    for newer in ("# syntax=", "RUN --mount", "<<", "COPY --link", "COPY --chmod"):
        assert newer not in text, "the classic builder has no such thing"
    build, final = text.split("FROM ${RUNTIME_IMAGE}")
    assert "ARG PIP_CERT" in build
    assert "PIP_" not in final, "how pip reaches packages stays in the build stage"
    runs = [line for line in final.splitlines() if line.startswith("RUN ")]
    assert all(line.startswith("RUN [") for line in runs), "the runtime base may lack a shell"
    assert "USER 65532:65532" in final
    assert final.rstrip().endswith('ENTRYPOINT ["zoo"]')


def test_the_gpu_set_is_pinned_together() -> None:
    lines = (ROOT / "containers" / "gpu.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(line.count("==") == 1 for line in pins)
    assert sum(line.startswith("onnxruntime") for line in pins) == 1
