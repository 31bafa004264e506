"""The nodes of a server that break a whole answer when they are read: left out, and tried again later. No I/O here.

Rules of this file:

* A node is suspected before it is found guilty: requests that fail are sent again in halves, until one node is left.
* A request on which the server closes the connection, or does not answer, cannot be sent again in the same session. It
  is halved from one session to the next; and as networks break connections too, not before it was so twice in a row.
* Where no node turns out to be guilty, and that twice, the server closes the connection at requests of this size: then
  smaller ones are made from then on.
* A node that was found is tried alone, after a while that grows each time; all others are read as if it were not there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from asyncua import ua

_FIRST_REST_S = 60.0
_LONGEST_REST_S = 3600.0
_FIRST_REST_OF_CLOSERS_S = 600.0
"""Longer, as each trial costs the connection."""
_LONGEST_REST_OF_CLOSERS_S = 86_400.0
_LOSSES = 2
"""So many connections in a row are lost while the same nodes are read before these are suspected."""
_CLEARED = 2
"""So often all suspects are cleared, in a short time, before it is the size of the requests."""
_CLEARED_WITHIN_S = 600.0
"""Networks break connections too, but not again and again at once."""

CLOSES = "the server closes the connection when the node is read"
SILENT = "the server does not answer when the node is read: if it is only slow, raise timeout_ms"


Key = tuple[ua.NodeId, int]
"""What is read: an attribute of a node."""


@dataclass(frozen=True, slots=True)
class _Sentence:
    """What is known of a node that breaks answers."""

    reason: str
    rest_s: float
    until: float
    """Monotonic seconds."""
    closes: bool


class Quarantine:
    """What is known of one server's nodes, from one session to the next."""

    def __init__(self) -> None:
        self._held: dict[Key, _Sentence] = {}
        self._suspects: list[Key] = []
        """What was being read when the connection was lost."""
        self._earlier: list[list[Key]] = []
        """What was suspected before, and is so still: other nodes broke a reading before it was halved to its end."""
        self._losses = 0
        self._largest = 0
        """The largest request that was answered since nodes are suspected."""
        self._cleared = 0
        """How often all suspects were cleared of late, since a node was found guilty."""
        self._cleared_at = -math.inf
        self.breaks = 0
        """How often the server broke off a reading, each of which tells more."""
        self.most = 0
        """So many operations one request may have, as far as its size was found to end connections; 0: any number."""
        self.turn = 0
        """Counts up whenever a node is held or let go."""
        self.next_trial = math.inf
        """When the first of the nodes that are held is to be tried, monotonic seconds."""

    @property
    def suspicious(self) -> bool:
        """Whether nodes have to be read in parts, one request after the other."""
        return self._losses >= _LOSSES

    @property
    def doubts(self) -> bool:
        """Whether a reading that succeeds would be news."""
        return self._losses > 0

    def reason(self, key: Key) -> str:
        """Why a node is held; "" when it is not."""
        sentence = self._held.get(key)
        return "" if sentence is None else sentence.reason

    def due(self, key: Key, now: float) -> bool:
        """Whether a node that is held is to be tried again."""
        sentence = self._held.get(key)
        return sentence is not None and sentence.until <= now

    def parts(self, keys: Sequence[Key]) -> list[list[int]]:
        """How to ask: places that may be asked together, or the parts to be asked one by one.

        A suspected request is asked in halves; before it all others, in requests no larger than these, or than one that
        was answered meanwhile. Where one of these is broken off too, it is suspected beside the first: there are
        several nodes to blame.
        """
        if not self.suspicious:
            return [list(range(len(keys)))]
        groups = [self._suspects, *reversed(self._earlier)]
        group_of = {key: number for number, group in enumerate(groups) for key in group}
        free = [place for place, key in enumerate(keys) if key not in group_of]
        rests: list[list[int]] = [[] for _ in groups]
        for place, key in enumerate(keys):
            if key in group_of:
                rests[group_of[key]].append(place)
        halves = [max((len(rest) + 1) // 2, 1) for rest in rests]
        borne = max(halves[0], self._largest)
        earlier = zip(rests[1:], [min(half, borne) for half in halves[1:]], strict=True)
        sizes = [(free, borne), (rests[0], halves[0]), *earlier]
        return [part[begin : begin + size] for part, size in sizes for begin in range(0, len(part), size)]

    def lost(self, keys: Iterable[Key], now: float, *, silent: bool = False) -> None:
        """Remember what was being read when the connection was lost, or no answer came; hold what was read alone and
        suspected.
        """
        self.breaks += 1
        asked = list(dict.fromkeys(keys))
        before = set(self._suspects).union(*self._earlier)
        alone = len(asked) == 1 and (self.reason(asked[0]) or (self.suspicious and asked[0] in before))
        others = [group for group in (*self._earlier, self._suspects) if group and set(group).isdisjoint(asked)]
        if alone:
            self.hold(asked[0], SILENT if silent else CLOSES, now, closes=not silent)
            self._cleared = 0
            self._suspect(others)
            if not self._suspects:
                self._losses = 0
            return
        again = self.suspicious or not before.isdisjoint(asked)
        self._suspect([*(others if self.suspicious else ()), asked])
        self._losses = self._losses + 1 if again else 1
        if not self.suspicious:
            self._largest = 0

    def answered(self, keys: Iterable[Key], now: float) -> None:
        """Clear of suspicion what one request has read."""
        read = set(keys)
        self._largest = max(self._largest, len(read))
        self._suspect([[key for key in group if key not in read] for group in (*self._earlier, self._suspects)])
        if self._suspects:
            return
        if self.suspicious:
            self._cleared = self._cleared + 1 if now - self._cleared_at <= _CLEARED_WITHIN_S else 1
            self._cleared_at = now
            if self._cleared >= _CLEARED:
                self.most = min(self._largest, self.most or self._largest)
                self._cleared = 0
        self._losses = 0

    def _suspect(self, groups: Iterable[list[Key]]) -> None:
        """Suspect each of these groups for itself, the last one first."""
        *self._earlier, self._suspects = [group for group in groups if group] or [[]]

    def hold(self, key: Key, reason: str, now: float, *, closes: bool = False) -> None:
        """Leave a node out for a while, each time for longer."""
        before = self._held.get(key)
        first, longest = (
            (_FIRST_REST_OF_CLOSERS_S, _LONGEST_REST_OF_CLOSERS_S) if closes else (_FIRST_REST_S, _LONGEST_REST_S)
        )
        rest_s = first if before is None or before.closes is not closes else min(2 * before.rest_s, longest)
        self._held[key] = _Sentence(reason, rest_s, now + rest_s, closes)
        self._changed()

    def release(self, key: Key) -> None:
        """Read a node as the others again."""
        if self._held.pop(key, None) is not None:
            self._changed()

    def defer(self, key: Key, now: float) -> None:
        """Put the next trial of a node off by as long as the last one, before it is tried: it may end the session."""
        sentence = self._held[key]
        self._held[key] = replace(sentence, until=now + sentence.rest_s)
        self._changed()

    def defer_all(self, now: float) -> None:
        """Put all trials off: a rest begins when the search is over, else the first node is tried before it ends."""
        self._held = {key: replace(held, until=now + held.rest_s) for key, held in self._held.items()}
        self._changed()

    def _changed(self) -> None:
        self.turn += 1
        self.next_trial = min((sentence.until for sentence in self._held.values()), default=math.inf)
