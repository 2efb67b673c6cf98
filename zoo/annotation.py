"""`zoo.annotate`: predictions written into an AnnData object, in scanpy's manner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.errors import MissingExtra
from zoo.model import Model, load
from zoo.predictions import CODED_COLUMNS, Predictions
from zoo.slides import COORDINATES
from zoo.writing.annotated_copy import key_prefix

if TYPE_CHECKING:
    from anndata import AnnData

_CATEGORICAL = (*CODED_COLUMNS, "label_id", "call_id", "group_call", "slide")


def annotate(
    adata: AnnData,
    model: str | Model,
    *,
    key_added: str | None = None,
    copy: bool = False,
    **options: Any,
) -> AnnData | None:
    """Predict every cell of `adata` and add the results to it.

    Adds `obs['<key>_label']`, `_label_id`, `_call`, `_call_id`, `_prob`, `_conformal_p`,
    `_set_size`, `_ood_z`, `_ood_p` and `_verdict`; `obsm['X_<key>']` with the embedding
    [cells, dims]; other outputs that were asked for as `obsm['<key>_<output>']`; and the provenance
    as `uns['cellzoo'][key]`. X is neither changed nor copied.

    Parameters
    ----------
    adata
        Cells by genes with counts in X, raw or a layer.
    model
        A name such as `pbmc-celltype`, or a loaded model.
    key_added
        Prefix of what is added; by default the model's name with underscores.
    copy
        Return an annotated copy and leave `adata` alone.
    options
        As `Model.predict`: `groups`, `source`, `outputs`, `force`, `device`, …

    Returns
    -------
    The annotated copy if `copy`, else None.

    Raises
    ------
    MissingExtra
        If anndata or pandas is not installed.
    ZooError
        As `Model.predict`; `adata` is then unchanged.

    """
    loaded = load(model) if isinstance(model, str) else model
    predictions = loaded.predict(adata, **options)
    target = adata.copy() if copy else adata
    _add(target, predictions, key_added or key_prefix(loaded.card.name))
    return target if copy else None


def _add(adata: AnnData, predictions: Predictions, key: str) -> None:
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtra("anndata", "annotate an AnnData object") from error
    for name, values in predictions.obs.items():
        column = pd.Categorical(values) if name in _CATEGORICAL else values
        adata.obs[f"{key}_{name}"] = column
    for name, array in predictions.obsm.items():
        if name == COORDINATES:  # they are the object's own
            continue
        adata.obsm[f"X_{key}" if name == "X_embedding" else f"{key}_{name}"] = array
    adata.uns["cellzoo"] = {**adata.uns.get("cellzoo", {}), key: dict(predictions.provenance)}
