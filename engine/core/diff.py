"""What has changed since it was last published."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.core.arrays import as_slice
from engine.core.spec import TagSpec
from engine.core.table import Cells, TagKind

_UNPUBLISHED = 255
"""A quality that no tag ever has."""
_NUMERIC = (TagKind.FLOAT32, TagKind.FLOAT, TagKind.INT, TagKind.UINT)


def absolute_deadband(spec: TagSpec) -> float:
    """The deadband in units of the tag, the wider one where both an absolute one and a per cent of span are given."""
    span = spec.maximum - spec.minimum if spec.maximum is not None and spec.minimum is not None else 0.0
    return max(spec.deadband, spec.deadband_percent / 100 * span)


class Diff:
    """Compares each tag with what was last *published*, so that a slow drift below the deadband gets out in the end."""

    def __init__(self, cells: Cells) -> None:
        self._cells = cells
        self._quality_turn = -1
        count = len(cells.specs)
        self.published = {kind: column.copy() for kind, column in cells.columns.items()}
        self.quality: NDArray[np.uint8] = np.full(count, _UNPUBLISHED, np.uint8)
        """(n,) as published; simulated tags have a bit of their own in it"""
        self._bands: dict[TagKind, _Bands] = {}
        for kind in _NUMERIC:
            widths = np.array([absolute_deadband(spec) for spec in cells.specs[cells.spans[kind]]], np.float64)
            if widths.any():
                places = np.flatnonzero(widths)
                self._bands[kind] = _Bands(as_slice(places), widths[places])
        every = np.array([np.inf if spec.republish_every_s is None else spec.republish_every_s for spec in cells.specs])
        self._timed: NDArray[np.intp] = np.flatnonzero(np.isfinite(every))
        self._every: NDArray[np.float64] = every[self._timed]
        self.due: NDArray[np.float64] = np.full(self._timed.size, -np.inf)
        self._next_due = -np.inf if self._timed.size else np.inf
        self._changed = np.zeros(count, np.bool_)
        self._changed_in: dict[TagKind, NDArray[np.bool_]] = {
            kind: self._changed[span] for kind, span in cells.spans.items()
        }
        self._scratch = np.zeros(count, np.bool_)

    def changed(self, now: float) -> NDArray[np.intp]:
        """The rows to publish at `now` (monotonic seconds), ascending; they count as published from here on."""
        cells = self._cells
        timed = now >= self._next_due
        flawed = cells.quality_turn != self._quality_turn
        if not (cells.fresh_values or flawed or timed):
            return _NONE
        changed = self._changed
        changed.fill(False)
        for kind in cells.fresh_values:
            self._compare(kind)
        quality = cells.quality
        if flawed:
            quality = cells.quality | cells.simulated.view(np.uint8) << np.uint8(4)
            np.not_equal(quality, self.quality, out=self._scratch)
            changed |= self._scratch
        if timed:
            changed[self._timed[self.due <= now]] = True
        rows = changed.nonzero()[0]
        if rows.size:
            # A row that is due, or whose quality is new, may carry a drift that no diff has let out yet.
            for kind in TagKind if timed or flawed else cells.fresh_values:
                published, bands = self.published[kind], self._bands.get(kind)
                if bands is None:  # what has not changed is equal already, and to copy all is several times faster
                    published[:] = cells.columns[kind]
                else:
                    kept, goes_out = published[bands.places], self._changed_in[kind][bands.places]
                    kept = np.where(goes_out, cells.columns[kind][bands.places], kept)
                    published[:] = cells.columns[kind]
                    published[bands.places] = kept
            if flawed:
                np.copyto(self.quality, quality)
            if self._timed.size:
                self.due = np.where(changed[self._timed], now + self._every, self.due)
                self._next_due = float(self.due.min())
        cells.fresh_values.clear()
        self._quality_turn = cells.quality_turn
        return rows

    def adopt(self, old: Diff, here: NDArray[np.intp], there: NDArray[np.intp]) -> None:
        """Take over what was published of some tags, and when, from the rows `there` of another table."""
        mine, theirs = self._cells, old._cells
        for kind in TagKind:
            ours = np.flatnonzero(mine.kinds[here] == kind)
            self.published[kind][here[ours] - mine.starts[kind]] = old.published[kind][
                there[ours] - theirs.starts[kind]
            ]
        self.quality[here] = old.quality[there]
        due = dict(zip(old._timed.tolist(), old.due.tolist(), strict=True))
        place = {row: place for place, row in enumerate(self._timed.tolist())}
        for mine_row, their_row in zip(here.tolist(), there.tolist(), strict=True):
            if mine_row in place and their_row in due:
                self.due[place[mine_row]] = due[their_row]
        mine.fresh_values.update(TagKind)
        self._quality_turn = -1

    def _compare(self, kind: TagKind) -> None:
        value, published, changed = self._cells.columns[kind], self.published[kind], self._changed_in[kind]
        if kind is TagKind.TEXT:
            changed[:] = value != published
            return
        np.not_equal(value, published, out=changed)  # a column is free of NaN
        bands = self._bands.get(kind)
        if bands is None:
            return
        value, published = value[bands.places], published[bands.places]
        if kind in (TagKind.INT, TagKind.UINT):
            # The distance of two integers, exact: the greater less the smaller fits 64 bits unsigned.
            distance = (np.maximum(value, published) - np.minimum(value, published)).view(np.uint64)
        else:
            with np.errstate(over="ignore"):  # an infinite distance is beyond any deadband
                distance = np.abs(np.subtract(value, published, dtype=np.float64))
        changed[bands.places] = distance > bands.widths


@dataclass(frozen=True, slots=True)
class _Bands:
    """The deadbands of one kind."""

    places: slice | NDArray[np.intp]
    """The cells that have one."""
    widths: NDArray[np.float64]
    """In units of the tags; none is 0."""


_NONE: NDArray[np.intp] = np.zeros(0, np.intp)
_NONE.flags.writeable = False
