"""Portions in any order leave in the file's order; blocks are taken apart and joined."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from zoo.block import Block
from zoo.file_order import FileOrder


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.randoms())
def test_every_cell_leaves_once_and_in_order(slides, random):
    slides = np.array(slides)
    portions = [np.flatnonzero(slides == slide) for slide in np.unique(slides)]
    random.shuffle(portions)
    order, seen, values = FileOrder(len(slides)), 0, np.arange(len(slides)) * 10
    for rows in portions:
        for start, stop, (column, table) in order.put(
            rows, {"a": values[rows]}, {"b": np.stack([values[rows]] * 2, axis=1)}
        ):
            assert start == seen
            np.testing.assert_array_equal(column["a"], values[start:stop])
            np.testing.assert_array_equal(table["b"][:, 1], values[start:stop])
            seen = stop
    assert seen == len(slides)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.randoms())
def test_a_block_taken_apart_and_joined_is_the_same(lengths, random):
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    block = Block(7, indptr, np.arange(indptr[-1]) % 9, np.arange(indptr[-1]) + 0.5, 9)
    rows = np.array(random.sample(range(len(lengths)), len(lengths)))
    cut = random.randint(0, len(rows))
    parts = [block.take(rows[:cut]), block.take(rows[cut:])]
    joined = Block.joined(parts)
    assert joined.cells == block.cells
    for place, row in enumerate(rows.tolist()):
        mine = slice(*joined.indptr[place : place + 2])
        theirs = slice(*block.indptr[row : row + 2])
        np.testing.assert_array_equal(joined.data[mine], block.data[theirs])
        np.testing.assert_array_equal(joined.indices[mine], block.indices[theirs])
