"""Places in OCI registries: `oci://HOST[:PORT]/REPOSITORY[:TAG][@sha256:…]`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from zoo.errors import MalformedOciReference

_REFERENCE = re.compile(
    r"oci://(?P<host>[\w.-]+(?::\d{1,5})?)"
    r"/(?P<repository>[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)


@dataclass(frozen=True)
class OciReference:
    """A place in a registry: `oci://HOST[:PORT]/REPOSITORY[:TAG][@sha256:…]`."""

    host: str
    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, uri: str) -> Self:
        """Read a URI.

        Raises
        ------
        MalformedOciReference

        """
        match = _REFERENCE.fullmatch(uri)
        if match is None:
            raise MalformedOciReference(uri)
        return cls(**{key: value or "" for key, value in match.groupdict().items()})

    @property
    def version(self) -> str:
        """What names the manifest: the digest before the tag, `latest` where none is said."""
        return self.digest or self.tag or "latest"

    def __str__(self) -> str:
        tag, digest = self.tag and f":{self.tag}", self.digest and f"@{self.digest}"
        return f"oci://{self.host}/{self.repository}{tag}{digest}"
