"""Images pushed to a real registry: a second model costs its own layer and no more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from registry_server import ServedRegistry
from spoken import docker, has_image, zoo

pytestmark = [pytest.mark.docker, pytest.mark.network_server]

MODELS = ("pbmc-celltype", "pancreas-celltype")


@pytest.fixture(scope="module")
def pushed(
    runner_image: str, oci_registry: ServedRegistry, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict]:
    """The runner pushed by the engine, and two models on top of it by us."""
    cache = tmp_path_factory.mktemp("cache")
    destination = f"{oci_registry.host}/cellzoo/{runner_image.removeprefix('cellzoo/')}"
    docker("tag", runner_image, destination)
    docker("push", destination)
    docker("rmi", destination)
    told = {}
    for name in MODELS:
        before = oci_registry.stored()
        uri = f"oci://{oci_registry.host}/cellzoo/{name}:1.0.0"
        made = zoo("image", "build", name, "--push", uri, "--json", cache=cache)
        told[name] = json.loads(made.stdout) | {"grown": oci_registry.stored() - before}
    return told


@pytest.mark.parametrize("name", MODELS)
def test_a_model_costs_its_own_layer(
    pushed: dict[str, dict], oci_registry: ServedRegistry, name: str
) -> None:
    told = pushed[name]
    text = 64_000  # config and manifest
    assert told["added"] <= told["uploaded"] <= told["added"] + text
    assert told["grown"] <= told["added"] + text
    assert told["mounted"] > 10 * told["added"]
    sent = oci_registry.requests(rf'"PUT /v2/cellzoo/{name}/blobs/uploads/.*" 201 ')
    assert len(sent) == 2, sent  # the layer and the config


def test_a_second_push_sends_nothing(
    pushed: dict[str, dict], oci_registry: ServedRegistry, tmp_path: Path
) -> None:
    name = MODELS[1]
    uri = f"oci://{oci_registry.host}/cellzoo/{name}:1.0.0"
    again = json.loads(
        zoo("image", "build", name, "--push", uri, "--json", cache=tmp_path / "cache").stdout
    )
    assert again["uploaded"] == 0
    assert again["digest"] == pushed[name]["digest"]


def test_what_was_pushed_can_be_pulled_and_run(
    pushed: dict[str, dict], oci_registry: ServedRegistry, tmp_path: Path
) -> None:
    name = MODELS[0]
    image = f"{oci_registry.host}/cellzoo/{name}:1.0.0"
    assert not has_image(image)
    docker("pull", image)
    try:
        assert docker("run", "--rm", "--network", "none", image, "test", name).returncode == 0
    finally:
        docker("rmi", image)


def test_a_runner_of_a_registry_becomes_an_archive(
    pushed: dict[str, dict], oci_registry: ServedRegistry, runner_image: str, tmp_path: Path
) -> None:
    base = f"oci://{oci_registry.host}/{runner_image}"
    out, tag = tmp_path / "image.tar", "cellzoo/from-registry:test"
    zoo("image", "build", MODELS[1], "--base-image", base, "-o", out, "--tag", tag,
        cache=tmp_path / "cache")  # fmt: skip
    docker("load", "-i", out)
    try:
        assert docker("run", "--rm", tag, "list", "--json").stdout.count('"name"') == 1
    finally:
        docker("rmi", tag)


def test_a_runner_of_an_archive_is_pushed_with_its_layers(
    runner_image: str, oci_registry: ServedRegistry, tmp_path: Path
) -> None:
    base = tmp_path / "runner.tar"
    docker("save", "-o", base, runner_image)
    uri = f"oci://{oci_registry.host}/elsewhere/{MODELS[1]}:1.0.0"
    words = ("image", "build", MODELS[1], "--base-image", base, "--push", uri, "--json")
    first = json.loads(zoo(*words, cache=tmp_path / "cache").stdout)
    assert first["uploaded"] > 10 * first["added"]
    assert json.loads(zoo(*words, cache=tmp_path / "cache").stdout)["uploaded"] == 0


def test_a_missing_runner_is_said(oci_registry: ServedRegistry, tmp_path: Path) -> None:
    uri = f"oci://{oci_registry.host}/nothing/{MODELS[0]}:1.0.0"
    ran = zoo("image", "build", MODELS[0], "--push", uri, check=False, cache=tmp_path / "cache")
    assert ran.returncode == 6
    assert f"zoo image build runner --push oci://{oci_registry.host}/nothing/runner" in ran.stderr
