"""What aeacus itself says of the cells of a file; run by `reference.sh` where it is installed.

    python reference.py CELLS.h5ad ANSWERS.h5

Counts are normalized as the package says for raw UMI counts (`norm_type="cpm_log1p"`).
"""

import sys
from importlib.metadata import version

import anndata
import h5py
import numpy as np
from aeacus import Profiler


def main(source: str, target: str) -> None:
    """Ask the package, and write its answers."""
    cells = anndata.read_h5ad(source)
    told = Profiler(test_input=cells, norm_type="cpm_log1p", device="cpu").load().profile()
    malignant = told.obs["malignancy_score"].to_numpy(dtype=np.float32)
    call = (told.obs["malignancy_call"] == "Malignant").to_numpy()
    with h5py.File(target, "w") as file:
        file.attrs["made_with"] = f"aeacus {version('aeacus')} (torch {version('torch')})"
        for name, values in (
            ("label", call.astype(np.int64)),
            ("prob", np.stack([1 - malignant, malignant], axis=1)),
        ):
            file.create_dataset(name, data=values, compression="gzip", shuffle=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
