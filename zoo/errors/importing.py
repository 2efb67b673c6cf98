"""Errors about weights that others trained, and about turning them into a model folder."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.errors.base import CheckFailed, DataError, IntegrityError, UsageError


def _listed(names: Sequence[str], limit: int = 10) -> str:
    shown = ", ".join(repr(str(name)) for name in names[:limit])
    return f"{shown}, …" if len(names) > limit else shown


# -- what was asked for --------------------------------------------------------------------------


class UnknownImporter(UsageError):
    """No installed package has an importer of this name."""

    example = {"name": "celltipist", "present": ["celltypist", "onnx", "sklearn", "torch"]}

    def __init__(self, name: str, present: Sequence[str]) -> None:
        self.name, self.present = name, tuple(present)
        super().__init__(
            f"No importer is called {name!r}.",
            f"There are: {_listed(present, 30)}; 'zoo convert --list' says what they read.",
        )


class NoGeneNames(UsageError):
    """The source does not name its genes, and nobody else did."""

    example = {"path": "model.pkl", "format": "sklearn", "genes": 2000}

    def __init__(self, path: str, format: str, genes: int) -> None:
        self.path, self.format, self.genes = path, format, genes
        super().__init__(
            f"{path!r} does not say which {genes:,} genes it reads, and in which order.",
            "Name them with --genes GENES.tsv: one gene a line in the order of the weights, or a "
            "table with the columns symbol and ensembl_id.",
        )


class NoLabelNames(UsageError):
    """The source does not name its classes, and nobody else did."""

    example = {"path": "model.pt2", "format": "torch", "classes": 8}

    def __init__(self, path: str, format: str, classes: int) -> None:
        self.path, self.format, self.classes = path, format, classes
        super().__init__(
            f"{path!r} does not name its {classes:,} classes.",
            "Name them with --labels LABELS.txt: one label a line, in the order of the outputs.",
        )


class NoValueConvention(UsageError):
    """Nobody said what values the weights were trained on."""

    example = {"path": "model.pkl", "choices": ["library_log1p", "panel_log1p", "counts"]}

    def __init__(self, path: str, choices: Sequence[str]) -> None:
        self.path, self.choices = path, tuple(choices)
        super().__init__(
            f"{path!r} does not say which values it was trained on, and a wrong guess gives wrong "
            "labels without any other sign.",
            f"Say it with --values, one of: {', '.join(choices)}. 'zoo convert --help' says what "
            "they mean.",
        )


class NoLayers(UsageError):
    """A file of tensors does not say what lies between them."""

    example = {"path": "weights.pt", "layers": ["fc1", "bn1", "fc2"]}

    def __init__(self, path: str, layers: Sequence[str]) -> None:
        self.path, self.layers = path, tuple(layers)
        super().__init__(
            f"{path!r} holds tensors ({_listed(layers)}), but not their order and what lies "
            "between them.",
            'Say it with --set, from the module\'s forward(): --set \'layers=["fc1", "relu", '
            '"fc2"]\'.',
        )


# -- what lies in the source ---------------------------------------------------------------------


class UnreadableWeights(DataError):
    """The source is damaged, or not of this format."""

    example = {"path": "model.pkl", "format": "celltypist", "detail": "it ends too early"}

    def __init__(self, path: str, format: str, detail: str) -> None:
        self.path, self.format, self.detail = path, format, detail
        super().__init__(
            f"{path!r} cannot be read as {format!r} weights: {detail}.",
            "Fetch the file again and compare its size or digest with its maker's; 'zoo convert "
            "--list' shows what each importer reads.",
        )


class ForbiddenGlobal(IntegrityError):
    """A pickle names something other than arrays and the few classes that its format has."""

    example = {"path": "model.pkl", "format": "celltypist", "named": "posix.system"}

    def __init__(self, path: str, format: str, named: str) -> None:
        self.path, self.format, self.named = path, format, named
        super().__init__(
            f"{path!r} names {named!r}, which is not in the list of the importer {format!r}: a "
            "file like this can run any code through a name. Nothing of it was run.",
            "Do not open it with Python's pickle, joblib or torch.load either, unless you trust "
            "whoever made it. Ask for weights that are data alone: 'zoo convert --list'.",
        )


class OtherFormat(DataError):
    """The source is a model, but of another format."""

    example = {"path": "Immune_All_Low.pkl", "format": "sklearn", "found": "celltypist"}

    def __init__(self, path: str, format: str, found: str) -> None:
        self.path, self.format, self.found = path, format, found
        super().__init__(
            f"{path!r} holds a {found!r} model, not a {format!r} one.",
            f"Try 'zoo convert {found} {path} -o DIR'.",
        )


class MissingWeights(DataError):
    """The source lacks a part that its format has."""

    example = {"path": "model.pkl", "format": "celltypist", "part": "Scaler_"}

    def __init__(self, path: str, format: str, part: str) -> None:
        self.path, self.format, self.part = path, format, part
        super().__init__(
            f"{path!r} has no {part!r}, and a {format!r} model cannot answer without it.",
            "Save the model again, whole, after it was fitted.",
        )


class UnequalLengths(DataError):
    """Two parts of the source that belong together have different lengths."""

    example = {
        "path": "model.pkl",
        "first": "genes",
        "first_length": 2504,
        "second": "columns of coef_",
        "second_length": 2503,
    }

    def __init__(
        self, path: str, *, first: str, first_length: int, second: str, second_length: int
    ) -> None:
        self.path, self.first, self.second = path, first, second
        self.first_length, self.second_length = first_length, second_length
        super().__init__(
            f"{path!r} has {first_length:,} {first}, but {second_length:,} {second}.",
            "They must be as many and in the same order: give the list that the weights were "
            "trained with.",
        )


class WeightsNotFinite(DataError):
    """Weights are NaN or infinite."""

    example = {"path": "model.pkl", "part": "coef_", "count": 12}

    def __init__(self, path: str, part: str, count: int) -> None:
        self.path, self.part, self.count = path, part, count
        super().__init__(
            f"{count:,} number(s) of {part!r} in {path!r} are NaN or infinite.",
            "The training has failed or the file is damaged; fit or fetch it again.",
        )


class RepeatedNames(DataError):
    """A gene or a label is named twice."""

    example = {"path": "genes.tsv", "what": "genes", "names": ["MATR3", "TBCE"]}

    def __init__(self, path: str, what: str, names: Sequence[str]) -> None:
        self.path, self.what, self.names = path, what, tuple(names)
        super().__init__(
            f"{path!r} names {what} more than once: {_listed(names)}.",
            "A file's columns could not be told apart: give names that are unique, Ensembl ids for "
            "genes where symbols are not.",
        )


class UnsupportedWeights(DataError):
    """The source has a part that no graph of the contract can hold, or that is not read."""

    example = {
        "path": "model.pkl",
        "format": "sklearn",
        "part": "RandomForestClassifier",
        "accepted": ["LogisticRegression", "SGDClassifier", "MLPClassifier"],
    }

    def __init__(self, path: str, format: str, part: str, accepted: Sequence[str]) -> None:
        self.path, self.format, self.part = path, format, part
        self.accepted = tuple(accepted)
        super().__init__(
            f"{path!r} holds {part}, which the importer {format!r} does not read.",
            f"It reads: {', '.join(accepted)}.",
        )


# -- what comes out ------------------------------------------------------------------------------


class ReferenceDiffers(CheckFailed):
    """The converted graph does not give the answers that the source gives."""

    example = {
        "path": "reference.h5",
        "made_with": "celltypist 1.7.1",
        "outputs": ["prob: 12 values differ by more than 0.0001 (largest difference 0.2)"],
    }

    def __init__(self, path: str, made_with: str, outputs: Sequence[str]) -> None:
        self.path, self.made_with, self.outputs = path, made_with, tuple(outputs)
        super().__init__(
            f"The converted graph does not answer as {made_with!r} did in {path!r}: "
            f"{'; '.join(outputs)}. Nothing was written.",
            "Look at --values and --target-sum first, then at the order of genes and labels, and "
            "whether the reference was made from the same --sample.",
        )


class UnfitReference(DataError):
    """The file given with --reference does not hold answers for the sample."""

    example = {"path": "reference.h5", "detail": "'prob' has 90 rows for 100 cells"}

    def __init__(self, path: str, detail: str) -> None:
        self.path, self.detail = path, detail
        super().__init__(
            f"{path!r} holds no answers for the sample: {detail}.",
            "It is an HDF5 file with one data set an output ('prob' [cells, classes], …), an "
            "attribute 'made_with', and where the order of classes is another, a data set "
            "'classes' with their names.",
        )
