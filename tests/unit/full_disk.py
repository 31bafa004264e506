"""A disk that is full, as this process sees it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def files_no_larger_than(size: int) -> Generator[None]:
    """The system lets no file of this process grow beyond so many bytes; what fits of a write is written."""
    import resource  # Windows has none

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
