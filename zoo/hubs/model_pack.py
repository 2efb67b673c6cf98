"""Models in OCI registries, as ModelPack artifacts: `oci://HOST/REPOSITORY:TAG`.

https://github.com/modelpack/model-spec. Every file of a model is a layer of its own, not
compressed, so that two versions with the same weights share them; its name stands in
`org.cncf.model.filepath`, and in `org.opencontainers.image.title`, so that `oras pull` writes the
folder. A collection is `oci://HOST/NAMESPACE`, and its registry the artifact
`NAMESPACE/cellzoo-registry:latest`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any, BinaryIO

from zoo.digest import sha256_of
from zoo.errors import HubUnreachable
from zoo.hubs.collection import Offer
from zoo.hubs.oci import OciRepository
from zoo.hubs.oci_reference import OciReference
from zoo.manifest import FILE_NAME as MANIFEST
from zoo.manifest import FileRole
from zoo.manifest import Manifest as ModelManifest
from zoo.registry import FILE_NAME as REGISTRY

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
ARTIFACT = "application/vnd.cncf.model.manifest.v1+json"
CONFIG = "application/vnd.cncf.model.config.v1+json"
WEIGHTS = "application/vnd.cncf.model.weight.v1.raw"
WEIGHTS_CONFIG = "application/vnd.cncf.model.weight.config.v1.raw"
DOCUMENT = "application/vnd.cncf.model.doc.v1.raw"
DATASET = "application/vnd.cncf.model.dataset.v1.raw"
REPORT = "application/vnd.cellzoo.validation.v1+json"
"""Media type of the report of a validation, which refers to the model."""
REGISTRY_REPOSITORY = "cellzoo-registry"

_EMPTY = b"{}"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_REGISTRY_ARTIFACT = "application/vnd.cellzoo.registry.v1+json"
_FILE_PATH, _TITLE = "org.cncf.model.filepath", "org.opencontainers.image.title"
_MEDIA_TYPES: dict[FileRole, str] = {
    "graph": WEIGHTS,
    "explain": WEIGHTS,
    "variant": WEIGHTS,
    "genes": WEIGHTS_CONFIG,
    "labels": WEIGHTS_CONFIG,
    "pathways": WEIGHTS_CONFIG,
    "card": DOCUMENT,
    "figure": DOCUMENT,
    "measurements": DOCUMENT,
    "sample": DATASET,
    "expected": DATASET,
}


class ModelPackHub:
    """One model in a registry."""

    needs_network = True

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._repository = OciRepository(OciReference.parse(uri))
        self._layers: dict[str, tuple[str, int]] | None = None

    def open(self, path: str) -> BinaryIO:
        """Open one of the model's files; its digest was verified."""
        if self._layers is None:
            self._layers = layers_of(self._repository, self.uri)
        if path not in self._layers:
            raise HubUnreachable(self.uri, f"it has no file {path!r}")
        return self._repository.open_blob(*self._layers[path])


class ModelPackCollection:
    """The models of a namespace of a registry."""

    needs_network = True

    def __init__(self, uri: str) -> None:
        OciReference.parse(uri)
        self.uri = uri

    def place_of(self, name: str, version: str) -> str:
        """URI of a model."""
        return f"{self.uri}/{name}:{version}"

    def registry(self) -> bytes | None:
        """Content of `registry.json`."""
        place = f"{self.uri}/{REGISTRY_REPOSITORY}:latest"
        repository = OciRepository(OciReference.parse(place))
        if not repository.has_manifest():
            return None
        layers = layers_of(repository, place)
        if REGISTRY not in layers:
            raise HubUnreachable(place, f"it has no file {REGISTRY!r}")
        return repository.read_blob(*layers[REGISTRY])

    def put_model(self, offer: Offer) -> None:
        """Push every file that is not there, then the manifest that names them."""
        card = offer.manifest.card
        place = OciReference.parse(self.place_of(card.name, card.version))
        repository = OciRepository(place)
        layers = []
        for file in offer.manifest.files:
            content = offer.read(file)
            layers.append(_layer(repository, file.path, _MEDIA_TYPES[file.role], content))
        layers.append(_layer(repository, MANIFEST, WEIGHTS_CONFIG, offer.manifest_bytes))
        config = _pushed(repository, CONFIG, _json(model_config(offer.manifest)))
        annotations = {
            "org.opencontainers.image.title": card.reference,
            "org.opencontainers.image.description": card.summary,
            "org.opencontainers.image.licenses": card.license,
            "org.opencontainers.image.version": card.version,
        }
        content = _artifact(ARTIFACT, config, layers, annotations)
        digest = repository.push_manifest(content, MANIFEST_TYPE, card.version)
        if offer.attachment:
            subject = {"mediaType": MANIFEST_TYPE, "digest": digest, "size": len(content)}
            attach(repository, subject, REPORT, "validation.json", offer.attachment)

    def put_registry(self, content: bytes) -> None:
        """Push `registry.json` and move its tag."""
        place = OciReference.parse(f"{self.uri}/{REGISTRY_REPOSITORY}:latest")
        repository = OciRepository(place)
        layer = _layer(repository, REGISTRY, "application/json", content)
        config = _pushed(repository, _EMPTY_TYPE, _EMPTY)
        manifest = _artifact(_REGISTRY_ARTIFACT, config, [layer], {})
        repository.push_manifest(manifest, MANIFEST_TYPE)


def model_config(manifest: ModelManifest) -> dict[str, Any]:
    """The config blob of ModelPack: who and what, and the digests of the files."""
    card = manifest.card
    return {
        "descriptor": {
            "createdAt": f"{card.changelog[0].date}T00:00:00Z",
            "authors": [author.name for author in card.authors],
            "family": card.architecture,
            "name": card.name,
            "version": card.version,
            "title": card.summary,
            "datasetsURL": [],
            "licenses": [card.license],
        },
        "config": {"architecture": card.architecture, "format": "onnx", "precision": "float32"},
        "modelfs": {"type": "layers", "diffIds": [f"sha256:{f.sha256}" for f in manifest.files]},
    }


def layers_of(repository: OciRepository, uri: str) -> dict[str, tuple[str, int]]:
    """File name → digest and size, as an artifact's manifest lists them.

    Raises
    ------
    HubUnreachable
        If the manifest cannot be read.

    """
    try:
        manifest = json.loads(repository.manifest().content)
        found = {}
        for layer in manifest["layers"]:
            names = layer.get("annotations") or {}
            name = names.get(_FILE_PATH) or names.get(_TITLE)
            if isinstance(name, str):
                found[name] = (str(layer["digest"]), int(layer["size"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HubUnreachable(uri, "what lies there is no artifact with files") from error
    return found


# -- references between artifacts ----------------------------------------------------------------


def attach(
    repository: OciRepository, subject: dict[str, Any], kind: str, name: str, content: bytes
) -> str:
    """Push an artifact that refers to another; returns its digest.

    A registry without the referrers API is told by an index under the tag `sha256-<digest>`, as the
    distribution specification 1.1 has it.
    """
    layer = _layer(repository, name, kind, content)
    config = _pushed(repository, _EMPTY_TYPE, _EMPTY)
    manifest = _artifact(kind, config, [layer], {}, subject=subject)
    digest = f"sha256:{sha256_of(manifest)}"
    repository.push_manifest(manifest, MANIFEST_TYPE, digest)
    entry = {"mediaType": MANIFEST_TYPE, "digest": digest, "size": len(manifest),
             "artifactType": kind}  # fmt: skip
    repository.list_referrer(str(subject["digest"]), entry)
    return digest


def attached(uri: str, kind: str) -> list[bytes]:
    """What artifacts of a kind say that refer to a model, the oldest first."""
    repository = OciRepository(OciReference.parse(uri))
    found = []
    for entry in repository.referrers(repository.manifest().digest):
        if entry.get("artifactType") == kind:
            manifest = json.loads(repository.manifest(entry["digest"]).content)
            found += [
                repository.read_blob(layer["digest"], layer["size"]) for layer in manifest["layers"]
            ]
    return found


# -- pieces --------------------------------------------------------------------------------------


def _layer(repository: OciRepository, path: str, media_type: str, content: bytes) -> dict[str, Any]:
    pushed = _pushed(repository, media_type, content)
    return {**pushed, "annotations": {_FILE_PATH: path, _TITLE: path}}


def _pushed(repository: OciRepository, media_type: str, content: bytes) -> dict[str, Any]:
    digest = f"sha256:{sha256_of(content)}"
    opened: Callable[[], BinaryIO] = lambda: io.BytesIO(content)  # noqa: E731
    repository.push_blob(digest, len(content), opened)
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _artifact(
    kind: str,
    config: dict[str, Any],
    layers: list[dict[str, Any]],
    annotations: dict[str, str],
    *,
    subject: dict[str, Any] | None = None,
) -> bytes:
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": kind,
        "config": config,
        "layers": layers,
    }
    if annotations:
        manifest["annotations"] = annotations
    if subject:
        manifest["subject"] = subject
    return _json(manifest)


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
