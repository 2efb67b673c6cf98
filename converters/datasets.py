"""The public data sets that recipes train on and test with: file, digest, terms and label mapping.

The files are read from a folder that the caller names; none of them is part of the repository.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse

from zoo.digest import sha256_of_file

Strings = npt.NDArray[np.str_]
Flags = npt.NDArray[np.bool_]

NO_COUNTERPART = ""
"""Label of a cell whose published type the model does not know."""


@dataclass(frozen=True)
class Study:
    """One file of public cells, with its terms.

    Attributes
    ----------
    label_mapping
        Published labels → the model's labels; labels that are absent have no counterpart.
    group_column
        Column of `obs` by which results are reported apart (chemistry, condition).
    log_transformed
        Values are log(1 + counts per 10,000), to be turned back into counts.
    donor_independent, study_independent
        Against pbmc3k; None where it is not known. By group where they differ.

    """

    name: str
    file: str
    sha256: str
    accession: str
    source: str
    license: str
    attribution: str
    donors: int | None
    label_mapping: Mapping[str, str]
    group_column: str | None = None
    log_transformed: bool = False
    donor_independent: bool | None = True
    study_independent: bool | None = True
    groups_of_same_donor: tuple[str, ...] = ()
    group_names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cells:
    """Cells in memory.

    Attributes
    ----------
    counts
        float32 CSR [cells, genes].
    symbols, gene_ids
        str [genes]; unversioned Ensembl ids where the file has them.
    labels
        str [cells]: label in the model's words, `NO_COUNTERPART` where there is none.
    published
        str [cells]: label as published.
    group
        str [cells]: chemistry or condition.

    """

    counts: sparse.csr_matrix
    symbols: Strings
    gene_ids: Strings | None
    names: Strings
    labels: Strings
    published: Strings
    group: Strings

    def __len__(self) -> int:
        return int(self.counts.shape[0])

    def where(self, keep: Flags) -> Cells:
        """The cells for which `keep` is true."""
        return replace(
            self,
            counts=self.counts[keep],
            names=self.names[keep],
            labels=self.labels[keep],
            published=self.published[keep],
            group=self.group[keep],
        )

    def gene(self, symbol: str) -> npt.NDArray[np.float32]:
        """float32 [cells]: counts of one gene."""
        column = int(np.flatnonzero(self.symbols == symbol)[0])
        return np.asarray(self.counts[:, [column]].todense(), dtype=np.float32).ravel()


def data_folder() -> Path:
    """Folder of the data files: `ZOO_DATA`, or `shared/data` beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("ZOO_DATA", beside))


def read(study: Study, folder: Path) -> Cells:
    """Read a study's file after checking that it is the one that the recipe names.

    Raises
    ------
    FileNotFoundError
    ValueError
        If the file's sha256 is another one.

    """
    import anndata

    path = folder / study.file
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: give the folder of the data with --data")
    if (digest := sha256_of_file(path)) != study.sha256:
        raise ValueError(f"{path} has sha256 {digest}, the recipe was made for {study.sha256}")
    table = anndata.read_h5ad(path)
    counts = sparse.csr_matrix(table.X, dtype=np.float32)
    published = table.obs["cell_type"].astype(str).to_numpy(dtype=np.str_)
    group = np.full(len(published), "all", dtype=np.str_)
    if study.group_column is not None:
        group = table.obs[study.group_column].astype(str).to_numpy(dtype=np.str_)
    ids = table.var["gene_ids"].astype(str).to_numpy(np.str_) if "gene_ids" in table.var else None
    return Cells(
        counts=counts_from_log(counts) if study.log_transformed else counts,
        symbols=table.var_names.to_numpy(dtype=np.str_),
        gene_ids=ids,
        names=table.obs_names.to_numpy(dtype=np.str_),
        labels=np.array([study.label_mapping.get(name, NO_COUNTERPART) for name in published]),
        published=published,
        group=group,
    )


def counts_from_log(values: sparse.csr_matrix) -> sparse.csr_matrix:
    """Counts behind log(1 + scaled counts): a cell's smallest nonzero value was one count."""
    counts = values.astype(np.float64).tocsr(copy=True)
    counts.data = np.expm1(counts.data)
    for start, stop in zip(counts.indptr[:-1], counts.indptr[1:], strict=True):
        if stop > start:
            row = counts.data[start:stop]
            counts.data[start:stop] = np.round(row / row[row > 0].min())
    return counts.astype(np.float32)


_PBMC3K_LABELS = (
    "CD4 T cells", "CD8 T cells", "NK cells", "B cells", "CD14+ Monocytes", "FCGR3A+ Monocytes",
    "Dendritic cells", "Megakaryocytes",
)  # fmt: skip

PBMC3K = Study(
    name="pbmc3k",
    file="pbmc3k_10x.h5ad",
    sha256="aefc7832b275ff4b0494a0c05c2b5e00c9f8081e2981e02e432438d852a28819",
    accession="10x pbmc3k (2016)",
    source="10x Genomics, 3k PBMCs from a healthy donor (counts as in PyPI desc 2.1.1); labels: "
    "the clusters of the scanpy tutorial, annotated by markers (from cellxgene's test files)",
    license="CC-BY-4.0 (counts), MIT and BSD-3-Clause (labels)",
    attribution="10x Genomics, 3k PBMCs from a Healthy Donor (2016), CC BY 4.0; labels from the "
    "scanpy tutorial as shipped with cellxgene",
    donors=1,
    label_mapping={name: name for name in _PBMC3K_LABELS},
    donor_independent=False,
    study_independent=False,
)

SYMPHONY = Study(
    name="symphony-pbmc",
    file="pbmc_symphony_2tech_lognorm.h5ad",
    sha256="53bf7f8af333b88c08d9856fb0626ce028936c719654eca4271700aaa71d0fc7",
    accession="10x 3' v1, 3' v2 PBMC public data sets, as in Kang et al. 2021 (Symphony)",
    source="immunogenomics/symphony, data/pbmcs_exprs_small.rda: log counts per 10,000 of 1,767 "
    "variable genes",
    license="GPL-3.0-or-later (package)",
    attribution="Kang et al. 2021 (Symphony); 10x Genomics public PBMC data sets",
    donors=None,
    label_mapping={
        "T_CD4": "CD4 T cells", "T_CD8": "CD8 T cells", "NK": "NK cells", "B": "B cells",
        "Mono_CD14": "CD14+ Monocytes", "Mono_CD16": "FCGR3A+ Monocytes", "DC": "Dendritic cells",
        "MK": "Megakaryocytes",
    },
    group_column="batch",
    log_transformed=True,
    groups_of_same_donor=("3pv1",),
    group_names={"3pv1": "10x 3' v1", "3pv2": "10x 3' v2"},
)  # fmt: skip

KANG = Study(
    name="kang-ifnb",
    file="kang18_ifnb_muscat.h5ad",
    sha256="7db3b389d7e7a4a95909b0d5ba804c041774d808b097ad91a8e9237ea610f6c7",
    accession="GSE96583",
    source="HelenaLC/muscat, data/sce.rda: donors 101 and 107, 1,267 genes",
    license="GPL-3.0 (package); GEO public",
    attribution="Kang et al. 2018, GSE96583; subset by muscat",
    donors=2,
    label_mapping={
        "CD4 T cells": "CD4 T cells", "CD8 T cells": "CD8 T cells", "B cells": "B cells",
        "CD14+ Monocytes": "CD14+ Monocytes", "FCGR3A+ Monocytes": "FCGR3A+ Monocytes",
    },
    group_column="condition",
    group_names={"ctrl": "control", "stim": "interferon beta"},
)  # fmt: skip

BARON_HUMAN = Study(
    name="pancreas-baron-human",
    file="pancreas_baron_human_3donors.h5ad",
    sha256="22fce775e10b8bf0e840ec21822cec55cf498486f524734b3cdb0c83b727e83e",
    accession="GSE84133",
    source="PyPI came 0.1.13, Baron et al. 2016: donors 1 to 3, inDrop",
    license="MIT (package); GEO public",
    attribution="Baron et al. 2016, GSE84133; subset by came",
    donors=3,
    label_mapping={},
)
