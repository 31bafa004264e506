"""Indices into columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def as_slice(indices: NDArray[np.intp]) -> slice | NDArray[np.intp]:
    """Indices that ascend by equal steps as a slice, which costs no gather."""
    if indices.size:
        first, last = int(indices[0]), int(indices[-1])
        step = int(indices[1]) - first if indices.size > 1 else 1
        if step > 0 and np.array_equal(indices, np.arange(first, last + 1, step)):
            return slice(first, last + 1, step)
    return indices
