"""Work side by side, results in order, with a bounded number of items under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int
) -> Iterator[tuple[Item, Result]]:
    """Each item with its result, in the order of the items.

    Items are drawn in the caller's thread (HDF5 allows one reader), the function runs in
    `workers` threads, and at most workers + 2 items are held at a time.
    """
    under_way: deque[tuple[Item, Future[Result]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="zoo")
    try:
        for item in items:
            under_way.append((item, pool.submit(function, item)))
            if len(under_way) >= workers + 2:
                done, future = under_way.popleft()
                yield done, future.result()
        while under_way:
            done, future = under_way.popleft()
            yield done, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
