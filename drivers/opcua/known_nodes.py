"""What is known of the server's nodes in a session, and when to ask for it again.

Rules of this file:

* A node may come, go, or change its type while the session goes on: a PLC program is loaded, a gateway finds its PLC.
  It is learned anew by itself, and neither the session nor the other nodes notice.
* What is missing is asked for at growing intervals; what has just changed is asked for soon.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Collection, Iterable, Mapping, Sequence

from drivers.contract import LinkError
from drivers.opcua.access_levels import unwritable
from drivers.opcua.enumerations import Texts, texts_of
from drivers.opcua.hints import hints
from drivers.opcua.link import Link
from drivers.opcua.nodes import MISSING, NO_NAMESPACE, Absent, Node, browse_around, find_nodes
from drivers.opcua.plan import Plan
from drivers.reasons import note_explained, reason_code

_log = logging.getLogger("skidlink.drivers.opcua")

FIRST_LOOK_AFTER_S = 5.0
LOOK_AGAIN_AFTER_S = 60.0
"""How often nodes that are missing are looked for, at last."""
_HINTS_AT_ONCE = 20
"""How many missing nodes are looked into at one connect; a wrong namespace would else browse for each of thousands."""


class KnownNodes:
    """The nodes of a plan, as the server has them."""

    def __init__(self, link: Link, plan: Plan) -> None:
        self._link = link
        self._plan = plan
        self.nodes: Sequence[Node | Absent] = ()
        """In the order of `plan.addresses`; empty while there is no session."""
        self.texts: Mapping[int, Texts] = {}
        """Node -> the server's texts for its numbers, where a tag wants them."""
        self.unwritable: Mapping[int, str] = {}
        """Node -> why the server says that it cannot be written, of those that are to be written."""
        self._lacking: set[int] = set()
        """Nodes that are missing or do not fit."""
        self._doubted: set[int] = set()
        """Nodes whose last answer was not what was known of them."""
        self._look_at = math.inf
        self._pause_s = FIRST_LOOK_AFTER_S
        self._told: set[str] = set()
        """Tags of which the log has said already why they cannot be read."""

    @property
    def due(self) -> bool:
        """Whether it is time to look again."""
        return time.monotonic() >= self._look_at

    async def learn(self) -> None:
        """Find every node of the plan, and what it holds. Raises `LinkError`."""
        addresses = self._plan.addresses
        self.forget()
        found = await find_nodes(self._link, addresses)
        absent = [place for place, node in enumerate(found) if isinstance(node, Absent) and node.reason != NO_NAMESPACE]
        if absent:
            missing = [addresses[place] for place in absent]
            with contextlib.suppress(LinkError):  # it is a help only; a connection that is lost is noticed right below
                await browse_around(self._link, missing)
            for place, node in zip(absent, await find_nodes(self._link, missing), strict=True):
                found[place] = node
        self.texts = await self._learn_texts(range(len(found)), found)
        self.unwritable = await self._learn_access(range(len(found)), found)
        self.nodes = found

    def forget(self) -> None:
        """The session is over."""
        self.nodes, self.texts, self.unwritable = (), {}, {}
        self._lacking, self._doubted = set(), set()
        self._look_at, self._pause_s = math.inf, FIRST_LOOK_AFTER_S

    def expect(self, lacking: Collection[int]) -> None:
        """Look again for nodes that are missing, or do not fit what is asked of them."""
        self._lacking = set(lacking)
        if not self._lacking and not self._doubted:
            self._look_at, self._pause_s = math.inf, FIRST_LOOK_AFTER_S
        elif self._look_at == math.inf:
            self._look_at = time.monotonic() + self._pause_s

    def doubt(self, nodes: Iterable[int]) -> None:
        """Look soon for nodes whose answer is not what is known of them."""
        news = set(nodes) - self._doubted - self._lacking
        if news:
            self._doubted |= news
            self._look_at = min(self._look_at, time.monotonic() + FIRST_LOOK_AFTER_S)

    async def look_again(self) -> set[int]:
        """Learn anew what is missing or in doubt; the nodes that are others than before, or were in doubt.

        Raises `LinkError`.
        """
        self._pause_s = min(2 * self._pause_s, LOOK_AGAIN_AFTER_S)
        self._look_at = time.monotonic() + self._pause_s
        namespaces = self._link.namespaces
        await self._link.learn_namespaces()
        renumbered = namespaces != self._link.namespaces
        places = range(len(self.nodes)) if renumbered else sorted(self._lacking | self._doubted)
        found = await find_nodes(self._link, [self._plan.addresses[place] for place in places])
        news = {place: node for place, node in zip(places, found, strict=True) if node != self.nodes[place]}
        doubted, self._doubted = self._doubted, set()
        self.expect(self._lacking)
        if news:
            nodes = [news.get(place, node) for place, node in enumerate(self.nodes)]
            texts = await self._learn_texts(news, nodes)
            self.texts = {node: known for node, known in self.texts.items() if node not in news} | texts
            access = await self._learn_access(news, nodes)
            self.unwritable = {node: why for node, why in self.unwritable.items() if node not in news} | access
            self.nodes = nodes
        return doubted | news.keys()

    async def tell(self, unfit: Mapping[int, str]) -> None:
        """Log why points (row -> why) cannot be read, each once; of a missing node, with what the server has instead.

        Raises `LinkError`.
        """
        addresses, places = self._plan.addresses, self._plan.places
        news = {row: why for row, why in unfit.items() if places[row].tag not in self._told}
        self._told.update(places[row].tag for row in news)
        absent = dict.fromkeys(places[row].node for row, why in news.items() if why in {MISSING, NO_NAMESPACE})
        looked_up = list(absent)[:_HINTS_AT_ONCE]
        found = dict(zip(looked_up, await hints(self._link, [addresses[node] for node in looked_up]), strict=True))
        for row, why in news.items():
            node = places[row].node
            hint = found.get(node, f"{addresses[node].text}: {why}")
            _log.warning("%s: tag %s: %s", self._link.endpoint, places[row].tag, hint)
            note_explained(places[row].tag, reason_code(why))

    async def _learn_access(self, among: Collection[int], nodes: Sequence[Node | Absent]) -> dict[int, str]:
        wanted = {
            place.node: node.id
            for place in self._plan.places
            if place.writes and place.node in among and isinstance(node := nodes[place.node], Node)
        }
        return await unwritable(self._link, wanted) if wanted else {}

    async def _learn_texts(self, among: Collection[int], nodes: Sequence[Node | Absent]) -> dict[int, Texts]:
        wanted = {
            place.node: node.id
            for place in self._plan.places
            if place.server_texts and place.node in among and isinstance(node := nodes[place.node], Node)
        }
        return dict(zip(wanted, await texts_of(self._link, list(wanted.values())), strict=True))
