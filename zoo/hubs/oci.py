"""OCI registries: blobs and manifests over HTTP, as the OCI distribution specification 1.1 says.

    GET HEAD      /v2/<repository>/blobs/<digest>         a blob, verified before anyone uses it
    POST PATCH PUT /v2/<repository>/blobs/uploads/…       at once, or chunk by chunk
    POST          …/uploads/?mount=<digest>&from=<other>  a blob of another repository, not copied
    GET HEAD PUT  /v2/<repository>/manifests/<reference>  a manifest by tag or digest

Any kind of artifact goes through here, images and models alike. A host that is this machine is
spoken to without encryption, every other one with it.
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlencode

from zoo.errors import DigestMismatch, HubUnreachable
from zoo.hubs.exchange import Answer, Ask, Exchange
from zoo.hubs.oci_connection import BrokenOff, OciConnection, location_of
from zoo.hubs.oci_login import Login
from zoo.hubs.oci_reference import OciReference
from zoo.staging import staged, to_disk

MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
LARGEST_MANIFEST = 4 << 20
_PIECE = 1 << 20


@dataclass(frozen=True)
class Manifest:
    """A manifest as a registry gives it; its digest was verified."""

    content: bytes
    media_type: str
    digest: str


class OciRepository:
    """One repository of a registry; nothing is asked before a method is called."""

    def __init__(
        self,
        reference: OciReference,
        *,
        exchange: Exchange | None = None,
        login: Login | None = None,
    ) -> None:
        self.reference = reference
        self._http = OciConnection(reference, exchange, login)

    @property
    def uri(self) -> str:
        """The repository, without a tag."""
        return self._http.uri

    # -- blobs -----------------------------------------------------------------------------------

    def has_blob(self, digest: str) -> bool:
        """Whether the repository has a blob."""
        with self._http.send(Ask("HEAD", f"{self._http.base}/blobs/{digest}")) as answer:
            return self._http.found(answer, f"blob {digest}")

    def read_blob(self, digest: str, size: int) -> bytes:
        """A small blob, verified.

        Raises
        ------
        HubUnreachable, HubDenied, DigestMismatch

        """
        memory = io.BytesIO()
        self._receive(digest, size, memory)
        return memory.getvalue()

    def save_blob(self, digest: str, size: int, path: Path) -> None:
        """Write a blob into a file, which appears once it is verified.

        Raises
        ------
        HubUnreachable, HubDenied, DigestMismatch

        """
        with staged(path) as staging, staging.open("xb") as file:
            self._receive(digest, size, file)
            to_disk(file)

    def open_blob(self, digest: str, size: int) -> BinaryIO:
        """A blob in a file without a name, verified before it is given.

        Raises
        ------
        HubUnreachable, HubDenied, DigestMismatch

        """
        file = tempfile.TemporaryFile()  # noqa: SIM115 the caller closes it
        try:
            self._receive(digest, size, file)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return file

    def push_blob(
        self,
        digest: str,
        size: int,
        source: Callable[[], BinaryIO],
        *,
        chunk: int | None = None,
    ) -> bool:
        """Send a blob unless it is there; returns whether it was sent.

        Parameters
        ----------
        source
            Opens its content anew, for each attempt.
        chunk
            Bytes in one request; by default all.

        Raises
        ------
        HubUnreachable, HubDenied, PushRefused

        """
        if self.has_blob(digest):
            return False
        self._http.repeated(lambda: self._upload(digest, size, source, chunk))
        return True

    def mount_blob(self, digest: str, source: str) -> bool:
        """Take over a blob of another repository of the registry; returns whether that went.

        Raises
        ------
        HubUnreachable, HubDenied

        """
        query = urlencode({"mount": digest, "from": source})
        ask = Ask("POST", f"{self._http.base}/blobs/uploads/?{query}", body=b"")
        with self._http.send(ask, push=True, also=source) as answer:
            if answer.status == 202:  # it began an upload instead, which is of no use here
                self._http.send(Ask("DELETE", location_of(answer)), push=True).stream.close()
            return answer.status == 201

    # -- manifests -------------------------------------------------------------------------------

    def manifest(self, version: str = "", accept: tuple[str, ...] = MANIFEST_TYPES) -> Manifest:
        """The manifest of a tag or digest, verified where a digest is known; default: its own.

        Raises
        ------
        HubUnreachable, HubDenied, DigestMismatch

        """
        version = version or self.reference.version
        ask = Ask("GET", f"{self._http.base}/manifests/{version}", {"Accept": ", ".join(accept)})
        with self._http.send(ask) as answer:
            if not self._http.found(answer, version):
                raise HubUnreachable(self.uri, f"it has no {version!r}")
            content = answer.read(LARGEST_MANIFEST + 1)
            told = answer.headers.get("Docker-Content-Digest")
            kind = answer.headers.get_content_type()
        if len(content) > LARGEST_MANIFEST:
            raise HubUnreachable(self.uri, f"the manifest of {version!r} is too large")
        actual = f"sha256:{hashlib.sha256(content).hexdigest()}"
        expected = version if version.startswith("sha256:") else told
        if expected and expected != actual:
            raise _mismatch(f"manifest {version}", self.uri, expected, actual)
        return Manifest(content, kind, actual)

    def has_manifest(self, version: str = "") -> bool:
        """Whether there is a manifest of a tag or digest."""
        version = version or self.reference.version
        accept = ", ".join(MANIFEST_TYPES + INDEX_TYPES)
        ask = Ask("HEAD", f"{self._http.base}/manifests/{version}", {"Accept": accept})
        with self._http.send(ask) as answer:
            return self._http.found(answer, version)

    def push_manifest(self, content: bytes, media_type: str, version: str = "") -> str:
        """Store a manifest under a tag; returns its digest.

        Raises
        ------
        HubUnreachable, HubDenied, PushRefused

        """
        url = f"{self._http.base}/manifests/{version or self.reference.version}"
        ask = Ask("PUT", url, {"Content-Type": media_type}, content)
        with self._http.send(ask, push=True) as answer:
            self._http.accepted(answer, "the manifest", 201)
        return f"sha256:{hashlib.sha256(content).hexdigest()}"

    # -- references ------------------------------------------------------------------------------

    def referrers(self, digest: str) -> list[dict[str, Any]]:
        """Descriptors of the artifacts that refer to a manifest.

        By the referrers API, else by the index under the tag that the specification names for
        registries without it.

        Raises
        ------
        HubUnreachable, HubDenied, DigestMismatch

        """
        content = self._referrers_by_api(digest)
        if content is None:
            tag = _referrers_tag(digest)
            content = self.manifest(tag, INDEX_TYPES).content if self.has_manifest(tag) else b"{}"
        try:
            entries = json.loads(content).get("manifests", [])
        except (ValueError, AttributeError) as error:
            raise HubUnreachable(self.uri, "its list of referrers is no index") from error
        return [entry for entry in entries if isinstance(entry, dict)]

    def list_referrer(self, digest: str, entry: dict[str, Any]) -> None:
        """Have a pushed artifact found by what it refers to, where the registry does not itself."""
        if self._referrers_by_api(digest) is not None:
            return
        known = [one for one in self.referrers(digest) if one.get("digest") != entry["digest"]]
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPES[0], "manifests": [*known, entry]}
        self.push_manifest(json.dumps(index).encode(), INDEX_TYPES[0], _referrers_tag(digest))

    def _referrers_by_api(self, digest: str) -> bytes | None:
        ask = Ask("GET", f"{self._http.base}/referrers/{digest}", {"Accept": INDEX_TYPES[0]})
        with self._http.send(ask) as answer:
            if not self._http.found(answer, "referrers"):
                return None
            return answer.read(LARGEST_MANIFEST)

    # -- moving ----------------------------------------------------------------------------------

    def _receive(self, digest: str, size: int, target: BinaryIO) -> None:
        def fetch() -> None:
            target.seek(0)
            target.truncate()
            with self._http.send(Ask("GET", f"{self._http.base}/blobs/{digest}")) as answer:
                if not self._http.found(answer, f"blob {digest}"):
                    raise HubUnreachable(self.uri, f"it has no blob {digest[:19]}…")
                got, actual = _copy(answer, size, target)
            if got < size:
                raise BrokenOff(f"it ended after {got:,} of {size:,} bytes")
            if actual != digest:
                raise _mismatch(digest, self.uri, digest, actual)

        self._http.repeated(fetch)

    def _upload(
        self, digest: str, size: int, source: Callable[[], BinaryIO], chunk: int | None
    ) -> None:
        with self._http.send(
            Ask("POST", f"{self._http.base}/blobs/uploads/", body=b""), push=True
        ) as answer:
            self._http.accepted(answer, "an upload", 202)
            location = location_of(answer)
        body: bytes | Callable[[], BinaryIO] = source
        if chunk:
            location, body, size = self._chunks(location, source, chunk), b"", 0
        url = f"{location}{'&' if '?' in location else '?'}{urlencode({'digest': digest})}"
        ask = Ask("PUT", url, body=body, size=size, repeatable=False)
        with self._http.send(ask, push=True) as answer:
            self._http.accepted(answer, f"blob {digest[:19]}…", 201)

    def _chunks(self, location: str, source: Callable[[], BinaryIO], chunk: int) -> str:
        begin = 0
        with source() as stream:
            while piece := stream.read(chunk):
                headers = {"Content-Range": f"{begin}-{begin + len(piece) - 1}"}
                ask = Ask("PATCH", location, headers, piece, repeatable=False)
                with self._http.send(ask, push=True) as answer:
                    self._http.accepted(answer, "a chunk", 202, 204)
                    location = location_of(answer)
                begin += len(piece)
        return location


def _copy(answer: Answer, size: int, target: BinaryIO) -> tuple[int, str]:
    """Copy at most one byte more than `size`; returns bytes copied and their digest."""
    hashed, got = hashlib.sha256(), 0
    while got <= size and (piece := answer.stream.read(min(_PIECE, size + 1 - got))):
        hashed.update(piece)
        target.write(piece)
        got += len(piece)
    return got, f"sha256:{hashed.hexdigest()}"


def _referrers_tag(digest: str) -> str:
    return digest.replace(":", "-")


def _mismatch(what: str, uri: str, expected: str, actual: str) -> DigestMismatch:
    return DigestMismatch(
        what, uri, expected.removeprefix("sha256:"), actual.removeprefix("sha256:")
    )
