"""Provenance: what a result was made from, with what, and how to make it again."""

from __future__ import annotations

import datetime
import json
import shlex
from collections.abc import Sequence
from typing import Any

from zoo.confidence import OUT, VERDICTS, ScopeShare
from zoo.examination import Examination
from zoo.parts import ModelParts
from zoo.reading import Dataset
from zoo.version import __version__


def provenance(
    parts: ModelParts,
    dataset: Dataset,
    examination: Examination,
    *,
    scope: ScopeShare | None,
    facts: dict[str, Any],
) -> dict[str, Any]:
    """What `uns['cellzoo']` of a result holds.

    Parameters
    ----------
    scope
        Share of unusual cells, for models with `ood_p`.
    facts
        What only the run knows: runtime, device, seconds, digests, command, …

    """
    card, alignment, evidence = parts.card, examination.alignment, examination.evidence
    assert alignment is not None, "provenance is of a run, and a run aligns"
    assert evidence is not None, "provenance is of a run, and a run knows its value kind"
    return {
        "model": card.name,
        "version": card.version,
        "digest": parts.digest,
        "origin": parts.origin,
        "card_version": card.card_version,
        "contract": card.contract,
        "summary": card.summary,
        "task": card.task,
        "organism": card.inputs.organism,
        "license": card.license,
        "thresholds": {
            **card.thresholds.model_dump(),
            **({"alpha": card.calibration.alpha} if card.calibration else {}),
        },
        **(
            {"calibration": card.calibration.method if card.calibration else "none"}
            if parts.labels
            else {}
        ),
        "input": dataset.path,
        "input_format": dataset.file_format,
        "source": examination.source,
        "cells": dataset.cells,
        "value_kind": evidence.value_kind,
        "value_kind_evidence": evidence.sentence(),
        "gene_column": alignment.column,
        "gene_id_kind": alignment.gene_id_kind,
        "gene_coverage": alignment.gene_coverage,
        "genes_shared": alignment.shared,
        "genes": len(parts.vocabulary),
        "findings": json.dumps([finding.as_json() for finding in examination.findings]),
        **({"pathways": list(parts.pathways.names)} if parts.pathways else {}),
        "works_poorly": [claim.statement for claim in card.scope.works_poorly],
        **_scope(scope, forced=bool(facts.get("forced"))),
        "zoo_version": __version__,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **facts,
    }


def command(parts: ModelParts, path: str, flags: Sequence[str], *, verb: str = "run") -> str:
    """The command line that repeats a run: the model's version pinned, or its folder named."""
    reference = parts.origin if parts.is_by_path else parts.card.reference
    return shlex.join(["zoo", verb, reference, path, *flags])


def _scope(scope: ScopeShare | None, *, forced: bool) -> dict[str, Any]:
    """The verdict of the data set; one that was forced is out of scope, whatever its cells say."""
    if scope is None:
        return {"scope_verdict": VERDICTS[OUT]} if forced else {}
    return {
        "scope_verdict": VERDICTS[OUT] if forced else scope.verdict,
        "scope_share": scope.share,
        "scope_nominal": scope.nominal,
        "scope_interval_low": scope.interval[0],
        "scope_interval_high": scope.interval[1],
    }
