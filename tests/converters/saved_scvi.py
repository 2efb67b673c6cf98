"""Small folders as scvi-tools saves them, made without it, and the same as torch runs it.

Modules are named as scvi-tools names them (scvi/nn/_base_components.py), so their state dicts are.
"""

from collections import OrderedDict, defaultdict

import numpy as np
import torch
from torch import nn

GENES, BATCHES, LABELS = 12, ("one", "two"), ("alpha", "beta", "delta")


class FCLayers(nn.Module):
    def __init__(self, inputs, hidden, layers, covariates, *, batch_norm, layer_norm, deep=True):
        super().__init__()
        self.covariates, self.deep = covariates, deep
        widths = [inputs] + [hidden] * layers
        told = [covariates * (deep or i == 0) for i in range(layers)]
        self.fc_layers = nn.Sequential(
            OrderedDict(
                (
                    f"Layer {i}",
                    nn.Sequential(
                        nn.Linear(widths[i] + told[i], hidden),
                        nn.BatchNorm1d(hidden, momentum=0.01, eps=0.001) if batch_norm else None,
                        nn.LayerNorm(hidden, elementwise_affine=False) if layer_norm else None,
                        nn.ReLU(),
                        nn.Dropout(0.1),
                    ),
                )
                for i in range(layers)
            )
        )

    def forward(self, x, told=None):
        for i, layers in enumerate(self.fc_layers):
            for layer in layers:
                if layer is None:
                    continue
                if isinstance(layer, nn.Linear) and told is not None and (self.deep or i == 0):
                    x = torch.cat([x, told.expand(len(x), -1)], dim=1)
                x = layer(x)
        return x


class Encoder(nn.Module):
    def __init__(self, hidden, latent, *fc, **norms):
        super().__init__()
        self.encoder = FCLayers(GENES, hidden, *fc, **norms)
        self.mean_encoder = nn.Linear(hidden, latent)
        self.var_encoder = nn.Linear(hidden, latent)


class Classifier(nn.Module):
    def __init__(self, hidden, latent, layers, linear, **norms):
        super().__init__()
        parts = [] if linear else [FCLayers(latent, hidden, layers, 0, **norms)]
        self.classifier = nn.Sequential(*parts, nn.Linear(latent if linear else hidden, 3))


class Network(nn.Module):
    """The part of scvi-tools' module that gives embedding and probabilities."""

    def __init__(
        self, *, layers=1, batch_norm=True, layer_norm=False, told=0, deep=True, log=True,
        classifier=True, linear=False, hidden=8, latent=3, **_
    ):  # fmt: skip
        super().__init__()
        torch.manual_seed(1)
        norms = {"batch_norm": batch_norm, "layer_norm": layer_norm}
        self.log = log
        self.z_encoder = Encoder(hidden, latent, layers, told, deep=deep, **norms)
        self.px_r = nn.Parameter(torch.randn(GENES))
        if classifier:
            self.classifier = Classifier(hidden, latent, layers, linear, **norms)
        for module in self.modules():  # as if trained
            if isinstance(module, nn.BatchNorm1d):
                nn.init.uniform_(module.weight, 0.5, 2)
                nn.init.normal_(module.bias)
                module.running_mean.normal_()
                module.running_var.uniform_(0.3, 3)
        self.eval()

    @torch.no_grad()
    def answers(self, counts, told=None):
        x = torch.from_numpy(counts)
        h = self.z_encoder.encoder(torch.log1p(x) if self.log else x, told)
        z = self.z_encoder.mean_encoder(h)
        found = {"embedding": z.numpy()}
        if hasattr(self, "classifier"):
            found["prob"] = torch.softmax(self.classifier.classifier(z), dim=1).numpy()
        return found


def content_of(network, choices, *, model="SCANVI", genes=GENES, setup=(), batches=BATCHES):
    """What `save()` writes, as plain objects."""
    registries = defaultdict(dict)
    known = np.array([*LABELS, "Unknown"], dtype=object)
    registries["labels"] = {"state_registry": {"categorical_mapping": known}}
    names = np.array(batches, dtype=object)
    registries["batch"] = {"state_registry": {"categorical_mapping": names}}
    return {
        "model_state_dict": network.state_dict(),
        "var_names": np.array([f"GENE{i}" for i in range(genes)], dtype=object),
        "attr_dict": {
            "init_params_": {"non_kwargs": {"n_layers": 1}, "kwargs": {"model_kwargs": choices}},
            "registry_": {
                "model_name": model,
                "scvi_version": "1.4.2",
                "setup_args": {"batch_key": "donor", **dict(setup)},
                "field_registries": registries,
            },
            "unlabeled_category_": "Unknown",
            "train_indices_": np.arange(5),
        },
    }


def save(folder, content):
    """Write a folder's `model.pt`."""
    folder.mkdir(exist_ok=True)
    torch.save(content, folder / "model.pt")
    return folder
