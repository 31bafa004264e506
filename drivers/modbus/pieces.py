"""What a group reads in one request each, and what its device does not answer there. No I/O, no clock.

Rules of this file:

* Every point is in exactly one piece. A piece is sound, and asked at every reading, or doubtful, and asked when due.
* A sound piece that fails again and again is halved, and its doubtful halves again, down to single points. A single
  point is asked again soon, then less and less often.
* What is answered again takes along what was lost at the same time: adjacent points are first asked for together.
* Adjacent sound pieces are joined again where the device answers them in one request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise

from drivers.modbus.holes import Holes, place_of
from drivers.modbus.pdu import ILLEGAL_DATA_ADDRESS, ILLEGAL_DATA_VALUE, Flaw, Refusal
from drivers.modbus.plan import Block

FIRST_RETRY_S = 2.0
LAST_RETRY_S = 60.0
"""How soon a single point that is not answered is asked again, at first and in the end; twice as late each time."""
LAST_COSTLY_JOIN_S = 3600.0
"""The same for a block that may cost a timeout or the connection if it is asked for at once."""
COSTLY_PAUSE_S = 3.0
"""How far apart two tries are that may cost a timeout or the connection."""
LOST_TOGETHER_S = 10.0
"""Points that were lost within this time of each other may well come back together."""
CLOSED_PAUSE_S = 1.0
"""The same where it costs the connection only."""
PERSISTENT = 2
"""A piece that fails so often in a row is halved."""
CLOSINGS = 3
"""The same where the connection ends at it, as it may have ended for another reason."""

Failure = Refusal | Flaw
"""Why a request was not answered with data."""
COSTLY = frozenset({Flaw.SILENCE, Flaw.CLOSED})
TOLD_AFTER_S = 4 * FIRST_RETRY_S
"""How long the last try to join parts waited before it is said that a block can only be read so, where it is costly."""
NO_CUTS: frozenset[int] = frozenset()
_PLACE = frozenset({ILLEGAL_DATA_ADDRESS, ILLEGAL_DATA_VALUE})


@dataclass(slots=True, eq=False)
class _Cut:
    """Where a piece was halved."""

    middle: int
    answered: int = 0
    """How many of the halves the device has answered."""


@dataclass(slots=True, eq=False)
class Piece:
    """Some spans of a planned block that are asked for in one request."""

    whole: int
    """Which planned block it is of."""
    begin: int
    end: int
    """Its spans there, up to (exclusive)."""
    block: Block
    failure: Failure | None = None
    """Why it was not answered when it was last asked for."""
    reason: int = 0
    """The same as a code of `drivers.reasons`."""
    failures: int = 0
    """Consecutive readings that it has failed in."""
    is_known: bool = False
    """Whether the device has answered it, or all of a greater piece that it was in."""
    due: float = 0.0
    """When it is asked for, if it is doubtful."""
    wait_s: float = 0.0
    """How long it is left alone; 0 where it has yet to be tried."""
    lost_at: float = 0.0
    cut: _Cut | None = None

    @property
    def is_single(self) -> bool:
        return self.end - self.begin == 1

    @property
    def is_costly(self) -> bool:
        """Whether to ask for it may cost a timeout or the connection."""
        return self.failure in COSTLY


@dataclass(slots=True)
class _Whole:
    """A planned block and what is known of reading it in one request."""

    block: Block
    cuts: set[int]
    """Before which spans the device does not read on, as it answered both sides alone."""
    join_due: float = 0.0
    join_wait_s: float = 0.0
    """0 where its pieces have yet to be joined after a search."""
    is_split: bool = False
    is_costly: bool = False
    """Whether to ask for all of it may cost a timeout or the connection."""
    is_told: bool = False


class Pieces:
    """The pieces of one group."""

    def __init__(self, blocks: Sequence[Block], holes: Holes) -> None:
        self._wholes = [_Whole(block, set()) for block in blocks]
        self._holes = holes
        self._known_holes = 0
        self._costly_at = 0.0
        self.sound = [Piece(index, 0, len(block.spans), block) for index, block in enumerate(blocks)]
        self.doubtful: list[Piece] = []

    def is_persistent(self, piece: Piece, failure: Failure) -> bool:
        """Whether a sound piece that has just failed is to be halved."""
        if not piece.is_known and isinstance(failure, Refusal) and failure.code in _PLACE:
            return True  # it has never been answered, and the device says that the place is wrong
        return failure is Flaw.SILENCE or piece.failures >= (CLOSINGS if failure is Flaw.CLOSED else PERSISTENT)

    def answered(self, piece: Piece, now: float) -> None:
        """Note that the device answered a piece."""
        was_lost, lost_at = piece.wait_s > 0.0, piece.lost_at
        piece.failure, piece.reason, piece.failures, piece.is_known = None, 0, 0, True
        piece.due = piece.wait_s = 0.0
        if piece.cut is not None and not was_lost:
            piece.cut.answered += 1
            if piece.cut.answered == 2:
                self._wholes[piece.whole].cuts.add(piece.cut.middle)
            piece.cut = None
        if piece in self.doubtful:
            self.doubtful.remove(piece)
            self._add([piece])
            self._wholes[piece.whole].join_wait_s = 0.0
            for index in range(len(piece.block.spans)):
                self._holes.remove(place_of(piece.block.part(index, index + 1)))
        if was_lost:
            self._take_along(lost_at, now)

    def doubt(self, piece: Piece, failure: Failure, now: float) -> Piece | None:
        """Note that a piece is not answered, and halve it; return it where it is a single point that is lost now."""
        if piece in self.sound:
            self.sound.remove(piece)
            self.doubtful.append(piece)
            whole = self._wholes[piece.whole]
            whole.is_split, whole.join_wait_s, whole.cuts = True, 0.0, set()
            whole.is_costly = failure in COSTLY
        piece.failure = failure
        costly = piece.is_costly
        if costly:
            self._costly_at = now + (CLOSED_PAUSE_S if failure is Flaw.CLOSED else COSTLY_PAUSE_S)
        if piece.is_single:
            is_new = piece.wait_s == 0.0
            piece.wait_s = min(LAST_RETRY_S, max(FIRST_RETRY_S, 2 * piece.wait_s))
            piece.due = now + piece.wait_s
            if is_new:
                piece.lost_at = now
                self._holes.add(place_of(piece.block), failure, piece.reason)
                self._known_holes = self._holes.version
            return piece if is_new else None
        middle = (piece.begin + piece.end) // 2
        cut = _Cut(middle)
        self.doubtful.remove(piece)
        for begin, end in ((piece.begin, middle), (middle, piece.end)):
            half = self._piece(piece.whole, begin, end)
            half.failure, half.reason, half.is_known, half.cut = failure, piece.reason, piece.is_known, cut
            half.due = now
            self.doubtful.append(half)
        return None

    def next_due(self, now: float) -> Piece | None:
        """The doubtful piece to be asked for now that has waited the longest."""
        due = [piece for piece in self.doubtful if piece.due <= now and (now >= self._costly_at or not piece.is_costly)]
        return min(due, key=lambda piece: piece.due, default=None)

    @property
    def is_split(self) -> bool:
        """Whether a planned block is read in parts."""
        return any(whole.is_split for whole in self._wholes)

    @property
    def is_searching(self) -> bool:
        """Whether there are pieces to be asked for soon, and without a risk."""
        return any(piece.wait_s == 0.0 and not piece.is_costly for piece in self.doubtful)

    def joined(self, pieces: Iterable[Piece]) -> list[Block]:
        """What pieces read, adjacent ones together."""
        ordered = sorted(pieces, key=lambda piece: (piece.whole, piece.begin))
        return [self._piece(run[0].whole, run[0].begin, run[-1].end).block for run in _adjacent(ordered)]

    def joins(self, now: float) -> Iterator[tuple[list[Piece], Piece]]:
        """Adjacent sound pieces, and the one that they would make; to be asked for now."""
        for index, whole in enumerate(self._wholes):
            if not whole.is_split or (whole.join_wait_s and now < whole.join_due):
                continue
            doubtful = [piece for piece in self.doubtful if piece.whole == index]
            if any(piece.wait_s == 0.0 for piece in doubtful):
                continue  # the search goes on
            cuts = NO_CUTS if whole.join_wait_s else whole.cuts
            last_s = LAST_COSTLY_JOIN_S if whole.is_costly else LAST_RETRY_S
            whole.join_wait_s = min(last_s, max(FIRST_RETRY_S, 2 * whole.join_wait_s))
            whole.join_due = now + whole.join_wait_s
            sound = sorted((piece for piece in self.sound if piece.whole == index), key=lambda piece: piece.begin)
            if len(sound) == 1 and not doubtful:
                whole.is_split = False
            for run in self._runs(whole, sound, cuts):
                yield run, self._piece(index, run[0].begin, run[-1].end)

    def join(self, run: Sequence[Piece], one: Piece) -> None:
        """Read sound pieces in one request from now on."""
        self.sound = [piece for piece in self.sound if piece not in run]
        one.is_known = True
        self._add([one])
        whole = self._wholes[one.whole]
        if one.end - one.begin == len(whole.block.spans):
            whole.is_split = False

    def cut_for_good(self) -> Iterator[tuple[Block, list[Block]]]:
        """Blocks of which every point is answered, but not in one request, and their parts; each is told once."""
        for index, whole in enumerate(self._wholes):
            if whole.is_told or not whole.is_split or whole.join_wait_s < (TOLD_AFTER_S if whole.is_costly else 0.1):
                continue
            if any(piece.whole == index for piece in self.doubtful):
                continue
            sound = sorted((piece for piece in self.sound if piece.whole == index), key=lambda piece: piece.begin)
            if len(sound) > 1:
                whole.is_told = True
                yield whole.block, [piece.block for piece in sound]

    def read_around(self, now: float) -> None:
        """Take over what other groups of the device have learned about it."""
        if self._known_holes == self._holes.version:
            return
        self._known_holes = self._holes.version
        for piece in self.doubtful:
            if piece.is_single and place_of(piece.block) not in self._holes:
                piece.due = now
        for piece in list(self.sound):
            parts, lost = self._holes.split(piece.block)
            if not lost and len(parts) == 1:
                continue
            self.sound.remove(piece)
            whole = self._wholes[piece.whole]
            whole.is_split, whole.join_wait_s, whole.join_due = True, LAST_RETRY_S, now + LAST_RETRY_S
            self._add(
                self._piece(piece.whole, piece.begin + begin, piece.begin + end, is_known=piece.is_known)
                for begin, end in parts
            )
            for index, (failure, reason) in lost:
                point = self._piece(piece.whole, piece.begin + index, piece.begin + index + 1)
                point.failure, point.reason, point.wait_s = failure, reason, LAST_RETRY_S
                point.due, point.lost_at = now + LAST_RETRY_S, now
                self.doubtful.append(point)

    def bring_forward(self, now: float) -> None:
        """Ask for all that is lost again: the device has been in a state in which it answered nothing."""
        self._ask_together([piece for piece in self.doubtful if piece.wait_s], now)

    def _take_along(self, lost_at: float, now: float) -> None:
        """Ask again for what was lost when a point was lost that is answered again."""
        lost = [piece for piece in self.doubtful if piece.wait_s]
        self._ask_together([piece for piece in lost if abs(piece.lost_at - lost_at) <= LOST_TOGETHER_S], now)

    def _ask_together(self, together: Sequence[Piece], now: float) -> None:
        """Ask for lost points now, for adjacent ones in one request."""
        for run in _adjacent(sorted(together, key=lambda piece: (piece.whole, piece.begin))):
            if len(run) > 1:
                one = self._piece(run[0].whole, run[0].begin, run[-1].end)
                one.failure, one.reason, one.is_known = run[0].failure, run[0].reason, run[0].is_known
                one.lost_at = run[0].lost_at
                self.doubtful = [piece for piece in self.doubtful if piece not in run]
                self.doubtful.append(one)
                one.due = now
            else:
                run[0].due = min(run[0].due, now)

    def _runs(self, whole: _Whole, sound: Sequence[Piece], cuts: AbstractSet[int]) -> Iterator[list[Piece]]:
        for adjacent in _adjacent(sound):
            run: list[Piece] = []
            for piece in adjacent:
                if run and (piece.begin in cuts or self._holes.crosses(whole.block.part(run[0].begin, piece.end))):
                    if len(run) > 1:
                        yield run
                    run = []
                run.append(piece)
            if len(run) > 1:
                yield run

    def _add(self, pieces: Iterable[Piece]) -> None:
        self.sound += pieces
        self.sound.sort(key=lambda piece: (piece.whole, piece.begin))

    def _piece(self, whole: int, begin: int, end: int, *, is_known: bool = False) -> Piece:
        return Piece(whole, begin, end, self._wholes[whole].block.part(begin, end), is_known=is_known)


def _adjacent(pieces: Iterable[Piece]) -> list[list[Piece]]:
    """Runs of pieces that follow each other, in their order."""
    found: list[list[Piece]] = []
    for piece in pieces:
        if found and found[-1][-1].whole == piece.whole and found[-1][-1].end == piece.begin:
            found[-1].append(piece)
        else:
            found.append([piece])
    return found


def gap_between(parts: Sequence[Block]) -> int:
    """The smallest gap between blocks, in addresses."""
    return min(after.address - before.address - before.count for before, after in pairwise(parts))
