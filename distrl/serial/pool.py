"""Groups of items of constant size, so that inserting them does not recompile."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from distrl.items import fill_priorities
from distrl.types import Items


class ItemPool:
    """Collects items in any number and returns them in order, `size` at a time."""

    def __init__(self, size: int, priority_epsilon: float):
        """Starts empty; adds `priority_epsilon` to the priorities of items."""
        self._size = size
        self._epsilon = priority_epsilon
        self._held: tuple[Any, np.ndarray] | None = None

    def put(self, items: Items) -> None:
        """Adds items; their arrays are kept, not copied."""
        count = len(jax.tree.leaves(items.data)[0])
        priorities = fill_priorities(items.priorities, count, self._epsilon)
        new = (items.data, priorities.astype(np.float32))
        if self._held is not None:
            new = jax.tree.map(lambda *x: np.concatenate(x), self._held, new)
        self._held = new

    def take(self) -> Iterator[tuple[Any, np.ndarray]]:
        """Yields full groups: items `[size, ...]` and priorities `[size] float32`."""
        if self._held is None:
            return
        held, count = self._held, len(self._held[1])
        whole = count - count % self._size
        for start in range(0, whole, self._size):
            yield _slice(held, start, start + self._size)
        self._held = _slice(held, whole, count) if whole < count else None

    def flush(self) -> Iterator[tuple[Any, np.ndarray]]:
        """Yields the full groups, then a smaller one with the rest, if any."""
        yield from self.take()
        held, self._held = self._held, None
        if held is not None:
            yield held


def _slice(nest: Any, start: int, stop: int) -> Any:
    return jax.tree.map(lambda x: x[start:stop], nest)
