"""The nodes of a server that break a whole answer when they are read: left out, and tried again later. No I/O here.

Rules of this file:

* A node is suspected before it is found guilty: requests that fail are sent again in halves, until one node is left.
* A request on which the server closes the connection cannot be sent again in the same session. It is halved from one
  session to the next; and as networks break connections too, not before it was so twice in a row.
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

CLOSES = "the server closes the connection when the node is read"


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
        self._held: dict[ua.NodeId, _Sentence] = {}
        self._suspects: list[ua.NodeId] = []
        """The nodes that were being read when the connection was lost."""
        self._losses = 0
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

    def reason(self, node: ua.NodeId) -> str:
        """Why a node is held; "" when it is not."""
        sentence = self._held.get(node)
        return "" if sentence is None else sentence.reason

    def due(self, node: ua.NodeId, now: float) -> bool:
        """Whether a node that is held is to be tried again."""
        sentence = self._held.get(node)
        return sentence is not None and sentence.until <= now

    def parts(self, nodes: Sequence[ua.NodeId | None]) -> list[list[int]]:
        """How to ask for nodes: places that may be asked together, then the parts to be asked one by one.

        Of a suspected request that is not one node yet these are its halves. None stands for what is no value.
        """
        if not self.suspicious:
            return [list(range(len(nodes)))]
        suspects = set(self._suspects)
        free = [place for place, node in enumerate(nodes) if node not in suspects]
        rest = [place for place, node in enumerate(nodes) if node in suspects]
        half = (len(rest) + 1) // 2
        return [free, *(part for part in (rest[:half], rest[half:]) if part)]

    def lost(self, nodes: Iterable[ua.NodeId], now: float) -> None:
        """Remember what was being read when the connection was lost; hold a node that was read alone and suspected."""
        asked = list(dict.fromkeys(nodes))
        before = set(self._suspects)
        alone = len(asked) == 1 and (self.reason(asked[0]) or (self.suspicious and asked[0] in before))
        if alone:
            self.hold(asked[0], CLOSES, now, closes=True)
            self._suspects, self._losses = [], 0
            return
        self._losses = self._losses + 1 if not before.isdisjoint(asked) else 1
        self._suspects = asked

    def answered(self, nodes: Iterable[ua.NodeId]) -> None:
        """Clear nodes of suspicion."""
        read = set(nodes)
        self._suspects = [node for node in self._suspects if node not in read]
        if not self._suspects:
            self._losses = 0

    def hold(self, node: ua.NodeId, reason: str, now: float, *, closes: bool = False) -> None:
        """Leave a node out for a while, each time for longer."""
        before = self._held.get(node)
        first, longest = (
            (_FIRST_REST_OF_CLOSERS_S, _LONGEST_REST_OF_CLOSERS_S) if closes else (_FIRST_REST_S, _LONGEST_REST_S)
        )
        rest_s = first if before is None or before.closes is not closes else min(2 * before.rest_s, longest)
        self._held[node] = _Sentence(reason, rest_s, now + rest_s, closes)
        self._changed()

    def release(self, node: ua.NodeId) -> None:
        """Read a node as the others again."""
        if self._held.pop(node, None) is not None:
            self._changed()

    def defer(self, node: ua.NodeId, now: float) -> None:
        """Put the next trial of a node off by as long as the last one, before it is tried: it may end the session."""
        sentence = self._held[node]
        self._held[node] = replace(sentence, until=now + sentence.rest_s)
        self._changed()

    def _changed(self) -> None:
        self.turn += 1
        self.next_trial = min((sentence.until for sentence in self._held.values()), default=math.inf)
