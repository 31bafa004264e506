"""A Modbus slave that misbehaves at random: `python -m tests.soak.hostile_slave 1` prints its ports and serves.

One process serves TCP, UDP, and RTU and ASCII behind a gateway, each with the units 1 to 3, and a sound unit 1 on a
port of its own. Each pair of registers proves itself: the first says table, unit and address, the second when it was
read. What is done to a response is drawn from the seed; unit 3 has spells in which it is silent, rejects everything, or
hangs up. Writes to the sound unit are told on the standard output, with their time.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from tests.soak.hostile_frames import FRAMINGS, Framing

UNITS = (1, 2, 3)
MOODY = 3
CLOCK_HZ = 20
"""The second register of a pair counts so fast, by the clock that all processes of a computer share."""
SOUND = "sound"
CHANCE = 0.2
"""How often something is done to a response."""
LATE_S = 0.45
SPELL_S = (2.0, 6.0)
KEPT_S = 1.0
"""A response that is kept for the next connection is no older than this."""


def clock() -> int:
    """The value of the second register of a pair, now."""
    return int(time.monotonic() * CLOCK_HZ) & 0xFFFF


def proof(function: int, unit: int, address: int) -> int:
    """The value of the first register of the pair at an address: where it is."""
    return ((function & 1) << 15) | (unit << 10) | (address // 2 & 0x3FF)


def answer(unit: int, pdu: bytes) -> bytes:
    """The sound response to a request."""
    function = pdu[0]
    if function in {3, 4}:
        address, count = int.from_bytes(pdu[1:3]), int.from_bytes(pdu[3:5])
        if not 1 <= count <= 125:
            return bytes([function | 0x80, 3])
        words = (clock() if at % 2 else proof(function, unit, at) for at in range(address, address + count))
        return bytes([function, 2 * count]) + b"".join(word.to_bytes(2) for word in words)
    if function in {5, 6, 15, 16}:
        return pdu[:5]
    return bytes([function | 0x80, 1])


@dataclass(slots=True)
class Peer:
    """One client, as its transport reaches it."""

    write: Callable[[bytes], None]
    close: Callable[[], None]
    gone: bool = False
    before: tuple[bytes, bytes] | None = None
    """The request before, and its response as it was sent."""
    sent_until: float = 0.0

    def send(self, data: bytes, after_s: float = 0.0) -> None:
        """Send whole responses in order: the bytes of two never mix."""
        loop = asyncio.get_running_loop()
        self.sent_until = max(loop.time() + after_s, self.sent_until)
        loop.call_at(self.sent_until, lambda: None if self.gone else self.write(data))


@dataclass(slots=True)
class Moods:
    """The spells of the moody unit on one transport."""

    chance: random.Random
    until: float = 0.0
    mood: str = "well"

    def now(self) -> str:
        """Well, silent, rejecting or closing; each mood lasts some seconds."""
        if time.monotonic() >= self.until:
            self.mood = self.chance.choice(["well", "well", "silent", "rejecting", "closing"])
            self.until = time.monotonic() + self.chance.uniform(*SPELL_S)
        return self.mood


@dataclass(slots=True)
class Slave:
    """What one transport does to its clients."""

    name: str
    framing: Framing
    seed: int
    counts: Counter[str] = field(default_factory=Counter[str])
    kept: list[tuple[float, bytes]] = field(default_factory=list[tuple[float, bytes]])
    chance: random.Random = field(init=False)
    moods: Moods = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(f"{self.seed} {self.name}")
        self.moods = Moods(random.Random(f"{self.seed} {self.name} moods"))

    def react(self, peer: Peer, number: int, unit: int, pdu: bytes) -> None:
        """Answer one request, well or badly."""
        good = self.framing.frame(number, unit, answer(unit, pdu))
        if self.name == SOUND:
            if pdu[0] in {5, 6, 15, 16}:
                told = {"address": int.from_bytes(pdu[1:3]), "value": _written(pdu), "time": time.monotonic()}
                print(json.dumps(told), flush=True)
            peer.send(good)
            return
        before, peer.before = peer.before, (pdu, good)
        if unit == MOODY and (mood := self.moods.now()) != "well":
            self.counts[mood] += 1
            if mood == "rejecting":
                peer.send(self.framing.frame(number, unit, bytes([pdu[0] | 0x80, 2])))
            elif mood == "closing":
                peer.close()
            return
        deed = self.chance.choice(DEEDS) if self.chance.random() < CHANCE else "well"
        self.counts[deed] += 1
        self._do(deed, peer, number, unit, pdu, good, before[1] if before else b"")

    def _do(self, deed: str, peer: Peer, number: int, unit: int, pdu: bytes, good: bytes, before: bytes) -> None:
        frame, said, chance = self.framing.frame, answer(unit, pdu), self.chance
        other = unit % 5 + 1
        match deed:
            case "well":
                peer.send(good)
            case "late":
                peer.send(good, chance.uniform(0, 2 * LATE_S))
            case "lost":
                pass
            case "twice":
                peer.send(good + good)
            case "twice, later":
                peer.send(good)
                peer.send(good, chance.uniform(0.001, 2 * LATE_S))
            case "the one before first":
                peer.send(before + good)
            case "the one before only":
                peer.send(before)
            case "the one before, then late":
                peer.send(before)
                peer.send(good, LATE_S)
            case "another unit only":
                peer.send(frame(number, other, answer(other, pdu)))
            case "another unit first":
                peer.send(frame(number, other, answer(other, pdu)) + good)
            case "an exception of another request":
                peer.send(frame(number - 1 & 0xFFFF, unit, bytes([pdu[0] | 0x80, 2])) + good)
            case "busy":
                peer.send(frame(number, unit, bytes([pdu[0] | 0x80, 6])))
            case "another function":
                peer.send(frame(number, unit, bytes([4 if pdu[0] == 3 else 3]) + said[1:]))
            case "short" if len(said) > 4:
                peer.send(frame(number, unit, bytes([said[0], said[1] - 2]) + said[2:-2]))
            case "long" if 4 < len(said) < 250:
                peer.send(frame(number, unit, bytes([said[0], said[1] + 2]) + said[2:] + b"\xab\xcd"))
            case "a wrong count" if len(said) > 4:
                peer.send(frame(number, unit, bytes([said[0], said[1] + 2 & 0xFF]) + said[2:]))
            case "noise before":
                peer.send(chance.randbytes(chance.randint(1, 7)) + good)
            case "noise behind":
                peer.send(good + chance.randbytes(chance.randint(1, 7)))
            case "a page of the web":
                peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            case "hang up":
                peer.close()
            case "hang up in the middle":
                peer.send(good[: len(good) // 2])
                peer.close()
            case "keep it for the next connection":
                self.kept.append((time.monotonic(), good))
                peer.close()
            case "in pieces":
                for at in range(0, len(good), 3):
                    peer.send(good[at : at + 3], 0.001)
            case "without its number" if self.framing.numbered:
                peer.send(b"\0\0" + before[2:] if before else b"")
                peer.send(good, 0.02)
            case "without end":
                for _ in range(200):
                    peer.send(bytes([unit, 3, 0xFA]) * 400)
            case "a bit":
                if self.framing.checked:
                    at = chance.randrange(len(good))
                    good = good[:at] + bytes([good[at] ^ 1 << chance.randrange(7)]) + good[at + 1 :]
                peer.send(good)
            case _:
                peer.send(good)

    def connected(self, peer: Peer) -> None:
        """Send what was kept for this connection."""
        kept, self.kept = self.kept, []
        for since, data in kept:
            if time.monotonic() - since < KEPT_S:
                peer.send(data)


DEEDS = (
    "late", "lost", "twice", "twice, later", "the one before first", "the one before only",
    "the one before, then late", "another unit only", "another unit first", "an exception of another request", "busy",
    "another function", "short", "long", "a wrong count", "noise before", "noise behind", "a page of the web",
    "hang up", "hang up in the middle", "keep it for the next connection", "in pieces", "without its number",
    "without end", "a bit",
)  # fmt: skip


def _written(pdu: bytes) -> int:
    return int.from_bytes(pdu[3:5] if pdu[0] in {5, 6} else pdu[6:8])


class _Stream(asyncio.Protocol):
    def __init__(self, slave: Slave) -> None:
        self._slave = slave
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._peer = Peer(lambda data: None if transport.is_closing() else transport.write(data), transport.abort)
        self._slave.counts["connections"] += 1
        self._slave.connected(self._peer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._peer.gone = True

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while found := self._slave.framing.take(self._buffer):
            number, unit, pdu, size = found
            self._buffer = self._buffer[size:]
            self._slave.react(self._peer, number, unit, pdu)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, slave: Slave) -> None:
        self._slave = slave
        self._peers: dict[object, Peer] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        transport = cast("asyncio.DatagramTransport", self._transport)  # asyncio's own is none by its class
        peer = self._peers.setdefault(addr, Peer(lambda data: transport.sendto(data[:60_000], addr), lambda: None))
        if found := self._slave.framing.take(data):
            number, unit, pdu, _ = found
            self._slave.react(peer, number, unit, pdu)


async def serve(seed: int) -> None:
    """Serve until the process is ended; the first line printed is JSON, transport -> port."""
    loop = asyncio.get_running_loop()
    ports: dict[str, int] = {}
    slaves: list[Slave] = []
    for name, framing in FRAMINGS.items():
        slave = Slave(name, framing, seed)
        slaves.append(slave)
        if name == "udp":
            transport, _ = await loop.create_datagram_endpoint(
                lambda slave=slave: _Datagrams(slave), local_addr=("127.0.0.1", 0)
            )
            ports[name] = transport.get_extra_info("sockname")[1]
        else:
            server = await loop.create_server(lambda slave=slave: _Stream(slave), "127.0.0.1", 0)
            ports[name] = server.sockets[0].getsockname()[1]
    print(json.dumps(ports), flush=True)
    while True:
        await asyncio.sleep(1.0)  # until the process is ended
        counts = sum((slave.counts for slave in slaves), Counter[str]())
        print(json.dumps({"counts": dict(counts)}), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
