"""The client of OCI registries against Debian's `docker-registry`."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_server import ServedRegistry, served_registry

from zoo.digest import sha256_of
from zoo.errors import DigestMismatch, HubDenied, HubUnreachable, PushRefused
from zoo.hubs.oci import MANIFEST_TYPES, OciRepository
from zoo.hubs.oci_reference import OciReference

pytestmark = pytest.mark.network_server

CONTENT = bytes(range(256)) * 20_000  # 5 MB
DIGEST = f"sha256:{sha256_of(CONTENT)}"
CONFIG = b"{}"
# me:secret, as htpasswd writes it.
PASSWORDS = "me:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedRegistry]:
    with served_registry(tmp_path_factory.mktemp("registry")) as served:
        yield served


@pytest.fixture(autouse=True)
def _no_stored_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))


def there(registry: ServedRegistry, repository: str, tag: str = "1") -> OciRepository:
    return OciRepository(OciReference(registry.host, repository, tag))


def push(repository: OciRepository, content: bytes, **kwargs) -> bool:
    digest = f"sha256:{sha256_of(content)}"
    return repository.push_blob(digest, len(content), lambda: io.BytesIO(content), **kwargs)


@pytest.mark.parametrize("chunk", [None, 1 << 20])
def test_a_blob_goes_and_comes(registry: ServedRegistry, tmp_path: Path, chunk: int | None) -> None:
    repository = there(registry, f"blobs/{'chunks' if chunk else 'whole'}")
    assert not repository.has_blob(DIGEST)
    assert push(repository, CONTENT, chunk=chunk)
    assert not push(repository, CONTENT)
    assert repository.has_blob(DIGEST)
    repository.save_blob(DIGEST, len(CONTENT), tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == CONTENT


def test_an_artifact(registry: ServedRegistry) -> None:
    repository = there(registry, "some/artifact", "1.0.0")
    assert not repository.has_manifest()
    for content in (CONTENT, CONFIG):
        push(repository, content)
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPES[0],
            "config": described("application/vnd.oci.image.config.v1+json", CONFIG),
            "layers": [described("application/octet-stream", CONTENT)],
        }
    ).encode()
    digest = repository.push_manifest(manifest, MANIFEST_TYPES[0])
    assert repository.has_manifest()
    for version in ("", digest):
        found = repository.manifest(version)
        assert (found.content, found.digest, found.media_type) == (
            manifest, digest, MANIFEST_TYPES[0],
        )  # fmt: skip


def described(media: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media, "digest": f"sha256:{sha256_of(content)}", "size": len(content)}


def test_a_manifest_of_what_is_not_there_is_not_taken(registry: ServedRegistry) -> None:
    layer = described("application/octet-stream", b"never sent")
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST_TYPES[0], "config": layer, "layers": []}
    with pytest.raises(PushRefused, match="status 400"):
        there(registry, "some/hole").push_manifest(json.dumps(manifest).encode(), MANIFEST_TYPES[0])


def test_a_blob_of_another_repository_is_not_copied(registry: ServedRegistry) -> None:
    push(there(registry, "first"), CONTENT)
    before = registry.stored()
    assert there(registry, "second").mount_blob(DIGEST, "first")
    assert there(registry, "second").has_blob(DIGEST)
    assert registry.stored() == before
    nowhere = f"sha256:{'0' * 64}"
    assert not there(registry, "second").mount_blob(nowhere, "first")


def test_what_was_changed_on_the_disk_is_not_taken(
    registry: ServedRegistry, tmp_path: Path
) -> None:
    content = b"to be changed" * 1000
    repository, digest = there(registry, "tampered"), f"sha256:{sha256_of(content)}"
    push(repository, content)
    (stored,) = registry.folder.rglob(f"{digest.removeprefix('sha256:')}/data")
    stored.write_bytes(content[:-1] + b"!")
    with pytest.raises(DigestMismatch):
        repository.save_blob(digest, len(content), tmp_path / "blob")
    assert not (tmp_path / "blob").exists()


def test_nothing_of_that_name(registry: ServedRegistry) -> None:
    with pytest.raises(HubUnreachable, match="it has no 'latest'"):
        there(registry, "none", "").manifest()


def test_a_login_of_docker_is_used(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("private")
    (folder / "passwords").write_text(PASSWORDS)
    settings = f"auth:\n  htpasswd:\n    realm: here\n    path: {folder / 'passwords'}\n"
    with served_registry(folder, settings) as private:
        with pytest.raises(HubDenied, match="none is stored"):
            push(there(private, "some/private"), CONTENT)
        store(tmp_path, private.host, "me:wrong")
        with pytest.raises(HubDenied, match="status 401"):
            push(there(private, "some/private"), CONTENT)
        store(tmp_path, private.host, "me:secret")
        assert push(there(private, "some/private"), CONTENT, chunk=1 << 20)
        assert there(private, "some/other").mount_blob(DIGEST, "some/private")


def store(folder: Path, host: str, login: str) -> None:
    """What `docker login` writes."""
    (folder / "docker").mkdir(exist_ok=True)
    auth = base64.b64encode(login.encode()).decode()
    (folder / "docker" / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
