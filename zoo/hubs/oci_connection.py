"""Requests to one repository of an OCI registry: its address, its login, and what answers mean.

A host that is this machine is spoken to without encryption, every other one with it.
"""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urljoin, urlsplit

from zoo.errors import HubDenied, HubUnreachable, PushRefused
from zoo.hubs.exchange import Answer, Ask, Exchange, reason_of
from zoo.hubs.oci_login import Authorization, Login, is_loopback, stored_login
from zoo.hubs.oci_reference import OciReference

_ERROR_TEXT = 2000


class BrokenOff(Exception):
    """The connection ended in the middle of something that can be begun again."""


class OciConnection:
    """What `OciRepository` speaks through; nothing is asked before a method is called.

    Attributes
    ----------
    uri
        What errors call the repository.
    base
        The address that its blobs and manifests lie below.

    """

    def __init__(
        self, reference: OciReference, exchange: Exchange | None, login: Login | None
    ) -> None:
        self.uri = str(replace(reference, tag="", digest=""))
        self._host, self._repository = reference.host, reference.repository
        self._exchange = exchange or Exchange(self.uri)
        stored = login or stored_login(reference.host)
        self._authorization = Authorization(self._exchange, stored)
        name = reference.host.rpartition(":")[0] or reference.host
        scheme = "http" if is_loopback(name) else "https"
        self.base = f"{scheme}://{reference.host}/v2/{reference.repository}"

    def send(self, ask: Ask, *, push: bool = False, also: str = "") -> Answer:
        """Send a request with what is known of a login, and once more with what is asked for.

        Parameters
        ----------
        push
            Whether the right to write is needed.
        also
            Another repository of the registry that is read.

        Raises
        ------
        HubUnreachable, HubDenied

        """
        scope = f"repository:{self._repository}:{'pull,push' if push else 'pull'}"
        if also:
            scope = f"{scope} repository:{also}:pull"
        answer = self._exchange.send(self._signed(ask, scope))
        challenge = answer.headers.get("WWW-Authenticate")
        if answer.status == 401 and challenge:
            answer.stream.close()
            self._authorization.answer(challenge, scope)
            answer = self._exchange.send(self._signed(ask, scope))
        if answer.status in (401, 403):
            with answer:
                raise HubDenied(self.uri, _said(answer))
        return answer

    def _signed(self, ask: Ask, scope: str) -> Ask:
        # An upload may be sent on to another host, which is no place for this login.
        if urlsplit(ask.url).netloc != self._host:
            return ask
        return replace(ask, headers={**ask.headers, **self._authorization.header(scope)})

    def found(self, answer: Answer, what: str) -> bool:
        """Whether an answer says that something is there.

        Raises
        ------
        HubUnreachable
            If it says neither.

        """
        if answer.status not in (200, 404):
            raise HubUnreachable(self.uri, f"{what}: {_said(answer)}")
        return answer.status == 200

    def accepted(self, answer: Answer, what: str, *wanted: int) -> None:
        """Make sure that what was sent was taken.

        Raises
        ------
        PushRefused

        """
        if answer.status not in wanted:
            raise PushRefused(self.uri, what, _said(answer))

    def repeated(self, act: Callable[[], None]) -> None:
        """Do something again from its start where the connection broke in between.

        Raises
        ------
        HubUnreachable
            If it broke each time.

        """
        for attempt in range(self._exchange.attempts):
            if attempt:
                self._exchange.pause(2.0 ** (attempt - 1))
            try:
                return act()
            except (BrokenOff, OSError, http.client.HTTPException) as error:
                detail = reason_of(error)
        raise HubUnreachable(self.uri, detail)


def location_of(answer: Answer) -> str:
    """Where an answer sends the next request."""
    return urljoin(answer.url, answer.headers.get("Location", ""))


def _said(answer: Answer) -> str:
    """Status and, where the registry tells it, the reason."""
    text = answer.read(_ERROR_TEXT).decode("utf-8", "replace")
    match = re.search(r'"message"\s*:\s*"([^"]*)"', text)
    return f"status {answer.status}" + (f", {match.group(1)}" if match else "")
