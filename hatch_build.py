"""Build hook: a wheel carries the embedded hub, an editable install points at the checkout.

hatchling's static `force-include` also copies into site-packages for an editable install, where
the copy goes stale as soon as a card changes. Here the copy is made for a standard wheel alone;
`zoo.hubs.embedded` looks beside the package first and in the checkout second.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# What `zoo image build runner` needs beside the package to build from an installed wheel.
SOURCES = ("containers", "pyproject.toml", "hatch_build.py", "README.md", "LICENSE")


class EmbeddedHubHook(BuildHookInterface):
    """Force-include `registry.json` and `cards/` as `zoo/embedded/` in standard wheels."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the embedded hub, and the sources of images, to the files of a standard wheel."""
        if version == "editable":
            return
        root, included = Path(self.root), build_data["force_include"]
        for name in ("registry.json", "cards"):
            included[str(root / name)] = f"zoo/embedded/{name}"
        for name in SOURCES:
            if (root / name).exists():  # a build inside an image has no use for them
                included[str(root / name)] = f"zoo/embedded/source/{name}"
