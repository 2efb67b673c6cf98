"""Errors about making images, about registries of images, and about running inside an image."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.errors.base import DataError, HubError, IntegrityError, OutputError, UsageError

# -- making --------------------------------------------------------------------------------------


class NoImageSources(UsageError):
    """The installation does not carry what images are built from."""

    example = {"folder": "/usr/lib/python3/dist-packages", "missing": ["containers"]}

    def __init__(self, folder: str, missing: Sequence[str]) -> None:
        self.folder, self.missing = folder, tuple(missing)
        super().__init__(
            f"This installation does not carry what images are built from: {folder!r} has no "
            f"{', '.join(missing)}.",
            "Run it in a checkout, or install cellzoo from its wheel.",
        )


class BuildFailed(HubError):
    """An engine could not build an image."""

    example = {"engine": "docker", "image": "cellzoo/runner:0.1.0"}

    def __init__(self, engine: str, image: str) -> None:
        self.engine, self.image = engine, image
        super().__init__(
            f"{engine!r} could not build {image!r}; its messages are above.",
            "Where no base image can be pulled, 'containers/base.sh' makes two: zoo image build "
            "runner --base-image cellzoo/base:build --runtime-image cellzoo/base:run",
        )


class BaseImageMissing(HubError):
    """The image that a model's image is put on is not there."""

    example = {"image": "cellzoo/runner:0.1.0", "place": "docker", "detail": "no such image"}

    def __init__(self, image: str, place: str, detail: str) -> None:
        self.image, self.place, self.detail = image, place, detail
        push = f" --push {image}" if image.startswith("oci://") else ""
        super().__init__(
            f"The base image {image!r} cannot be had from {place}: {detail}.",
            f"Make it with 'zoo image build runner{push}', or name another with --base-image: an "
            "image of the engine, an oci:// reference or an archive of 'docker save'.",
        )


class InvalidImage(IntegrityError):
    """An image's archive, manifest or config cannot be used."""

    example = {"image": "runner.tar", "detail": "it has no manifest.json"}

    def __init__(self, image: str, detail: str) -> None:
        self.image, self.detail = image, detail
        super().__init__(
            f"The image {image!r} cannot be used: {detail}.",
            "Give an archive of 'docker save', or an image that Docker or OCI tools pushed.",
        )


# -- registries ----------------------------------------------------------------------------------


class MalformedOciReference(UsageError):
    """The text names no place in an OCI registry."""

    example = {"reference": "oci://Registry/Models"}

    def __init__(self, reference: str) -> None:
        self.reference = reference
        super().__init__(
            f"{reference!r} is not a place in an OCI registry.",
            "Write oci://HOST[:PORT]/REPOSITORY[:TAG], in small letters, e.g. "
            "oci://localhost:5000/cellzoo/pbmc-celltype:1.0.0.",
        )


class HubDenied(HubError):
    """A registry wants another login, or none is known."""

    example = {"uri": "oci://registry.example.org/cellzoo/runner", "detail": "authentication"}

    def __init__(self, uri: str, detail: str) -> None:
        self.uri, self.detail = uri, detail
        host = uri.removeprefix("oci://").partition("/")[0]
        super().__init__(
            f"{uri!r} may not be used with the login that is known here: {detail}.",
            f"Log in with 'docker login {host}', or ask whoever runs it for access.",
        )


class PushRefused(HubError):
    """A registry does not take what is pushed."""

    example = {
        "uri": "oci://localhost:5000/cellzoo/runner:0.1.0",
        "what": "a manifest",
        "detail": "status 400, manifest invalid",
    }

    def __init__(self, uri: str, what: str, detail: str) -> None:
        self.uri, self.what, self.detail = uri, what, detail
        super().__init__(
            f"{uri!r} did not take {what}: {detail}.",
            "What had arrived before is harmless: no name points to it. Push again when the "
            "registry takes it.",
        )


# -- inside an image -----------------------------------------------------------------------------


class NotCarried(HubError):
    """The registry knows the model, but this installation came without it."""

    example = {"model": "pbmc-celltype"}

    def __init__(self, model: str) -> None:
        self.model = model
        super().__init__(
            f"{model!r} is in the registry, but this installation came without its files.",
            f"In a container: use the image cellzoo/{model}, or mount the model's folder below "
            "/models. 'zoo list' shows what is here.",
        )


class NothingMounted(DataError):
    """The input is not in the container, where no folder of the user's is mounted."""

    example = {"path": "my.h5ad", "folder": "/data", "image": "cellzoo/pbmc-celltype"}

    def __init__(self, path: str, folder: str, image: str) -> None:
        self.path, self.folder, self.image = path, folder, image
        super().__init__(
            f"The container cannot see {path!r}: no folder of yours is mounted at {folder!r}.",
            "Go to the folder of your file and mount it: docker run --rm --user "
            f'"$(id -u):$(id -g)" -v "$PWD:{folder}" {image} {path.rpartition("/")[2]}',
        )


class NotInMount(DataError):
    """The input is not in the folder that is mounted."""

    example = {"path": "mine.h5ad", "folder": "/data", "present": ["my.h5ad", "raw.h5ad"]}

    def __init__(self, path: str, folder: str, present: Sequence[str]) -> None:
        self.path, self.folder, self.present = path, folder, tuple(present)
        super().__init__(
            f"There is no {path!r} in the folder that is mounted at {folder!r}. It holds: "
            f"{', '.join(present) or 'nothing'}.",
            "Name the file as it is called inside that folder, e.g. 'my.h5ad', not by its path on "
            "your machine.",
        )


class MountUnwritable(OutputError):
    """The container's user may not write into the folder of the results."""

    example = {"folder": "/data", "reason": "Permission denied", "image": "cellzoo/pbmc-celltype"}

    def __init__(self, folder: str, reason: str, image: str) -> None:
        self.folder, self.reason, self.image = folder, reason, image
        super().__init__(
            f"The container may not write results into {folder!r}: {reason}. Nothing was changed.",
            'Run it as yourself, docker run --rm --user "$(id -u):$(id -g)" -v '
            f"\"$PWD:/data\" {image} FILE, and mount a folder that is yours, without ':ro'.",
        )
