"""File systems of fsspec as hubs: `s3://`, `gs://`, `https://` and what else is installed.

    <root>/registry.json
    <root>/<name>/<version>/manifest.json, model.onnx, …

Credentials, endpoints and proxies are those of the ecosystem: `AWS_ACCESS_KEY_ID`,
`AWS_ENDPOINT_URL`, `~/.aws`, `GOOGLE_APPLICATION_CREDENTIALS`, `HTTPS_PROXY`. An object store shows
an object whole or not at all; `manifest.json` is written after a model's other files, and
`registry.json` after it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, Self, cast

import fsspec

from zoo.errors import HubUnreachable, PushRefused
from zoo.hubs import scheme_of
from zoo.hubs.collection import Offer
from zoo.manifest import FILE_NAME as MANIFEST
from zoo.registry import FILE_NAME as REGISTRY
from zoo.registry import MAXIMUM_BYTES

_SECONDS = 60
_BLOCK = 1 << 20
_PAUSES = (1.0, 3.0)
"""Seconds before another attempt at a server that does not answer."""


class RemoteHub:
    """One model at a URI of fsspec."""

    needs_network = True

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def open(self, path: str) -> BinaryIO:
        """Open one of the model's files."""
        return open_remote(f"{self.uri.rstrip('/')}/{path}", self.uri)


class RemoteCollection:
    """Models below a URI of fsspec."""

    needs_network = True

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")

    def place_of(self, name: str, version: str) -> str:
        """URI of a model."""
        return f"{self.uri}/{name}/{version}"

    def registry(self) -> bytes | None:
        """Content of `registry.json`."""
        try:
            with open_remote(f"{self.uri}/{REGISTRY}", self.uri) as stream:
                return stream.read(MAXIMUM_BYTES + 1)
        except HubUnreachable as error:
            if isinstance(error.__cause__, FileNotFoundError) and _is_absent(error.__cause__):
                return None
            raise

    def put_model(self, offer: Offer) -> None:
        """Write the files, then the manifest."""
        card = offer.manifest.card
        place = self.place_of(card.name, card.version)
        for file in offer.manifest.files:
            self._write(f"{place}/{file.path}", offer.read(file))
        self._write(f"{place}/{MANIFEST}", offer.manifest_bytes)

    def put_registry(self, content: bytes) -> None:
        """Replace `registry.json`: one object, one request."""
        self._write(f"{self.uri}/{REGISTRY}", content)

    def _write(self, uri: str, content: bytes) -> None:
        with _failures_told(self.uri):
            system, path = _system(uri)
            try:
                system.pipe_file(path, content)
            except NotImplementedError as error:
                detail = f"{scheme_of(uri)}: can only be read"
                raise PushRefused(self.uri, uri, detail) from error


def open_remote(uri: str, hub: str) -> BinaryIO:
    """Open a file; what cannot be opened is told with its cause.

    Raises
    ------
    HubUnreachable

    """
    for pause in _PAUSES:
        try:
            return _opened(uri, hub)
        except HubUnreachable as error:
            cause = error.__cause__
            if isinstance(cause, PermissionError) or (
                isinstance(cause, FileNotFoundError) and _is_absent(cause)
            ):
                raise
            time.sleep(pause)
    return _opened(uri, hub)


def _opened(uri: str, hub: str) -> BinaryIO:
    with _failures_told(hub):
        system, path = _system(uri)
        stream = system.open(path, "rb", block_size=_BLOCK, cache_type="readahead")
        return cast(BinaryIO, _RemoteFile(stream, hub))


class _RemoteFile:
    """A file whose failures to read are the hub's, whatever class the file system gives them."""

    def __init__(self, stream: Any, hub: str) -> None:
        self._stream, self._hub = stream, hub

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes."""
        with _failures_told(self._hub):
            content: bytes = self._stream.read(size)
            return content

    def close(self) -> None:
        """Close the connection."""
        with suppress(Exception):
            self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _system(uri: str) -> tuple[Any, str]:
    options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
    if scheme_of(uri) == "s3":
        options["config_kwargs"] = {
            "connect_timeout": _SECONDS,
            "read_timeout": _SECONDS,
            "retries": {"max_attempts": 4},
        }
    elif scheme_of(uri) in ("http", "https"):
        # aiohttp asks the environment for proxies only when told to, and follows ten redirects.
        options["client_kwargs"] = {"trust_env": True}
    system, path = fsspec.url_to_fs(uri, **options)
    return system, str(path)


@contextmanager
def _failures_told(uri: str) -> Iterator[None]:
    try:
        yield
    except (HubUnreachable, PushRefused):
        raise
    except FileNotFoundError as error:
        raise HubUnreachable(
            uri, f"it has no {error.args[-1] if error.args else 'file'}"
        ) from error
    except PermissionError as error:
        detail = f"access denied ({error}); it takes the credentials of the environment"
        raise HubUnreachable(uri, detail) from error
    except Exception as error:  # each file system has classes of its own
        raise HubUnreachable(uri, _in_words(error)) from error


def _is_absent(error: FileNotFoundError) -> bool:
    """Whether the server said so; fsspec says the same of a server that cannot be reached."""
    root = _root(error)
    told = type(root).__name__
    broken = isinstance(root, OSError) and not isinstance(root, FileNotFoundError)
    return not (broken or "Connect" in told or "Timeout" in told)


def _root(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def _in_words(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
