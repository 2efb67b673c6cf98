"""Errors about explanations: making them, finding them and asking for them."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.errors.base import NotFound, UsageError

# -- making --------------------------------------------------------------------------------------


class NoBackwardRule(UsageError):
    """An operator on the way from the genes to the answer has no backward rule."""

    example = {
        "model": "my-model@1.0.0",
        "operator": "GRU",
        "output": "hidden_3",
        "detail": "",
    }

    def __init__(self, model: str, operator: str, output: str, detail: str = "") -> None:
        self.model, self.operator, self.output, self.detail = model, operator, output, detail
        what = f"the operator {operator or 'none'}, which computes {output!r}, has no backward rule"
        super().__init__(
            f"{model!r} cannot be explained: {what}{f' for this: {detail}' if detail else ''}.",
            "Add the rule to zoo/explaining/ with its test, or export the network in operators "
            "that have one; docs/explain.md lists them.",
        )


class Unexplainable(UsageError):
    """A model of which attributions of genes would say nothing."""

    example = {
        "model": "spagcn-her2-tumor@1.0.0",
        "detail": "it reads a spot among its neighbours, and what the genes of other spots bring "
        "is no attribution of the spot's own genes",
    }

    def __init__(self, model: str, detail: str) -> None:
        self.model, self.detail = model, detail
        super().__init__(
            f"No explanation was made of {model!r}: {detail}.",
            "Explanations are for classifiers of single cells; docs/explain.md says which.",
        )


class NoMarkers(UsageError):
    """A list of marker genes cannot be used."""

    example = {"path": "markers.tsv", "detail": "none of its labels is one of the model's"}

    def __init__(self, path: str, detail: str) -> None:
        self.path, self.detail = path, detail
        super().__init__(
            f"The markers in {path!r} cannot be used: {detail}.",
            "It is a table with the columns label, gene and source, separated by tabs; labels are "
            "those of the model's labels.tsv.",
        )


# -- asking --------------------------------------------------------------------------------------


class NoExplanation(NotFound):
    """The model comes without `explain.onnx`."""

    example = {"model": "pathway-pbmc@1.0.0", "own": ["pathway_attention"]}

    def __init__(self, model: str, own: Sequence[str]) -> None:
        self.model, self.own = model, tuple(own)
        name = model.partition("@")[0]
        hint = "'zoo list' shows all models, 'zoo info NAME' says whether one can be explained."
        if own:
            hint = (
                f"It says itself what it looks at: 'zoo run {name} FILE' writes "
                f"{' and '.join(own)} into obsm."
            )
        super().__init__(f"{model!r} has no explain.onnx: it cannot be explained.", hint)


class UnknownClass(UsageError):
    """The label to explain is none of the model's."""

    example = {"model": "pbmc-celltype", "label": "T cell", "labels": ["CD4 T cells", "B cells"]}

    def __init__(self, model: str, label: str, labels: Sequence[str]) -> None:
        self.model, self.label, self.labels = model, label, tuple(labels)
        shown = ", ".join(repr(name) for name in labels[:30])
        super().__init__(
            f"{model!r} has no label {label!r}.",
            f"Its labels: {shown}{', …' if len(labels) > 30 else ''}.",
        )
