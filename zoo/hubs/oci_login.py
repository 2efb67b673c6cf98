"""Logins of OCI registries: what `docker login` stored, and the tokens that registries give for it.

    $DOCKER_CONFIG/config.json or ~/.docker/config.json
        auths.<host>.auth            base64 of user:password
        credHelpers.<host>, credsStore   the program docker-credential-<…> keeps them

A registry says with its first 401 what it wants: the login itself (Basic) or a token (Bearer),
which is had from the address that it names.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from zoo.errors import HubDenied
from zoo.hubs.exchange import Ask, Exchange

_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_LARGEST_TOKEN = 1 << 20
_DOCKER_HUB = {"docker.io", "registry-1.docker.io", "index.docker.io"}


@dataclass(frozen=True)
class Login:
    """A user's name and password or access token."""

    user: str
    password: str

    @property
    def basic(self) -> str:
        """The value of a header `Authorization`."""
        return f"Basic {base64.b64encode(f'{self.user}:{self.password}'.encode()).decode()}"


def stored_login(host: str, environ: Mapping[str, str] = os.environ) -> Login | None:
    """What `docker login HOST` stored, if anything that can be read."""
    folder = environ.get("DOCKER_CONFIG") or str(Path.home() / ".docker")
    try:
        config: dict[str, Any] = json.loads((Path(folder) / "config.json").read_bytes())
    except (OSError, ValueError):
        return None
    names = [host, f"https://{host}"]
    if host in _DOCKER_HUB:
        names.append("https://index.docker.io/v1/")
    for name in names:
        helper = config.get("credHelpers", {}).get(name) or config.get("credsStore")
        found = _of_entry(config.get("auths", {}).get(name)) or _of_helper(helper, name)
        if found:
            return found
    return None


def _of_entry(entry: Any) -> Login | None:
    try:
        user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
    except (KeyError, TypeError, ValueError, binascii.Error):
        return None
    return Login(user, password) if user and password else None


def _of_helper(helper: str | None, host: str) -> Login | None:
    if not helper or not re.fullmatch(r"[\w.-]+", helper):
        return None
    words = [f"docker-credential-{helper}", "get"]
    try:
        ran = subprocess.run(
            words, input=host, capture_output=True, text=True, timeout=30, check=True
        )
        told = json.loads(ran.stdout)
        return Login(told["Username"], told["Secret"])
    except (OSError, ValueError, KeyError, subprocess.SubprocessError):
        return None


class Authorization:
    """The header that a registry wants, asked for when it first says so."""

    def __init__(self, exchange: Exchange, login: Login | None) -> None:
        self._exchange, self._login = exchange, login
        self._headers: dict[str, str] = {}

    def header(self, scope: str) -> dict[str, str]:
        """What is known so far for a scope, e.g. `repository:cellzoo/runner:pull`."""
        known = self._headers.get(scope)
        return {"Authorization": known} if known else {}

    def answer(self, challenge: str, scope: str) -> None:
        """Get what a header `WWW-Authenticate` asks for.

        Raises
        ------
        HubDenied, HubUnreachable

        """
        kind, _, rest = challenge.partition(" ")
        if kind.lower() == "basic":
            if self._login is None:
                raise HubDenied(self._exchange.uri, "it wants a login, and none is stored")
            self._headers[scope] = self._login.basic
        elif kind.lower() == "bearer":
            self._headers[scope] = f"Bearer {self._token(dict(_PARAMETER.findall(rest)), scope)}"
        else:
            raise HubDenied(self._exchange.uri, f"it wants {kind or 'nothing'!r}, unknown here")

    def _token(self, wanted: Mapping[str, str], scope: str) -> str:
        realm, denied = wanted.get("realm", ""), self._exchange.uri
        if not (realm.startswith("https://") or is_loopback(urlsplit(realm).hostname or "")):
            raise HubDenied(denied, f"it wants the login sent to {realm!r}, unencrypted")
        query = {"scope": scope}
        if "service" in wanted:
            query["service"] = wanted["service"]
        headers = {"Authorization": self._login.basic} if self._login else {}
        url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
        with self._exchange.send(Ask("GET", url, headers)) as answer:
            if answer.status != 200:
                raise HubDenied(denied, f"no token for {scope!r}: status {answer.status}")
            content = answer.read(_LARGEST_TOKEN)
        try:
            told = json.loads(content)
            return str(told.get("token") or told["access_token"])
        except (ValueError, KeyError, AttributeError) as error:
            raise HubDenied(denied, "the answer to the login holds no token") from error


def is_loopback(host: str) -> bool:
    """Whether a host is this very machine, where unencrypted HTTP harms nobody."""
    return host in ("localhost", "::1") or bool(re.fullmatch(r"127(\.\d{1,3}){3}", host))
