"""From a saved folder to encoder and classifier: which choices are followed, which are refused.

The decoder stays behind, so whatever only it knows (likelihood, dispersion, library size, batches
and covariates that the encoder is not told) changes nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.importing.weights import Weights
from converters.scvi.saved.folder import FORMAT, SavedFolder
from converters.scvi.saved.layers import Layer, Numbers, hidden_layers
from zoo.errors import MissingWeights, UnsupportedWeights

# What a constructor takes where a folder says nothing else.
DEFAULTS: Mapping[str, Any] = {
    "log_variational": True,
    "latent_distribution": "normal",
    "encode_covariates": False,
    "deeply_inject_covariates": True,
    "batch_representation": "one-hot",
    "use_layer_norm": "none",
    "gene_likelihood": "zinb",
    "dispersion": "gene",
    "use_observed_lib_size": True,
}
_TOLD = (*DEFAULTS, "n_hidden", "n_latent", "n_layers", "linear_classifier")


@dataclass(frozen=True)
class Architecture:
    """What becomes the graph.

    Attributes
    ----------
    log_variational
        Whether the encoder sees log(1 + counts) instead of counts.
    encoder
        Hidden layers and, at last, the mean of z.
    classifier
        From the mean of z to logits; empty for SCVI.
    choices
        For the card.

    """

    log_variational: bool
    encoder: tuple[Layer, ...]
    classifier: tuple[Layer, ...]
    choices: Mapping[str, Any]

    @classmethod
    def of(cls, saved: SavedFolder, batch: str | None) -> Architecture:
        """Read the layers; `batch` is the one that the encoder is told, where it needs one.

        Raises
        ------
        UnsupportedWeights, MissingWeights, UnequalLengths, WeightsNotFinite

        """
        choices = {**DEFAULTS, **saved.choices()}
        weights = Weights(saved.path, FORMAT, saved.state)
        _ensure_followed(saved, choices)
        norm = choices["use_layer_norm"] in ("encoder", "both")
        encoder = hidden_layers(
            weights,
            "z_encoder.encoder",
            layer_norm=norm,
            covariates=_covariates(saved, choices, batch),
            deep=bool(choices["deeply_inject_covariates"]),
        )
        weights.ensure_equal("genes", len(saved.genes), "inputs", len(encoder[0].weight))
        encoder.append(Layer.of(weights, "z_encoder.mean_encoder"))
        return cls(
            bool(choices["log_variational"]),
            tuple(encoder),
            tuple(_classifier(saved, weights, norm)),
            {name: choices[name] for name in _TOLD if _is_plain(choices.get(name))},
        )

    def embedding(self, counts: npt.NDArray[Any]) -> Numbers:
        """Mean of z [cells, latent] of counts [cells, genes], in float64."""
        x = counts.astype(np.float64)
        x = np.log1p(x) if self.log_variational else x
        for layer in self.encoder:
            x = layer(x)
        return x

    def logits(self, z: Numbers) -> Numbers:
        """Logits [cells, classes] of z [cells, latent]."""
        for layer in self.classifier:
            z = layer(z)
        return z


def _ensure_followed(saved: SavedFolder, choices: Mapping[str, Any]) -> None:
    """Refuse what no deterministic encoder of counts can follow."""
    for name in DEFAULTS:
        if not _is_plain(choices[name]):
            part = f"a model with {name} of another kind than text, number or yes and no"
            raise UnsupportedWeights(str(saved.path), FORMAT, part, ["plain choices"])
    refused = {
        "latent_distribution": choices["latent_distribution"] != "normal",
        "var_activation": choices.get("var_activation") is not None,
        "extra_encoder_kwargs": bool(choices.get("extra_encoder_kwargs")),
        "use_labels_groups": "classifier_groups.classifier.0.weight" in saved.state
        or bool(choices.get("use_labels_groups")),
    }
    for name, is_refused in refused.items():
        if is_refused:
            part = f"a model with {name}={choices.get(name)!r}"
            accepted = ["normal latents, ReLU layers of one encoder, one classifier"]
            raise UnsupportedWeights(str(saved.path), FORMAT, part, accepted)


def _covariates(saved: SavedFolder, choices: Mapping[str, Any], batch: str | None) -> Numbers:
    """What the encoder is told beside counts: nothing, or always the same batch."""
    if not choices["encode_covariates"]:
        return np.zeros(0)
    for kind in ("categorical_covariate_keys", "continuous_covariate_keys"):
        if columns := saved.setup.get(kind):
            part = f"an encoder that is told the covariates {', '.join(map(str, columns))}"
            raise UnsupportedWeights(
                str(saved.path), FORMAT, part, ["encoders of counts alone, or with the batch"]
            )
    batches = saved.categories("batch")
    if len(batches) < 2:
        return np.zeros(0)
    if choices["batch_representation"] != "one-hot":
        part = "an encoder that is told the batch as an embedding"
        raise UnsupportedWeights(str(saved.path), FORMAT, part, ["batches as one-hot codes"])
    if batch not in batches:
        part = "an encoder that is told the batch" if batch is None else f"no batch {batch!r}"
        accepted = [f"it with '--set batch=NAME' for a batch of the training: {', '.join(batches)}"]
        raise UnsupportedWeights(str(saved.path), FORMAT, part, accepted)
    return np.array([float(name == batch) for name in batches])


def _classifier(saved: SavedFolder, weights: Weights, norm: bool) -> list[Layer]:
    """Hidden layers, if there are any, and the last linear one."""
    if saved.registry["model_name"] != "SCANVI":
        return []
    prefix = "classifier.classifier"
    if f"{prefix}.0.weight" in weights:
        return [Layer.of(weights, f"{prefix}.0")]
    if not any(name.startswith(f"{prefix}.") for name in saved.state):
        raise MissingWeights(str(saved.path), FORMAT, prefix)
    hidden = hidden_layers(
        weights, f"{prefix}.0", layer_norm=norm, covariates=np.zeros(0), deep=False
    )
    return [*hidden, Layer.of(weights, f"{prefix}.1")]


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)
