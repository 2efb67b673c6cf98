"""What a SAUCIE graph gives, in words for the card, and how exact it is across runtimes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.card import Output

if TYPE_CHECKING:
    from converters.saucie.recipe import SaucieSettings

# (atol, rtol) between torch and ONNX Runtime.
TOLERANCES = {
    "embedding": (1e-4, 1e-4),
    "imputed": (1e-3, 1e-3),
    "cluster": (0.0, 0.0),
    "cluster_distance": (1e-4, 1e-4),
    "recon_error": (1e-4, 1e-4),
    "ood_z": (1e-3, 1e-3),
    # One cell of the calibration table more or less.
    "ood_p": (2e-3, 0.0),
}


def outputs(settings: SaucieSettings, intensities: bool) -> tuple[Output, ...]:
    """The outputs, in the order of the graph."""
    by_codes = settings.cluster_by == "codes"
    return (
        Output(
            name="embedding",
            description=f"{settings.embedding} dimensions of the bottleneck",
            unit="arbitrary",
        ),
        Output(
            name="imputed",
            description="Intensities as the decoder gives them back"
            if intensities
            else "Expected counts at the cell's own depth, as the decoder gives them back",
            unit="intensity" if intensities else "counts",
        ),
        Output(
            name="cluster",
            description="Binary code of the clustering layer, -1 for a code that was rare in "
            "training"
            if by_codes
            else "Nearest k-means centroid of the training cells' embedding",
            unit="cluster index",
        ),
        Output(
            name="cluster_distance",
            description="Bits by which the cell's code differs from the nearest frozen one"
            if by_codes
            else "Distance to that centroid in the embedding",
            unit="bits" if by_codes else "embedding units",
        ),
        Output(
            name="recon_error",
            description="Mean squared error of the reconstruction over the genes present, held "
            "against their error in validation cells",
            unit="squared standard deviations",
        ),
        Output(
            name="ood_z",
            description="Standardised logarithm of recon_error among validation cells",
            unit="standard deviations",
        ),
        Output(
            name="ood_p",
            description="Share of validation cells with a recon_error at least as large",
            unit="p-value",
        ),
    )
