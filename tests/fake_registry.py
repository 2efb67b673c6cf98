"""A registry of a few lines in this process, to be made as unruly as a test needs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from zoo.digest import sha256_of


class FakeRegistry:
    """Blobs and manifests in memory, and what was asked for.

    Attributes
    ----------
    before
        Called with (method, path) before a request is answered; a status ends it with that.
    cut
        Blobs end after so many bytes, as when a connection breaks.
    wanted
        The header `Authorization` without which the answer is 401.
    challenge
        What a 401 says; `{host}` is the fake's own address.
    redirect
        Where blobs are, instead of here.

    """

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.asked: list[tuple[str, str]] = []
        self.tokens: list[tuple[str, str | None]] = []
        self.before: Callable[[str, str], int | None] = lambda method, path: None
        self.cut: int | None = None
        self.wanted: str | None = None
        self.challenge = 'Basic realm="here"'
        self.redirect: str | None = None
        self.logins: list[str | None] = []
        self.host = ""

    def add(self, content: bytes) -> str:
        digest = f"sha256:{sha256_of(content)}"
        self.blobs[digest] = content
        return digest


@contextmanager
def fake_registry() -> Iterator[FakeRegistry]:
    """Serve one on a free port."""
    fake = FakeRegistry()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(fake))
    fake.host = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(fake: FakeRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        uploads: dict[str, bytes] = {}

        def log_message(self, *_: object) -> None:
            pass

        def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", headers.get("length", str(len(body))))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            url = urlsplit(self.path)
            fake.asked.append((self.command, self.path))
            fake.logins.append(self.headers.get("Authorization"))
            if url.path == "/token":
                fake.tokens.append((url.query, self.headers.get("Authorization")))
                return self.answer(200, b'{"token": "granted"}')
            if status := fake.before(self.command, self.path):
                return self.answer(status, b'{"errors": [{"message": "as the test wants"}]}')
            if fake.wanted and self.headers.get("Authorization") != fake.wanted:
                challenge = fake.challenge.format(host=fake.host)
                return self.answer(401, WWW_Authenticate=challenge)
            kind, _, name = url.path.removeprefix("/v2/some/models/").partition("/")
            if kind == "manifests":
                return self.manifest(name, body)
            return self.blob(name, parse_qs(url.query), body)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

        def manifest(self, name: str, body: bytes) -> None:
            if self.command == "PUT":
                fake.manifests[name] = (self.headers["Content-Type"], body)
                return self.answer(201)
            if name not in fake.manifests:
                return self.answer(404)
            kind, content = fake.manifests[name]
            return self.answer(200, content, Content_Type=kind)

        def blob(self, name: str, query: dict[str, list[str]], body: bytes) -> None:
            if self.command in ("GET", "HEAD"):
                if name not in fake.blobs:
                    return self.answer(404)
                content = fake.blobs[name]
                if fake.redirect:
                    return self.answer(307, Location=fake.redirect + self.path)
                if fake.cut is None or self.command == "HEAD":
                    return self.answer(200, content)
                return self.answer(200, content[: fake.cut], length=str(len(content)))
            if self.command == "POST":
                if query.get("mount", [""])[0] in fake.blobs:
                    return self.answer(201)
                self.uploads["1"] = b""
                return self.answer(202, Location="/v2/some/models/blobs/uploads/1?state=a")
            if self.command == "DELETE":
                return self.answer(204)
            self.uploads["1"] += body
            if self.command == "PATCH":
                return self.answer(202, Location="/v2/some/models/blobs/uploads/1?state=b")
            if query["digest"] != [fake.add(self.uploads["1"])]:
                return self.answer(400, b'{"errors": [{"message": "digest invalid"}]}')
            return self.answer(201)

    return Handler
