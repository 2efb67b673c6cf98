"""What the extra `convert` holds is enough for importers of other packages than torch."""

from __future__ import annotations

import subprocess
import sys

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
import converters.importing.converting
from zoo.importers import find_importer, importer_names
for name in importer_names():
    print(find_importer(name).name)
from pathlib import Path
from converters.importing.torch_file import read_torch
from zoo.errors import MissingExtra
try:
    read_torch(Path("weights.pt"), "torch")
except MissingExtra as error:
    print(error)
"""


def test_importers_are_listed_and_most_work_without_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert {"celltypist", "sklearn", "scvi", "torch"} <= set(done.stdout.split())
    assert "pip install 'cellzoo[train]'" in done.stdout


def test_a_conversion_without_the_extra_names_it() -> None:
    script = WITHOUT_TORCH.split("import converters", maxsplit=1)[0] + (
        'sys.modules["converters.importing.converting"] = None\n'
        "from zoo.cli import execute\n"
        'sys.exit(execute(["convert", "sklearn", "model.pkl", "-o", "model"]))'
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "pip install 'cellzoo[convert]'" in done.stderr
