"""The same model to every kind of hub and back: byte for byte, and the same answers."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from complete_model import change_card, write_complete_model
from ran import Ran
from registry_server import served_registry
from tiny_model import write_manifest

from zoo.adoption import adopt
from zoo.cache import Cache
from zoo.contributing.publishing import publish
from zoo.digest import sha256_of
from zoo.errors import DigestMismatch, HubUnreachable, VersionPublished, ZooError
from zoo.hubs import hub_for
from zoo.settings import Settings

pytestmark = pytest.mark.network_server

Zoo = Callable[..., Ran]


# -- servers -------------------------------------------------------------------------------------


@contextmanager
def s3_server() -> Iterator[str]:
    """An S3-compatible server over a socket, with the bucket `models`."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        port = next(
            match.group(1)
            for line in process.stderr
            if (match := re.search(r"http://127\.0\.0\.1:(\d+)", line))
        )
        address = f"http://127.0.0.1:{port}"
        try:
            request = urllib.request.Request(f"{address}/models", method="PUT")
            urllib.request.urlopen(request, timeout=30).close()
            yield address
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    pytest.importorskip("s3fs")
    with s3_server() as address, pytest.MonkeyPatch.context() as patch:
        for key, value in {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            patch.setenv(key, value)
        yield "s3://models/zoo"


@pytest.fixture(scope="module")
def hugging_face() -> Iterator[str]:
    import huggingface_hub.constants
    from hugging_face_server import hugging_face_server

    with hugging_face_server() as (address, _), pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", "hf_test")
        patch.setattr(huggingface_hub.constants, "ENDPOINT", address)
        patch.setattr(
            huggingface_hub.constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            address + "/{repo_id}/resolve/{revision}/{filename}",
        )
        yield "hf://lab"


@pytest.fixture(scope="module")
def oci(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served_registry(tmp_path_factory.mktemp("registry")) as served:
        yield f"oci://{served.host}/lab"


@pytest.fixture(params=["folder", "s3", "hugging_face", "oci"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "folder")
    uri: str = request.getfixturevalue(request.param)
    return uri


# -- models --------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A model with a name of its own, since servers outlive a test."""
    digest = sha256_of(request.node.nodeid.encode())[:8]
    return write_complete_model(tmp_path / "model", name=f"tiny-{digest}")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache=tmp_path / "cache")


def name_of(folder: Path) -> str:
    from zoo.pull import in_place

    return in_place(folder).manifest.card.name


def test_there_and_back(folder: Path, place: str, settings: Settings) -> None:
    done = publish(folder, place)
    pulled = adopt(name_of(folder), place, settings)
    assert pulled.digest == done.entry.digest
    assert pulled.origin == done.place
    for file in pulled.files:
        assert pulled.load(file) == (folder / file.path).read_bytes()


def test_the_same_answers(
    folder: Path, place: str, run_zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path / "config"))
    name = name_of(folder)
    assert run_zoo("publish", folder, "--to", place).code == 0
    assert run_zoo("pull", name, "--from", place).code == 0
    tables = []
    for model in (folder, name):
        out = tmp_path / f"{len(tables)}.csv"
        assert run_zoo("run", model, folder / "sample.h5ad", "-o", out).code == 0
        tables.append(out.read_bytes())
    assert tables[0] == tables[1]


def test_two_versions_and_a_refusal(folder: Path, place: str, settings: Settings) -> None:
    name = name_of(folder)
    publish(folder, place)
    newer = write_complete_model(folder.with_name("newer"), name=name, version="1.1.0")
    publish(newer, place)
    assert publish(newer, place).is_new is False
    change_card(newer, summary="Changed afterwards")
    with pytest.raises(VersionPublished):
        publish(newer, place)
    assert adopt(name, place, settings).manifest.card.version == "1.1.0"
    assert adopt(f"{name}@1.0.0", place, settings).manifest.card.version == "1.0.0"


def test_a_file_that_is_not_there(folder: Path, place: str) -> None:
    hub = hub_for(publish(folder, place).place)
    with pytest.raises(HubUnreachable):
        hub.open("nothing.tsv")


def test_a_model_that_is_not_there(folder: Path, place: str, settings: Settings) -> None:
    publish(folder, place)
    with pytest.raises(ZooError, match="No model is called 'nothing'"):
        adopt("nothing", place, settings)


def test_wrong_bytes_leave_nothing(folder: Path, s3: str, settings: Settings) -> None:
    import fsspec

    done = publish(folder, s3)
    fsspec.open(f"{done.place}/genes.tsv", "wb").open().close()
    with pytest.raises(ZooError):
        adopt(name_of(folder), s3, settings)
    content = (folder / "genes.tsv").read_bytes()
    with fsspec.open(f"{done.place}/genes.tsv", "wb") as file:
        file.write(content[:-2] + b"!\n")
    with pytest.raises(DigestMismatch, match=r"genes\.tsv"):
        adopt(name_of(folder), s3, settings)
    assert Cache(settings.cache).models() == []


def test_another_manifest_under_the_tag(folder: Path, oci: str, settings: Settings) -> None:
    """Whoever may push moves the tag; the registry's digest still says which bytes were meant."""
    from zoo.hubs.collection import Offer, collection_at
    from zoo.pull import in_place

    publish(folder, oci)
    change_card(folder, summary="Another model under the same tag")
    pulled = in_place(folder)
    content = write_manifest(folder).render()
    collection_at(oci).put_model(Offer(pulled.manifest, content, pulled.load))
    with pytest.raises(DigestMismatch, match=r"manifest\.json"):
        adopt(name_of(folder), oci, settings)


def test_a_server_that_is_gone(folder: Path, settings: Settings) -> None:
    with pytest.raises(HubUnreachable):
        adopt("tiny", "oci://127.0.0.1:9/lab", settings)


# -- what others read ----------------------------------------------------------------------------


def test_the_validation_refers_to_the_model(folder: Path, oci: str) -> None:
    import json

    from zoo.hubs.model_pack import REPORT, attached

    done = publish(folder, oci)
    (report,) = attached(done.place, REPORT)
    assert json.loads(report)["level"] == "deep"


def test_oras_writes_the_folder(folder: Path, oci: str, tmp_path: Path) -> None:
    client = pytest.importorskip("oras.client")
    done = publish(folder, oci)
    target = done.place.removeprefix("oci://")
    client.OrasClient(insecure=True).pull(target=target, outdir=str(tmp_path / "pulled"))
    for path in folder.iterdir():
        assert (tmp_path / "pulled" / path.name).read_bytes() == path.read_bytes()


def test_the_card_is_what_hugging_face_shows(folder: Path, hugging_face: str) -> None:
    from huggingface_hub import HfApi, ModelCard, hf_hub_download

    done = publish(folder, hugging_face)
    repository, _, tag = done.place.removeprefix("hf://").partition("@")
    assert set(HfApi().list_repo_files(repository, revision=tag)) == {
        path.name for path in folder.iterdir()
    }
    card = ModelCard.load(hf_hub_download(repository, "README.md", revision=tag))
    assert card.data.library_name == "cellzoo"
    assert card.data.eval_results
