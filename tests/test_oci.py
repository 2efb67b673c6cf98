"""The client of OCI registries, against a registry that does what it should not."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest
from fake_registry import FakeRegistry, fake_registry

from zoo.digest import sha256_of
from zoo.errors import DigestMismatch, HubDenied, HubUnreachable, MalformedOciReference, PushRefused
from zoo.hubs.exchange import Answer, Ask, Exchange
from zoo.hubs.oci import OciRepository
from zoo.hubs.oci_login import Login, stored_login
from zoo.hubs.oci_reference import OciReference

CONTENT = bytes(range(256)) * 40
NOWHERE = "sha256:" + "0" * 64


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with fake_registry() as served:
        yield served


@pytest.fixture(autouse=True)
def _no_stored_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))


def repository(fake: FakeRegistry, pauses: list[float] | None = None, **kwargs) -> OciRepository:
    reference = OciReference.parse(f"oci://{fake.host}/some/models:1.0.0")
    waited = pauses if pauses is not None else []
    exchange = Exchange(str(reference), timeout=5, attempts=3, pause=waited.append)
    return OciRepository(reference, exchange=exchange, **kwargs)


# -- references ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("oci://localhost:5000/a", ("localhost:5000", "a", "", "")),
        ("oci://h.example/a/b-c_d:1.0.0", ("h.example", "a/b-c_d", "1.0.0", "")),
        (f"oci://h/a:t@{NOWHERE}", ("h", "a", "t", NOWHERE)),
    ],
)
def test_references(uri: str, parts: tuple[str, ...]) -> None:
    read = OciReference.parse(uri)
    assert (read.host, read.repository, read.tag, read.digest) == parts
    assert str(read) == uri


@pytest.mark.parametrize(
    "uri", ["oci://", "oci://host", "http://h/a", "oci://h/A", "oci://h/../a", "oci://h/a:", "a:b",
            "oci://h/a@sha256:12", "oci://h/a?x", "oci://u:p@h/a"],
)  # fmt: skip
def test_no_references(uri: str) -> None:
    with pytest.raises(MalformedOciReference):
        OciReference.parse(uri)


# -- blobs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [None, 1, 3000, len(CONTENT), 10**6])
def test_a_blob_goes_and_comes(fake: FakeRegistry, tmp_path: Path, chunk: int | None) -> None:
    content = CONTENT[:9] if chunk == 1 else CONTENT
    there = repository(fake)
    digest = f"sha256:{sha256_of(content)}"
    assert not there.has_blob(digest)
    assert there.push_blob(digest, len(content), lambda: io.BytesIO(content), chunk=chunk)
    assert not there.push_blob(digest, len(content), lambda: io.BytesIO(content))
    assert there.has_blob(digest)
    assert there.read_blob(digest, len(content)) == content
    with there.open_blob(digest, len(content)) as stream:
        assert stream.read() == content
    there.save_blob(digest, len(content), tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == content


def test_a_changed_blob_is_refused_and_leaves_nothing(fake: FakeRegistry, tmp_path: Path) -> None:
    digest = fake.add(CONTENT)
    fake.blobs[digest] = CONTENT[:-1] + b"x"
    with pytest.raises(DigestMismatch, match="is not the published file"):
        repository(fake).save_blob(digest, len(CONTENT), tmp_path / "blob")
    fake.blobs[digest] = CONTENT + b"more"
    with pytest.raises(DigestMismatch):
        repository(fake).open_blob(digest, len(CONTENT))
    assert not list(tmp_path.iterdir())


def test_a_connection_that_breaks_is_tried_again(fake: FakeRegistry) -> None:
    digest, pauses = fake.add(CONTENT), []
    fake.cut = 100
    with pytest.raises(HubUnreachable):
        repository(fake, pauses).read_blob(digest, len(CONTENT))
    assert pauses == [1.0, 2.0]
    assert len(fake.asked) == 3


def test_a_busy_registry_is_asked_again_and_not_for_ever(fake: FakeRegistry) -> None:
    digest, left, pauses = fake.add(CONTENT), [503, 429], []
    fake.before = lambda method, path: left.pop() if left else None
    assert repository(fake, pauses).read_blob(digest, len(CONTENT)) == CONTENT
    assert pauses == [1.0, 2.0]
    fake.before = lambda method, path: 503
    with pytest.raises(HubUnreachable, match="status 503"):
        repository(fake).read_blob(digest, len(CONTENT))


def test_what_is_not_there(fake: FakeRegistry) -> None:
    with pytest.raises(HubUnreachable, match="it has no blob sha256:000"):
        repository(fake).read_blob(NOWHERE, 3)
    with pytest.raises(HubUnreachable, match=r"it has no '1\.0\.0'"):
        repository(fake).manifest()
    assert not repository(fake).has_manifest()


def test_nobody_answers() -> None:
    reference = OciReference.parse("oci://127.0.0.1:1/some/models")
    exchange = Exchange(str(reference), attempts=2, pause=lambda _: None)
    with pytest.raises(HubUnreachable, match="Connection refused"):
        OciRepository(reference, exchange=exchange).has_blob(NOWHERE)


def test_mounting(fake: FakeRegistry) -> None:
    digest = fake.add(CONTENT)
    assert repository(fake).mount_blob(digest, "other/models")
    assert f"mount=sha256%3A{digest[7:]}&from=other%2Fmodels" in fake.asked[-1][1]
    assert not repository(fake).mount_blob(NOWHERE, "other/models")
    assert fake.asked[-1][0] == "DELETE"  # the upload that was begun instead


def test_a_push_that_is_not_taken(fake: FakeRegistry) -> None:
    with pytest.raises(PushRefused, match="status 400, digest invalid"):
        repository(fake).push_blob(NOWHERE, 3, lambda: io.BytesIO(b"abc"))
    fake.before = lambda method, path: 405 if method == "PUT" else None
    with pytest.raises(PushRefused, match="the manifest: status 405, as the test wants"):
        repository(fake).push_manifest(b"{}", "application/json")


def test_manifests(fake: FakeRegistry) -> None:
    there, kind = repository(fake), "application/vnd.oci.image.manifest.v1+json"
    digest = there.push_manifest(b'{"a": 1}', kind)
    found = there.manifest()
    assert (found.content, found.media_type, found.digest) == (b'{"a": 1}', kind, digest)
    fake.manifests[digest] = (kind, b'{"a": 2}')
    with pytest.raises(DigestMismatch):
        there.manifest(digest)


# -- logins --------------------------------------------------------------------------------------


def test_a_basic_login(fake: FakeRegistry) -> None:
    digest, login = fake.add(CONTENT), Login("me", "secret:word")
    fake.wanted = login.basic
    assert repository(fake, login=login).has_blob(digest)
    with pytest.raises(HubDenied, match="none is stored") as denied:
        repository(fake).has_blob(digest)
    assert f"docker login {fake.host}" in denied.value.hint


def test_a_token_for_each_scope(fake: FakeRegistry) -> None:
    digest, login = fake.add(CONTENT), Login("me", "secret")
    fake.wanted = "Bearer granted"
    fake.challenge = 'Bearer realm="http://{host}/token",service="registry",scope="ignored"'
    there = repository(fake, login=login)
    assert there.has_blob(digest)
    assert there.has_blob(digest)
    there.mount_blob(digest, "other/models")
    scopes = [query for query, _ in fake.tokens]
    assert scopes == [
        "scope=repository%3Asome%2Fmodels%3Apull&service=registry",
        "scope=repository%3Asome%2Fmodels%3Apull%2Cpush+repository%3Aother%2Fmodels%3Apull"
        "&service=registry",
    ]
    assert {header for _, header in fake.tokens} == {login.basic}


def test_a_login_is_sent_nowhere_unencrypted(fake: FakeRegistry) -> None:
    fake.wanted, fake.challenge = "Bearer x", 'Bearer realm="http://elsewhere.example/token"'
    with pytest.raises(HubDenied, match="unencrypted"):
        repository(fake, login=Login("me", "secret")).has_blob(NOWHERE)


def test_a_forbidden_repository(fake: FakeRegistry) -> None:
    fake.before = lambda method, path: 403
    with pytest.raises(HubDenied, match="status 403"):
        repository(fake).has_blob(NOWHERE)


def test_stored_logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"DOCKER_CONFIG": str(tmp_path)}
    assert stored_login("h:5000", environ) is None
    auth = base64.b64encode(b"me:pass:word").decode()
    config = {"auths": {"h:5000": {"auth": auth}, "broken": {"auth": "%"}, "empty": {}}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert stored_login("h:5000", environ) == Login("me", "pass:word")
    assert stored_login("broken", environ) is stored_login("empty", environ) is None
    helper = tmp_path / "docker-credential-test"
    helper.write_text(
        '#!/bin/sh\nread host\necho "{\\"Username\\": \\"u\\", \\"Secret\\": \\"$host\\"}"\n'
    )
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "test"}))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert stored_login("h", environ) == Login("u", "h")
    (tmp_path / "config.json").write_text("not json")
    assert stored_login("h", environ) is None


def test_a_redirect_to_another_host_carries_no_login(fake: FakeRegistry) -> None:
    digest, login = fake.add(CONTENT), Login("me", "secret")
    fake.wanted = login.basic
    with fake_registry() as store:
        store.add(CONTENT)
        fake.redirect = f"http://{store.host}"
        assert repository(fake, login=login).read_blob(digest, len(CONTENT)) == CONTENT
        assert fake.logins[-1] == login.basic
        assert store.logins == [None]


def test_no_redirect_leads_out_of_encryption(monkeypatch: pytest.MonkeyPatch) -> None:
    headers = Message()
    headers["Location"] = "http://registry.example.org/v2/"
    sent: list[str] = []

    def once(self: Exchange, ask: Ask, url: str, headers_: dict[str, str]) -> Answer:
        sent.append(url)
        return Answer(307, headers, io.BytesIO(), url)

    monkeypatch.setattr(Exchange, "_once", once)
    with pytest.raises(HubUnreachable, match="it redirects to 'http://registry"):
        Exchange("oci://registry.example.org/a").send(
            Ask("GET", "https://registry.example.org/v2/")
        )
    assert sent == ["https://registry.example.org/v2/"]


def test_a_run_knows_nothing_of_registries() -> None:
    code = (
        "import sys, zoo.cli.run, zoo.cli.models, zoo.runner, zoo.pull; "
        "print(*(m for m in sys.modules if m in ('zoo.hubs.oci', 'zoo.hubs.exchange') "
        "or m.startswith('zoo.imaging')))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "\n"
