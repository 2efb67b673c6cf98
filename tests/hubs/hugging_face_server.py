"""As much of the Hugging Face HTTP API as a stock client needs to publish and pull models.

Repositories live in memory: a list of commits (file → content) and tags. Files travel in the commit
itself (`uploadMode: regular`), as a server without Xet has it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

Files = dict[str, bytes]

_NAME = r"([\w.-]+/[\w.-]+)"


@dataclass
class Repository:
    """Commits in order, and tags."""

    commits: list[tuple[str, Files]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.commit({}, [])

    def commit(self, added: Files, deleted: list[str]) -> str:
        """A new state; returns its id."""
        files = dict(self.commits[-1][1]) if self.commits else {}
        for path in deleted:
            files.pop(path, None)
        files |= added
        oid = hashlib.sha1(f"{len(self.commits)}{sorted(files)}".encode()).hexdigest()
        self.commits.append((oid, files))
        return oid

    def at(self, revision: str) -> tuple[str, Files] | None:
        """The state at a branch, tag or commit."""
        oid = self.tags.get(revision, revision)
        if oid == "main":
            return self.commits[-1]
        return next((commit for commit in self.commits if commit[0] == oid), None)


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    repositories: dict[str, Repository]
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        """A file, a listing or what is known of a repository."""
        path = unquote(urlsplit(self.path).path)
        if match := re.fullmatch(rf"/{_NAME}/resolve/([^/]+)/(.+)", path):
            self._file(*match.groups())
        elif match := re.fullmatch(rf"/api/models/{_NAME}(?:/(revision|tree)/(.+))?", path):
            self._about(*match.groups())
        else:
            self._json(404, {"error": "not found"})

    do_HEAD = do_GET  # noqa: N815  # as the library wants it

    def do_POST(self) -> None:
        """A repository, a commit or a tag."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        if path == "/api/repos/create":
            told = json.loads(body)
            name = (
                f"{told['organization']}/{told['name']}" if "organization" in told else told["name"]
            )
            known = name in self.repositories
            self.repositories.setdefault(name, Repository())
            answer = {"url": f"http://{self.headers['Host']}/{name}", "name": name, "id": name}
            self._json(409 if known else 200, answer)
        elif path == "/api/validate-yaml":
            self._json(200, {"errors": [], "warnings": []})
        elif match := re.fullmatch(rf"/api/models/{_NAME}/(preupload|commit|tag)/(.+)", path):
            name, verb, revision = match.groups()
            getattr(self, f"_{verb}")(self.repositories[name], body, revision)
        else:
            self._json(404, {"error": "not found"})

    # -- pieces ----------------------------------------------------------------------------------

    def _preupload(self, _: Repository, body: bytes, __: str) -> None:
        files = [
            {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
            for file in json.loads(body)["files"]
        ]
        self._json(200, {"files": files})

    def _commit(self, repository: Repository, body: bytes, _: str) -> None:
        added, deleted = {}, []
        for line in body.splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                added[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            elif entry["key"] == "deletedFile":
                deleted.append(entry["value"]["path"])
        oid = repository.commit(added, deleted)
        url = f"http://{self.headers['Host']}/x/y/commit/{oid}"
        self._json(200, {"success": True, "commitOid": oid, "commitUrl": url})

    def _tag(self, repository: Repository, body: bytes, revision: str) -> None:
        tag = json.loads(body)["tag"]
        if tag in repository.tags:
            self._json(409, {"error": "Tag reference exists already"})
            return
        found = repository.at(revision)
        assert found is not None
        repository.tags[tag] = found[0]
        self._json(200, {})

    def _about(self, name: str, what: str | None, revision: str | None) -> None:
        repository = self.repositories.get(name)
        if repository is None:
            self._json(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
            return
        found = repository.at(revision or "main")
        if found is None:
            self._json(404, {"error": "Invalid rev"}, {"X-Error-Code": "RevisionNotFound"})
            return
        oid, files = found
        if what == "tree":
            self._json(200, [
                {"type": "file", "path": path, "size": len(content), "oid": _oid(content)}
                for path, content in files.items()
            ])  # fmt: skip
        else:
            siblings = [{"rfilename": path} for path in files]
            self._json(200, {"id": name, "sha": oid, "siblings": siblings, "private": False})

    def _file(self, name: str, revision: str, path: str) -> None:
        repository = self.repositories.get(name)
        if repository is None:
            self._json(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
            return
        found = repository.at(revision)
        if found is None:
            self._json(404, {"error": "Invalid rev"}, {"X-Error-Code": "RevisionNotFound"})
            return
        oid, files = found
        if path not in files:
            self._json(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
            return
        headers = {"X-Repo-Commit": oid, "ETag": f'"{_oid(files[path])}"'}
        self._send(200, files[path], {**headers, "Content-Type": "application/octet-stream"})

    def _json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        told = {"Content-Type": "application/json", **(headers or {})}
        self._send(status, json.dumps(value).encode(), told)

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def hugging_face_server() -> Iterator[tuple[str, dict[str, Repository]]]:
    """A server on this machine; gives its address and what it holds."""
    repositories: dict[str, Repository] = {}
    handler = type("Bound", (Handler,), {"repositories": repositories})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", repositories
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
