"""HTTP with bounded patience: each request has a time limit and a number of attempts.

Standard library alone. Proxies and CA bundles are those of the environment, as for other programs.
"""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import IO, BinaryIO, Self
from urllib.parse import urljoin, urlsplit

from zoo.errors import HubUnreachable

_BUSY = {408, 429, 500, 502, 503, 504}
_LONGEST_PAUSE = 30.0
_MOST_REDIRECTS = 5


@dataclass(frozen=True)
class Ask:
    """A request.

    Attributes
    ----------
    body
        Bytes, or what opens a stream of `size` bytes anew for each attempt.
    repeatable
        Whether a second attempt does no harm.

    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Callable[[], BinaryIO] | None = None
    size: int = 0
    repeatable: bool = True


class Answer:
    """A response whose body has not been read."""

    def __init__(self, status: int, headers: Message, stream: IO[bytes], url: str) -> None:
        self.status, self.headers, self.stream, self.url = status, headers, stream, url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def read(self, limit: int) -> bytes:
        """At most `limit` bytes of the body."""
        pieces, left = [], limit
        while left > 0 and (piece := self.stream.read(left)):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)


class _Unfollowed(urllib.request.HTTPRedirectHandler):
    """Redirects are followed below, where a login can be kept from another host."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


class Exchange:
    """Requests to one hub.

    `uri` is what errors call it; `pause` waits some seconds.
    """

    def __init__(
        self,
        uri: str,
        *,
        timeout: float = 60.0,
        attempts: int = 4,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.uri, self.attempts, self.pause = uri, attempts, pause
        self._timeout = timeout
        self._opener = urllib.request.build_opener(_Unfollowed)

    def send(self, ask: Ask) -> Answer:
        """The answer to a request, whatever its status; redirects of GET and HEAD are followed.

        Raises
        ------
        HubUnreachable
            If there is none, or if the hub stays too busy to give another than 429 or 5xx.

        """
        attempts = self.attempts if ask.repeatable else 1
        detail = ""
        for attempt in range(attempts):
            if attempt:
                self.pause(min(2.0 ** (attempt - 1), _LONGEST_PAUSE))
            try:
                answer = self._followed(ask)
            except (OSError, http.client.HTTPException) as error:
                detail = reason_of(error)
                if isinstance(getattr(error, "reason", error), ssl.SSLCertVerificationError):
                    break  # it will be the same one again
                continue
            if answer.status not in _BUSY or attempt == attempts - 1:
                return answer
            detail = f"status {answer.status}"
            answer.stream.close()
        raise HubUnreachable(self.uri, detail)

    def _followed(self, ask: Ask) -> Answer:
        url, headers = ask.url, dict(ask.headers)
        for _ in range(_MOST_REDIRECTS):
            answer = self._once(ask, url, headers)
            location = answer.headers.get("Location")
            if answer.status not in (301, 302, 303, 307, 308) or not location:
                return answer
            if ask.method not in ("GET", "HEAD"):
                return answer
            answer.stream.close()
            target = urljoin(url, location)
            if urlsplit(target).netloc != urlsplit(url).netloc:
                headers.pop("Authorization", None)
            safe = {"https"} if urlsplit(url).scheme == "https" else {"http", "https"}
            if urlsplit(target).scheme not in safe:  # no login and no model goes unencrypted
                raise HubUnreachable(self.uri, f"it redirects to {target!r}")
            url = target
        raise HubUnreachable(self.uri, "it redirects in circles")

    def _once(self, ask: Ask, url: str, headers: Mapping[str, str]) -> Answer:
        body = ask.body() if callable(ask.body) else ask.body
        sent = dict(headers)
        if body is not None:
            sent["Content-Length"] = str(len(body) if isinstance(body, bytes) else ask.size)
            sent.setdefault("Content-Type", "application/octet-stream")
        request = urllib.request.Request(url, data=body, headers=sent, method=ask.method)
        try:
            got = self._opener.open(request, timeout=self._timeout)
        except urllib.error.HTTPError as error:  # any status beyond 2xx
            got = error
        finally:
            if body is not None and not isinstance(body, bytes):
                body.close()
        return Answer(got.status or 0, got.headers, got, url)


def reason_of(error: BaseException) -> str:
    """Why a request failed, in a few words."""
    cause = getattr(error, "reason", None) or error
    if isinstance(cause, TimeoutError):
        return "no answer within the time limit"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted here ({cause.verify_message})"
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
