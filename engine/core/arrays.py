"""Indices into columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def as_slice(indices: NDArray[np.intp]) -> slice | NDArray[np.intp]:
    """A run of consecutive indices as a slice, which costs no gather."""
    if indices.size:
        first = int(indices[0])
        if np.array_equal(indices, np.arange(first, first + indices.size)):
            return slice(first, first + indices.size)
    return indices
