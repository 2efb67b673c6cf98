"""What the card claims about its scope; `{{row id}}` is replaced by the measured number."""

from __future__ import annotations

import re

INTENDED = (
    "A first labelling of human blood (PBMC) cells from 10x 3' data into eight types, with a "
    "statement for each cell of how far the label may be trusted",
    "Files with a reduced gene list, as long as the gene coverage reaches the card's minimum",
)

OUT_OF_SCOPE = (
    "Other organisms and tissues: most such cells get an `out` verdict, not a label",
    "Diagnosis or any decision about a patient",
    "Subtypes (naive, memory, regulatory cells), states, and rare types that pbmc3k lacks: "
    "plasma cells, plasmacytoid dendritic cells, progenitors, erythrocytes",
    "TPM, corrected, scaled or negative values",
)

WORKS_WELL = (
    "Another 10x chemistry and another donor, through a list of 1,767 variable genes: accuracy "
    "{{symphony-pbmc-3pv2.model.accuracy}}, where logistic regression with zeros for the missing "
    "genes reaches {{symphony-pbmc-3pv2.logistic_regression.accuracy}} and trained on the shared "
    "genes {{symphony-pbmc-3pv2-shared-genes.logistic_regression.accuracy}}",
    "CD4 against CD8 T cells there: {{symphony-pbmc-3pv2.model.cd4_cd8_accuracy}} right, against "
    "{{symphony-pbmc-3pv2.logistic_regression.cd4_cd8_accuracy}} for logistic regression",
    "Conformal sets keep their promise of 90% on held-out cells "
    "({{pbmc3k-test.model.coverage}}) and across chemistries "
    "({{symphony-pbmc-3pv1.model.coverage}} and {{symphony-pbmc-3pv2.model.coverage}}) with sets "
    "of hardly more than one type ({{symphony-pbmc-3pv2.model.set_size}})",
    "Three quarters of the genes removed at random: accuracy "
    "{{pbmc3k-removed-0-75.model.accuracy}}, logistic regression "
    "{{pbmc3k-removed-0-75.logistic_regression.accuracy}}",
    "A wrong tissue: pancreatic islet cells get an `out` verdict in a share of "
    "{{pancreas.model.out_share}}",
    "CD14+ monocytes, had they not been taught: {{unseen-cd14+-monocytes.model.out_share}} get an "
    "`out` verdict",
)

WORKS_POORLY = (
    "Monocytes after stimulation: of the CD14+ monocytes under interferon beta only "
    "{{kang-ifnb-stim.model.recall-cd14+-monocytes}} are found, the others are called FCGR3A+; in "
    "the unstimulated cultured cells {{kang-ifnb-ctrl.model.recall-cd14+-monocytes}}",
    "Stimulated cells as a whole: accuracy {{kang-ifnb-stim.model.accuracy}}; the nearest centroid "
    "in PCA space does better there ({{kang-ifnb-stim.nearest_centroid.accuracy}})",
    "Conformal sets in the cultured, lupus and stimulated cells of Kang hold the true type less "
    "often than promised: {{kang-ifnb-ctrl.model.coverage}} and "
    "{{kang-ifnb-stim.model.coverage}} instead of 0.9",
    "In its own data set it is no better than logistic regression: {{pbmc3k-test.model.accuracy}} "
    "against {{pbmc3k-test.logistic_regression.accuracy}}",
    "Types that it was not taught and that resemble a known one pass as that one: with NK cells "
    "left out of training a share of {{unseen-nk-cells.model.not_in_share}} of them gets a verdict "
    "other than `in`, with CD4 T cells left out {{unseen-cd4-t-cells.model.not_in_share}}, with "
    "FCGR3A+ monocytes left out {{unseen-fcgr3a+-monocytes.model.not_in_share}}",
    "Megakaryocytes (9 in training) in another data set: share found "
    "{{symphony-pbmc-3pv2.model.recall-megakaryocytes}}",
    "Very shallow cells: with 5% of the molecules kept, coverage falls to "
    "{{pbmc3k-thinned-0-05.model.coverage}}",
)


def named_rows() -> frozenset[str]:
    """Ids of all rows that a claim names."""
    text = " ".join((*WORKS_WELL, *WORKS_POORLY))
    return frozenset(re.findall(r"\{\{\s*([^{}]+?)\s*\}\}", text))
