"""Calls, verdicts, group calls and intervals against values worked out by hand."""

import numpy as np
import pytest

from zoo.card import Thresholds
from zoo.confidence import (
    BORDERLINE,
    IN,
    OUT,
    CallTable,
    GroupVote,
    scope_share,
    verdicts,
    wilson_interval,
)
from zoo.labels import UNKNOWN, LabelTable
from zoo.predictions import Coded, Summary

TABLE = b"""label\tlabel_id\tancestors
CD4 T\tCL:0000624\tCL:0000624|CD4 T;CL:0000084|T cell;CL:0000542|lymphocyte;CL:0000738|leukocyte
CD8 T\tCL:0000625\tCL:0000625|CD8 T;CL:0000084|T cell;CL:0000542|lymphocyte;CL:0000738|leukocyte
NK\tCL:0000623\tCL:0000623|NK;CL:0000542|lymphocyte;CL:0000738|leukocyte
monocyte\tCL:0000576\tCL:0000576|monocyte;CL:0000738|leukocyte
hepatocyte\tCL:0000182\tCL:0000182|hepatocyte
"""


@pytest.fixture
def labels():
    return LabelTable.parse(TABLE, model="m")


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ((0,), "CD4 T"),
        ((0, 1), "T cell"),
        ((0, 1, 2), "lymphocyte"),
        ((1, 3), "leukocyte"),
        ((3, 4), "unknown"),
        ((), "unknown"),
    ],
)
def test_lowest_common_ancestor(labels, members, name):
    assert labels.common_ancestor(members).name == name


def test_calls_follow_sets_and_verdicts(labels):
    in_set = np.zeros((5, 5), dtype=bool)
    in_set[0, 0] = in_set[1, [0, 1]] = in_set[2, 3] = in_set[4, 2] = True
    verdict = np.array([IN, BORDERLINE, OUT, BORDERLINE, IN], dtype=np.int8)
    table = CallTable(labels)
    codes = table.calls(in_set, verdict)
    assert [table.terms[code].name for code in codes] == [
        "CD4 T", "T cell", "unknown", "unknown", "NK",
    ]  # fmt: skip
    # A later block reuses the same codes.
    assert table.calls(in_set[:1], verdict[:1])[0] == codes[0]
    assert table.terms.count(UNKNOWN) == 1


def test_verdicts_by_every_threshold():
    outputs = {
        "ood_p": np.array([0.5, 0.049, 0.009, 0.5, 0.5, 0.5], dtype=np.float32),
        "in_set": np.array([[1, 0], [1, 0], [1, 0], [1, 1], [0, 0], [1, 0]], dtype=bool),
    }
    counts = np.array([100, 100, 100, 100, 100, 19], dtype=np.float32)
    found = verdicts(outputs, counts, Thresholds(min_counts=20))
    assert found.tolist() == [IN, BORDERLINE, OUT, BORDERLINE, BORDERLINE, OUT]


def test_a_cell_without_counts_is_out_whatever_the_card_says():
    counts = np.zeros(1, dtype=np.float32)
    assert verdicts({}, counts, Thresholds(min_counts=0)).tolist() == [OUT]


def test_group_vote_sums_log_probabilities():
    vote = GroupVote(np.array([0, 0, 1, 1, 1], dtype=np.int32), groups=2, classes=2)
    prob = np.array([[0.9, 0.1], [0.4, 0.6], [0.4, 0.6], [0.45, 0.55], [0.6, 0.4]], np.float32)
    vote.add(np.arange(3), prob[:3], prob[:3].argmax(axis=1))
    vote.add(np.arange(3, 5), prob[3:], prob[3:].argmax(axis=1))
    call, agreement = vote.result()
    assert call.tolist() == [0, 0, 1, 1, 1]
    assert agreement == pytest.approx([0.5, 0.5, 2 / 3, 2 / 3, 2 / 3])


def test_wilson_interval_of_a_textbook_case():
    # Newcombe 1998 (doi:10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E), 81/263
    low, high = wilson_interval(81, 263)
    assert (low, high) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("unusual", "cells", "verdict"), [(50, 1000, "in"), (100, 1000, "borderline"), (9, 10, "out")]
)
def test_verdict_of_a_data_set(unusual, cells, verdict):
    assert scope_share(unusual, cells, 0.05).verdict == verdict


def test_summary_counts_calls_labels_and_verdicts():
    columns = {
        "call": Coded.of(np.array(["T", "T", "B", "unknown"])),
        "label": Coded.of(np.array(["T", "T", "B", "B"])),
        "verdict": Coded.of(np.array(["in", "borderline", "in", "out"])),
    }
    summary = Summary.of(columns, np.array([0.9, 0.7, 0.8, 0.2], np.float32), 4)
    assert [(line.call, line.cells) for line in summary.calls] == [
        ("T", 2), ("B", 1), ("unknown", 1),
    ]  # fmt: skip
    assert summary.calls[0].median_prob == pytest.approx(0.8)
    assert summary.calls[0].verdicts == {"in": 1, "borderline": 1, "out": 0}
    assert summary.labels == {"T": 2, "B": 2}
    assert summary.verdicts == {"in": 2, "borderline": 1, "out": 1}
