"""CellZoo: pretrained single-cell models, pulled by name and run on a file, with confidence.

>>> import zoo
>>> model = zoo.load("pbmc-celltype")  # doctest: +SKIP
>>> predictions = model.predict("my.h5ad")  # doctest: +SKIP
>>> zoo.annotate(adata, "pbmc-celltype")  # doctest: +SKIP

Importing this package is near free: what it offers is imported when it is first used.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from zoo.version import __version__

# ONNX Runtime's telemetry is on by default on Linux and writes into the home folder; it reads this
# variable when it is first imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from zoo.annotation import annotate
    from zoo.errors import ZooError
    from zoo.model import Model, load
    from zoo.predictions import Predictions

_HOMES = {
    "Model": "zoo.model",
    "Predictions": "zoo.predictions",
    "ZooError": "zoo.errors",
    "annotate": "zoo.annotation",
    "load": "zoo.model",
}

__all__ = ["Model", "Predictions", "ZooError", "__version__", "annotate", "load"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
