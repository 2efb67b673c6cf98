"""A web server that lies: what it does is named, and nothing of it is kept."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from complete_model import write_complete_model
from tiny_model import write_tiny_model

from zoo.adoption import adopt
from zoo.cache import Cache
from zoo.errors import DigestMismatch, HubUnreachable, InvalidRegistry, WrongSize, ZooError
from zoo.manifest import Manifest
from zoo.registry import Entry, Registry
from zoo.settings import Settings

pytestmark = pytest.mark.network_server

Serve = Callable[["Answer"], bool]


class Answer(BaseHTTPRequestHandler):
    """Serves a folder, but for what `lie` does first."""

    folder: Path
    lie: Serve
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        """A file, or a lie."""
        if type(self).lie(self):
            return
        path = self.folder / self.path.lstrip("/")
        if path.is_file():
            self.give(path.read_bytes())
        else:
            self.give(b"<html>not here</html>", 404)

    do_HEAD = do_GET  # noqa: N815  # as the library wants it

    def give(self, content: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


@contextmanager
def server(folder: Path, lie: Serve) -> Iterator[str]:
    handler = type("Bound", (Answer,), {"folder": folder, "lie": staticmethod(lie)})
    served = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{served.server_port}"
    finally:
        served.shutdown()
        served.server_close()
        thread.join()


def honest(_: Answer) -> bool:
    return False


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A collection as a web server has it; the registry is written when the address is known."""
    pytest.importorskip("fsspec")
    write_complete_model(tmp_path / "www" / "tiny" / "1.0.0")
    return tmp_path / "www"


def register(root: Path, address: str) -> None:
    manifest = Manifest.parse((root / "tiny/1.0.0/manifest.json").read_bytes(), "www")
    entry = Entry.of(manifest, [f"{address}/tiny/1.0.0"])
    (root / "registry.json").write_bytes(Registry(registry_version=1, models=[entry]).render())


def pull_from(root: Path, lie: Serve, tmp_path: Path) -> Cache:
    settings = Settings(cache=tmp_path / "cache")
    with server(root, lie) as address:
        register(root, address)
        try:
            adopt("tiny", address, settings)
        finally:
            cache = Cache(settings.cache)
            cache.prune()
    return cache


def refused(root: Path, lie: Serve, tmp_path: Path, kind: type[ZooError]) -> str:
    """What is said of the lie; nothing may be left."""
    with pytest.raises(kind) as error:
        pull_from(root, lie, tmp_path)
    cache = Cache(tmp_path / "cache")
    assert cache.models() == []
    assert not [path for path in cache.root.rglob("*") if path.is_file()]
    return error.value.message


def on(path: str, then: Callable[[Answer], None]) -> Serve:
    def lie(answer: Answer) -> bool:
        if not answer.path.endswith(path):
            return False
        then(answer)
        return True

    return lie


def test_an_honest_server(root: Path, tmp_path: Path) -> None:
    assert [m.reference for m in pull_from(root, honest, tmp_path).models()] == ["tiny@1.0.0"]


def test_wrong_bytes(root: Path, tmp_path: Path) -> None:
    size = (root / "tiny/1.0.0/genes.tsv").stat().st_size
    lie = on("genes.tsv", lambda answer: answer.give(b"x" * size))
    assert "'genes.tsv'" in refused(root, lie, tmp_path, DigestMismatch)


def test_fewer_bytes(root: Path, tmp_path: Path) -> None:
    lie = on("genes.tsv", lambda answer: answer.give(b"x"))
    assert "'genes.tsv'" in refused(root, lie, tmp_path, WrongSize)


def test_a_huge_file(root: Path, tmp_path: Path) -> None:
    """It announces a terabyte; no more than what the manifest says is read."""
    lie = on("genes.tsv", lambda answer: answer.give(b"x" * 200_000))
    assert "'genes.tsv'" in refused(root, lie, tmp_path, WrongSize)


def test_another_revision(root: Path, tmp_path: Path) -> None:
    other = write_tiny_model(tmp_path / "other", version="2.0.0")
    content = (other / "manifest.json").read_bytes()
    lie = on("manifest.json", lambda answer: answer.give(content))
    assert "'manifest.json'" in refused(root, lie, tmp_path, DigestMismatch)


def test_an_endless_redirect(root: Path, tmp_path: Path) -> None:
    lie = on("model.onnx", lambda answer: answer.give(b"", 302, Location="/tiny/1.0.0/model.onnx"))
    assert refused(root, lie, tmp_path, HubUnreachable)


def test_a_connection_that_breaks(root: Path, tmp_path: Path) -> None:
    def half(answer: Answer) -> None:
        content = (root / "tiny/1.0.0/model.onnx").read_bytes()
        answer.send_response(200)
        answer.send_header("Content-Length", str(len(content)))
        answer.end_headers()
        if answer.command == "GET":
            answer.wfile.write(content[: len(content) // 2])
        answer.close_connection = True

    message = refused(root, on("model.onnx", half), tmp_path, ZooError)
    assert "127.0.0.1" in message


def test_a_server_that_fails_once(root: Path, tmp_path: Path) -> None:
    failed = []

    def lie(answer: Answer) -> bool:
        if answer.path.endswith("genes.tsv") and not failed:
            failed.append(answer.path)
            answer.give(b"busy", 503)
            return True
        return False

    assert [m.reference for m in pull_from(root, lie, tmp_path).models()] == ["tiny@1.0.0"]
    assert failed


def test_an_error_page(root: Path, tmp_path: Path) -> None:
    lie = on("model.onnx", lambda answer: answer.give(b"<html>oops</html>", 500))
    assert refused(root, lie, tmp_path, HubUnreachable)


def test_a_page_in_the_place_of_the_registry(root: Path, tmp_path: Path) -> None:
    lie = on("registry.json", lambda answer: answer.give(b"<html>log in</html>"))
    assert "registry" in refused(root, lie, tmp_path, InvalidRegistry)


def test_a_path_that_escapes(root: Path, tmp_path: Path) -> None:
    """The registry is the liar here: its digest fits a manifest that names a file outside."""
    path = root / "tiny/1.0.0/manifest.json"
    told = json.loads(path.read_text())
    told["files"][0]["path"] = "../../../.bashrc"
    path.write_text(json.dumps(told))
    from zoo.digest import sha256_of

    settings = Settings(cache=tmp_path / "cache")
    with server(root, honest) as address:
        manifest = Manifest.of_folder(root / "tiny" / "1.0.0")
        entry = Entry.of(manifest, [f"{address}/tiny/1.0.0"])
        entry = entry.model_copy(update={"digest": sha256_of(path.read_bytes())})
        registry = Registry(registry_version=1, models=[entry])
        (root / "registry.json").write_bytes(registry.render())
        with pytest.raises(ZooError, match="outside the model folder"):
            adopt("tiny", address, settings)
    assert Cache(settings.cache).models() == []


def test_nothing_is_taken_from_elsewhere(root: Path, tmp_path: Path) -> None:
    """The place that was named is gone: no other one is asked, even where the name is known."""
    with server(root, honest) as address:
        register(root, address)
    with pytest.raises(HubUnreachable, match="127"):
        adopt("tiny", address, Settings(cache=tmp_path / "cache"))
