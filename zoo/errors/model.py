"""Errors about models: finding them, trusting them, and whether they suit the data."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.errors.base import CheckFailed, HubError, IntegrityError, NotFound, OutOfScope

# -- finding -------------------------------------------------------------------------------------


class UnknownModel(NotFound):
    """No registry names the model."""

    example = {"name": "pbmc-celtype", "near": ["pbmc-celltype"]}

    def __init__(self, name: str, near: Sequence[str] = (), *, is_folder: bool = False) -> None:
        self.name, self.near, self.is_folder = name, tuple(near), is_folder
        hint = f"Did you mean {' or '.join(repr(n) for n in near)}? " if near else ""
        if is_folder:
            hint = f"For the model folder of that name that is here, say './{name}'. "
        super().__init__(f"No model is called {name!r}.", f"{hint}'zoo list' shows all models.")


class UnknownVersion(NotFound):
    """The model exists, the version does not."""

    example = {"name": "pbmc-celltype", "version": "9.0.0", "versions": ["1.0.0"]}

    def __init__(self, name: str, version: str, versions: Sequence[str]) -> None:
        self.name, self.version, self.versions = name, version, tuple(versions)
        super().__init__(
            f"{name!r} has no version {version!r}.",
            f"Known versions: {', '.join(versions)}. Without '@…' the newest is taken.",
        )


class MalformedReference(NotFound):
    """The text is no model reference."""

    example = {"reference": "../etc"}

    def __init__(self, reference: str) -> None:
        self.reference = reference
        super().__init__(
            f"{reference!r} is not a model reference.",
            "Write NAME or NAME@VERSION: small letters, digits and dashes, e.g. "
            "'pbmc-celltype@1.0.0'.",
        )


class NotInCache(NotFound):
    """The cache holds no such model."""

    example = {"reference": "pbmc-celltype", "present": ["spot-domains@1.0.0"]}

    def __init__(self, reference: str, present: Sequence[str]) -> None:
        self.reference, self.present = reference, tuple(present)
        super().__init__(
            f"{reference!r} is not in the cache.",
            f"It holds: {', '.join(present) or 'nothing'}.",
        )


# -- trusting ------------------------------------------------------------------------------------


class DigestMismatch(IntegrityError):
    """A file's sha256 is not the one in its manifest."""

    example = {
        "file": "model.onnx",
        "origin": "embedded:",
        "expected": "a" * 64,
        "actual": "b" * 64,
    }

    def __init__(self, file: str, origin: str, expected: str, actual: str) -> None:
        self.file, self.origin, self.expected, self.actual = file, origin, expected, actual
        super().__init__(
            f"{file!r} from {origin} is not the published file: sha256 {actual[:12]}… where the "
            f"manifest says {expected[:12]}….",
            "Nothing of it was kept. Pull again; if it repeats, the hub's copy is damaged: tell "
            "whoever runs it.",
        )


class WrongSize(IntegrityError):
    """A file is longer or shorter than its manifest says."""

    example = {"file": "model.onnx", "origin": "embedded:", "expected": 3000, "actual": 2999}

    def __init__(self, file: str, origin: str, expected: int, actual: int) -> None:
        self.file, self.origin, self.expected, self.actual = file, origin, expected, actual
        super().__init__(
            f"{file!r} from {origin} has {actual:,} bytes{' or more' * (actual > expected)} where "
            f"the manifest says {expected:,}.",
            "Nothing of it was kept. Pull again; if it repeats, tell whoever runs the hub.",
        )


class UnsafeFileName(IntegrityError):
    """A manifest names a file outside its model folder, or one that some system takes for it."""

    example = {"file": "../../.bashrc", "origin": "manifest.json"}

    def __init__(self, file: str, origin: str) -> None:
        self.file, self.origin = file, origin
        super().__init__(
            f"{origin} names the file {file!r}, which would lie outside the model folder or "
            "is no plain name on every system.",
            "The model was refused. Do not use it; tell whoever runs the hub.",
        )


class InvalidRegistry(IntegrityError):
    """A registry file cannot be read."""

    example = {"path": "registry.json", "detail": "line 3 column 7: expected ','"}

    def __init__(self, path: str, detail: str) -> None:
        self.path, self.detail = path, detail
        super().__init__(
            f"The registry {path!r} cannot be used: {detail}.",
            "In a checkout, 'zoo registry build' makes it again from cards/; else install cellzoo "
            "again.",
        )


class InvalidManifest(IntegrityError):
    """A manifest fails its schema."""

    example = {"path": "manifest.json", "detail": "files.0.sha256: not 64 hex digits"}

    def __init__(self, path: str, detail: str) -> None:
        self.path, self.detail = path, detail
        super().__init__(
            f"The manifest {path!r} is not valid: {detail}.",
            "In a checkout, 'zoo registry build' makes it again from the card; else pull the model "
            "again.",
        )


class InvalidCard(IntegrityError):
    """A model card fails its schema."""

    example = {"path": "cards/my-model/README.md", "detail": "cellzoo.inputs.organism: missing"}

    def __init__(self, path: str, detail: str) -> None:
        self.path, self.detail = path, detail
        super().__init__(
            f"The card {path!r} is not valid: {detail}.",
            "Mend the named fields; docs/schema/card.schema.json describes each.",
        )


class InvalidGraph(IntegrityError):
    """A model's ONNX graph cannot be loaded or breaks the model contract."""

    example = {"model": "pbmc-celltype@1.0.0", "detail": "it has no input 'counts'"}

    def __init__(self, model: str, detail: str) -> None:
        self.model, self.detail = model, detail
        super().__init__(
            f"The graph of {model!r} was refused: {detail}.",
            "'zoo cache verify' finds damaged files; if it finds none, the model itself is broken: "
            "tell its author.",
        )


class ForeignFile(IntegrityError):
    """A model folder holds what is no listed regular file."""

    example = {"folder": "my-model", "file": "genes.tsv", "detail": "it is a symbolic link"}

    def __init__(self, folder: str, file: str, detail: str) -> None:
        self.folder, self.file, self.detail = folder, file, detail
        super().__init__(
            f"{file!r} in the model folder {folder!r} was refused: {detail}.",
            "A model folder holds nothing but the regular files of its manifest. Remove it, or put "
            "a copy in its place; 'zoo validate' then makes the manifest anew.",
        )


class TrialFailed(IntegrityError):
    """A model's first batch in a child process failed or reached a limit."""

    example = {"model": "pbmc-celltype@1.0.0", "detail": "it wants more than 6 GB of memory"}

    def __init__(self, model: str, detail: str) -> None:
        self.model, self.detail = model, detail
        super().__init__(
            f"The graph of {model!r} did not pass its trial: {detail}.",
            "It was tried on three made-up cells in a process of its own, with limits of memory "
            "and time. Do not use the model; tell its author.",
        )


class InvalidModelFile(IntegrityError):
    """A table or sample of a model folder cannot be read."""

    example = {"model": "pbmc-celltype@1.0.0", "file": "genes.tsv", "detail": "line 1: no 'symbol'"}

    def __init__(self, model: str, file: str, detail: str) -> None:
        self.model, self.file, self.detail = model, file, detail
        super().__init__(
            f"{file!r} of {model!r} cannot be used: {detail}.",
            "'zoo cache verify' finds damaged files; if it finds none, tell the model's author.",
        )


# -- hubs ----------------------------------------------------------------------------------------


class HubUnreachable(HubError):
    """A hub does not answer or does not have the file."""

    example = {"uri": "file:/srv/zoo", "detail": "no such folder"}

    def __init__(self, uri: str, detail: str) -> None:
        self.uri, self.detail = uri, detail
        super().__init__(
            f"Cannot read from the hub {uri!r}: {detail}.",
            "Models that are in the cache keep working: 'zoo cache ls' lists them.",
        )


class NoModelsFolder(HubError):
    """`ZOO_MODELS` names a folder that does not exist."""

    example = {"path": "/srv/models"}

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(
            f"ZOO_MODELS names {path!r}, but there is no such folder.",
            "Correct ZOO_MODELS, or unset it to use the models of the registry.",
        )


class UnknownScheme(HubError):
    """No hub transport takes this kind of URI."""

    example = {"uri": "gopher://zoo", "schemes": ["embedded", "file"]}

    def __init__(self, uri: str, schemes: Sequence[str]) -> None:
        self.uri, self.schemes = uri, tuple(schemes)
        super().__init__(f"No transport for {uri!r}.", f"Known schemes: {', '.join(schemes)}.")


class NotCached(HubError):
    """Offline, and the model is not in the cache."""

    example = {"model": "pbmc-celltype@1.0.0", "locations": ["hf://cellzoo/pbmc-celltype"]}

    def __init__(self, model: str, locations: Sequence[str]) -> None:
        self.model, self.locations = model, tuple(locations)
        super().__init__(
            f"{model!r} is not in the cache, and --offline forbids fetching it from "
            f"{', '.join(locations) or 'anywhere'}.",
            f"Run 'zoo pull {model}' once with a network.",
        )


# -- scope ---------------------------------------------------------------------------------------


class WrongOrganism(OutOfScope):
    """The file's organism is not the model's."""

    example = {
        "path": "my.h5ad",
        "model": "pbmc-celltype",
        "organism": "Homo sapiens",
        "found": "Mus musculus",
        "evidence": "9,812 of 10,000 symbols are written as in mouse",
    }

    def __init__(self, path: str, model: str, *, organism: str, found: str, evidence: str) -> None:
        self.path, self.model = path, model
        self.organism, self.found, self.evidence = organism, found, evidence
        super().__init__(
            f"{model!r} was made for {organism}; {path!r} looks like {found} ({evidence}).",
            f"'zoo list' shows models by organism (--organism {found!r}). --force runs all the "
            "same if any gene is shared, and marks every cell.",
        )


class LowGeneCoverage(OutOfScope):
    """Too few of the model's genes are in the file."""

    example = {
        "path": "my.h5ad",
        "model": "pbmc-celltype",
        "shared": 9,
        "genes": 3000,
        "gene_coverage": 0.004,
        "minimum": 0.05,
        "gene_id_kind": "symbol",
    }

    def __init__(
        self,
        path: str,
        model: str,
        *,
        shared: int,
        genes: int,
        gene_coverage: float,
        minimum: float,
        gene_id_kind: str,
    ) -> None:
        self.path, self.model, self.shared, self.genes = path, model, shared, genes
        self.gene_coverage, self.minimum, self.gene_id_kind = gene_coverage, minimum, gene_id_kind
        super().__init__(
            f"Only {shared:,} of {genes:,} genes of {model!r} are in {path!r} (matched by "
            f"{gene_id_kind}): weighted gene coverage {gene_coverage:.1%}, the card's minimum is "
            f"{minimum:.1%}.",
            "Give the file before genes were filtered, or run 'zoo prepare FILE -o OUT.h5ad "
            f"--model {model}' if its ids are of another kind. --force runs all the same and marks "
            "every cell.",
        )


class UnknownLibrary(OutOfScope):
    """The model needs each cell's counts over all genes, and the file no longer tells them."""

    example = {
        "path": "my.h5ad",
        "source": "X",
        "model": "logistic-pbmc",
        "evidence": "near-integers after inverting base e; cell sums vary",
    }

    def __init__(self, path: str, source: str, model: str, *, evidence: str) -> None:
        self.path, self.source, self.model, self.evidence = path, source, model, evidence
        super().__init__(
            f"{model!r} holds each gene against all counts of its cell, and {source} of {path!r} "
            "holds log values whose cells do not sum to one number, as when genes were left out "
            f"after the logarithm ({evidence}).",
            "Give the file before genes were filtered, or its counts. --force runs all the same, "
            "with the sum of the genes that are here, and marks every cell.",
        )


# -- checks --------------------------------------------------------------------------------------


class ParityFailed(CheckFailed):
    """A model's outputs on its own sample differ from the stored ones by more than tolerated."""

    example = {"model": "pbmc-celltype@1.0.0", "outputs": ["prob: 0.01 > 0.0001"]}

    def __init__(self, model: str, outputs: Sequence[str]) -> None:
        self.model, self.outputs = model, tuple(outputs)
        super().__init__(
            f"{model!r} does not give its stored answers on this machine: {'; '.join(outputs)}.",
            "Do not use it here. Report the output of 'zoo test --json' with your onnxruntime "
            "version.",
        )


class ValidationFailed(CheckFailed):
    """A model folder is not complete or not sound."""

    example = {"folder": "my-model", "level": "surface", "checks": ["card", "parity"]}

    def __init__(self, folder: str, level: str, checks: Sequence[str]) -> None:
        self.folder, self.level, self.checks = folder, level, tuple(checks)
        super().__init__(
            f"{folder!r} is not valid at level {level}: {', '.join(dict.fromkeys(checks))}.",
            "The table says what to do about each; 'zoo validate' again shows what is left.",
        )


class RegistryOutOfDate(CheckFailed):
    """registry.json or a manifest no longer matches the cards."""

    example = {"files": ["registry.json"]}

    def __init__(self, files: Sequence[str]) -> None:
        self.files = tuple(files)
        super().__init__(
            f"Out of date: {', '.join(files)}.",
            "'zoo registry build' makes them again from cards/.",
        )


class CacheDamaged(CheckFailed):
    """`zoo cache verify` found files that are not what their names say."""

    example = {"files": ["sha256/aa…"]}

    def __init__(self, files: Sequence[str]) -> None:
        self.files = tuple(files)
        super().__init__(
            f"{len(files):,} damaged file(s) in the cache: {', '.join(files[:3])}.",
            "They are fetched again at the next pull; 'zoo cache prune' removes them now.",
        )
