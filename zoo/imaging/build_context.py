"""What `docker build` is given: the sources of an image, and what this machine's pip needs.

From a checkout the sources are the checkout's; from an installed package they are the package
itself and `embedded/source/`, where the wheel keeps what lies outside of it:

    containers/            Dockerfiles, strip.py, with/ (pins, a CA bundle, wheels)
    pyproject.toml hatch_build.py README.md LICENSE registry.json
    zoo/ converters/
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from zoo.errors import FileMissing, NoImageSources
from zoo.hubs.embedded import embedded_root

_FILES = ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE")
_PACKAGE = Path(__file__).parents[1]
# Where `containers/with/` lies in the build stage.
_WITH = "/source/with"
# pip's own word for a CA bundle first, then those of other programs.
_CERTIFICATES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
_PASSED = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT")


@dataclass(frozen=True)
class PipNeeds:
    """How pip reaches packages from this machine, in the build stage alone.

    Attributes
    ----------
    certificates
        A CA bundle.
    constraints
        A file of pins.
    wheels
        A folder of wheels that are taken before those of an index.
    offline
        Whether there is no index at all.
    passed
        Variables that pip reads, passed on as they are.

    """

    certificates: Path | None = None
    constraints: Path | None = None
    wheels: Path | None = None
    offline: bool = False
    passed: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        environ: Mapping[str, str] = os.environ,
        *,
        constraints: Path | None = None,
        wheels: Path | None = None,
        offline: bool = False,
    ) -> PipNeeds:
        """What the environment says, with a user's pins and wheels.

        Raises
        ------
        FileMissing

        """
        for path in (constraints, wheels):
            if path is not None and not path.exists():
                raise FileMissing(str(path))
        named = next((environ[name] for name in _CERTIFICATES if environ.get(name)), "")
        return cls(
            certificates=Path(named) if named and Path(named).is_file() else None,
            constraints=constraints,
            wheels=wheels,
            offline=offline,
            # A folder of this machine is not there in the build.
            passed={k: environ[k] for k in _PASSED if environ.get(k) and "file:" not in environ[k]},
        )

    def build_args(self) -> dict[str, str]:
        """The build arguments that say it."""
        args = dict(self.passed)
        if self.certificates:
            args["PIP_CERT"] = f"{_WITH}/ca.pem"
        if self.wheels:
            args["PIP_FIND_LINKS"] = f"{_WITH}/wheels"
        if self.offline:
            args["PIP_NO_INDEX"] = "1"
        return args


def write_context(folder: Path, needs: PipNeeds, *, package: Path = _PACKAGE) -> None:
    """Fill an empty folder with the sources of the images.

    Raises
    ------
    NoImageSources
        If this installation does not carry them.

    """
    source = _source(package)
    registry = embedded_root(package) / "registry.json"
    skipped = shutil.ignore_patterns("__pycache__", "embedded", "*.part")
    for name in _FILES:
        shutil.copyfile(source / name, folder / name)
    shutil.copyfile(registry, folder / "registry.json")
    shutil.copytree(source / "containers", folder / "containers", ignore=skipped)
    for path in (package, package.parent / "converters"):
        shutil.copytree(path, folder / path.name, ignore=skipped)
    given = folder / "containers" / "with"
    if needs.certificates:
        shutil.copyfile(needs.certificates, given / "ca.pem")
    if needs.constraints:
        shutil.copyfile(needs.constraints, given / "constraints.txt")
    if needs.wheels:
        shutil.copytree(needs.wheels, given / "wheels")


def _source(package: Path) -> Path:
    """The folder with what lies outside of the package."""
    carried = package / "embedded" / "source"
    source = carried if carried.is_dir() else package.parent
    missing = [name for name in (*_FILES, "containers") if not (source / name).exists()]
    if missing:
        raise NoImageSources(str(source), missing)
    return source
