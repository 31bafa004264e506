"""The reading of one group, block by block, and what it learns about places that the device refuses.

A block that is refused for its address (exception 02 or 03) is halved until the points at fault are found. They are
bad, the others are read around them from then on, and one of them is tried again now and then. The other groups of the
device read around them too. Nothing of it is forgotten before the process ends.

A block that alone is not answered at all is halved as well, but one half at a time and seconds apart: each try costs a
time-out. When all of it is answered again, it is read as one block again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from drivers.contract import Image, Quality
from drivers.modbus.codec import compact
from drivers.modbus.device import Device
from drivers.modbus.holes import Holes, place_of
from drivers.modbus.link import Link
from drivers.modbus.options import BITS_PER_REGISTER
from drivers.modbus.pdu import ILLEGAL_DATA_ADDRESS, ILLEGAL_DATA_VALUE, Flaw, Refusal, Reply
from drivers.modbus.plan import Block, GroupPlan
from drivers.reasons import reason_code, reason_text

log = logging.getLogger("skidlink.drivers.modbus")

RETRY_LOST_S = 60.0
"""How long a refused place is left alone before it is tried again."""

RETRY_SILENT_S = 5.0
"""How long a part of a block that is not answered is left alone, as long as it can be divided."""

NOT_DECIMAL = reason_code("the register holds no decimal digits (BCD)")


_Range = tuple[int, int]
"""Which spans of a block, from and up to (exclusive)."""


@dataclass(slots=True)
class _Lost:
    """A place that the device refuses."""

    block: Block
    reason: int
    retry_at: float
    whole: Block | None = None
    """The block that was not answered, of which it is a part; None for a place that is refused."""


class GroupReading:
    """Reads one group into the image."""

    def __init__(self, plan: GroupPlan, device: Device, link: Link, image: Image, holes: Holes) -> None:
        self._plan = plan
        self._device = device
        self._link = link
        self._image = image
        self._bytes = bytearray(plan.raw_size)
        self._raw = np.frombuffer(self._bytes, np.uint8)
        """The same bytes, as the decoder wants them."""
        self._rows = compact(plan.group.rows)
        self._blocks: list[Block] = list(plan.blocks)
        self._lost: list[_Lost] = []
        self._holes = holes
        self._known_holes = 0
        self._said: set[str] = set()

    async def read(self) -> None:
        """Read all blocks, then fill the group's rows in one go.

        Raises `LinkError` or `DeviceError`, the rows untouched.
        """
        now = time.monotonic()
        if self._device.unanswered and len(self._blocks) > 1:
            await self._find_again()
        if self._known_holes != self._holes.version:
            self._read_around(now)
        blocks = list(self._blocks)
        retried = next((lost for lost in self._lost if now >= lost.retry_at), None)
        asked = blocks if retried is None else [*blocks, retried.block]
        replies = await self._ask(asked, doubtful=len(asked) - len(blocks))
        await self._prove_present(asked, replies, len(blocks))
        bad: list[tuple[Block, int]] = []
        for block, reply in zip(blocks, replies[: len(blocks)], strict=True):
            if isinstance(reply, bytes):
                continue
            if _is_refused_place(reply):
                await self._find_holes(block, reply, now, bad)
            elif reply is Flaw.SILENCE:
                self._blocks.remove(block)
                self._silent(block, block, now)
            else:
                bad.append((block, self._trouble(block, reply)))
        if retried is not None:
            self._retried(retried, replies[-1], now)
        self._fill(bad)

    async def _find_again(self) -> None:
        """Ask a device that left its last request unanswered for one block, another one at each try.

        Raises `LinkError` or `DeviceError` where it does not answer this one either.
        """
        self._blocks.append(self._blocks.pop(0))
        await self._ask(self._blocks[:1])

    async def _prove_present(self, asked: Sequence[Block], replies: list[Reply], count: int) -> None:
        """Tell a device that went away or came back in the middle of a reading from one that passes over a block in
        silence.

        Neither answers from before the silence nor from after it speak against the block. So it is asked for once more,
        behind a block that was answered. Raises `LinkError` or `DeviceError` when not even that one is answered now.
        """
        silent = [place for place, reply in enumerate(replies[:count]) if reply is Flaw.SILENCE]
        answered = [place for place, reply in enumerate(replies) if reply is not Flaw.SILENCE]
        if silent and answered:
            again = [asked[place] for place in (answered[-1], *silent)]
            for place, reply in zip(silent, (await self._ask(again, doubtful=len(silent)))[1:], strict=True):
                replies[place] = reply

    async def _ask(self, blocks: Sequence[Block], *, doubtful: int = 0) -> list[Reply]:
        """Read blocks and keep what was answered; the `doubtful` last ones are asked for once only."""
        if not blocks:
            return []
        replies = await self._link.exchange(
            self._device, [block.request for block in blocks], doubtful=doubtful, yields=True
        )
        for block, reply in zip(blocks, replies, strict=True):
            if isinstance(reply, bytes):
                block.store(self._bytes, reply)
        return replies

    def _fill(self, bad: list[tuple[Block, int]]) -> None:
        image, rows = self._image, self._rows
        invalid = self._plan.decoder.decode(self._raw, image)
        image.quality[rows] = Quality.GOOD
        image.reason[rows] = 0
        if invalid.size:
            image.quality[invalid] = Quality.BAD
            image.reason[invalid] = NOT_DECIMAL
        for block, reason in [*bad, *((lost.block, lost.reason) for lost in self._lost)]:
            for field in block.fields:
                image.quality[field.row] = Quality.BAD
                image.reason[field.row] = reason

    async def _find_holes(self, block: Block, refusal: Reply, now: float, bad: list[tuple[Block, int]]) -> None:
        """Replace a refused block by the parts of it that are answered; the points at fault are lost."""
        answered: list[_Range] = []
        faults: list[tuple[int, Reply]] = []
        cuts: set[int] = set()
        refused: list[tuple[_Range, Reply]] = [((0, len(block.spans)), refusal)]
        while refused:
            faults += [(begin, reply) for (begin, end), reply in refused if end - begin == 1]
            halved = [(begin, (begin + end) // 2, end) for (begin, end), _ in refused if end - begin > 1]
            halves = [half for begin, middle, end in halved for half in ((begin, middle), (middle, end))]
            replies = await self._ask([block.part(*half) for half in halves])
            refused = [(half, reply) for half, reply in zip(halves, replies, strict=True) if _is_refused_place(reply)]
            good = set(halves).difference(half for half, _ in refused)
            answered += good
            cuts.update(middle for begin, middle, end in halved if (begin, middle) in good and (middle, end) in good)
            for half, reply in zip(halves, replies, strict=True):
                if half in good and not isinstance(reply, bytes):
                    part = block.part(*half)
                    bad.append((part, self._trouble(part, reply)))
        parts = await self._join(block, sorted(answered), cuts)
        place = self._blocks.index(block)
        self._blocks[place : place + 1] = [block.part(*part) for part in parts]
        for begin, reply in faults:
            self._lose(block.part(begin, begin + 1), reply, now)
        if not faults:
            self._advise(block, parts)

    async def _join(self, block: Block, parts: list[_Range], cuts: set[int]) -> list[_Range]:
        """Try in one request again what lies between points at fault and cuts, and keep to that where it is answered.

        `cuts`: before which spans the device does not read on, as both sides were answered alone.
        """
        runs: list[list[_Range]] = []
        for begin, end in parts:
            if runs and runs[-1][-1][1] == begin and begin not in cuts:
                runs[-1].append((begin, end))
            else:
                runs.append([(begin, end)])
        wholes = [(run[0][0], run[-1][1]) for run in runs]
        replies = await self._ask([block.part(*whole) for whole in wholes])
        joined: list[_Range] = []
        for run, whole, reply in zip(runs, wholes, replies, strict=True):
            joined += [whole] if isinstance(reply, bytes) else run
        return joined

    def _lose(self, block: Block, reply: Reply, now: float) -> None:
        reason = reason_code(f"the device refuses {block}: {reply}")
        self._lost.append(_Lost(block, reason, now + RETRY_LOST_S))
        self._holes.add(place_of(block), reason)
        tags = ", ".join(field.tag for field in block.fields)
        log.warning(
            "%s: %s; bad: %s. Correct the address or take the tag out of the UOD; it is asked again every %.0f s",
            self._device.name, reason_text(reason), tags, RETRY_LOST_S,
        )  # fmt: skip

    def _read_around(self, now: float) -> None:
        """Take over what other groups of the device have learned about it."""
        self._known_holes = self._holes.version
        blocks, self._blocks = self._blocks, []
        for block in blocks:
            parts, lost = self._holes.split(block)
            self._blocks += parts
            self._lost += [_Lost(point, reason, now + RETRY_LOST_S) for point, reason in lost]

    def _silent(self, block: Block, whole: Block, now: float) -> None:
        """Leave a block that alone is not answered, to try its halves later."""
        reason = reason_code(f"the device does not answer {whole}, though it answers others")
        if block is whole:
            log.warning(
                "%s: %s; it is tried in parts. Correct the addresses, or set max_block or readable for this device in "
                "the UOD",
                self._device.name, reason_text(reason),
            )  # fmt: skip
        middle, end = len(block.spans) // 2, len(block.spans)
        if middle == 0:
            self._lost.append(_Lost(block, reason, now + RETRY_LOST_S, whole))
        else:
            for place, half in enumerate((block.part(0, middle), block.part(middle, end))):
                self._lost.append(_Lost(half, reason, now + RETRY_SILENT_S * (place + 1), whole))

    def _retried(self, lost: _Lost, reply: Reply, now: float) -> None:
        if isinstance(reply, bytes):
            self._lost.remove(lost)
            self._blocks.append(lost.block)
            log.info("%s: %s is answered again", self._device.name, lost.block)
            if lost.whole is None:
                self._holes.remove(place_of(lost.block))
                return
            spans = set(lost.whole.spans)
            if all(spans.isdisjoint(other.block.spans) for other in self._lost):
                others = [block for block in self._blocks if not spans.issuperset(block.spans)]
                self._blocks = [*others, lost.whole]
        elif reply is Flaw.SILENCE and lost.whole is not None:
            self._lost.remove(lost)
            self._silent(lost.block, lost.whole, now)
        else:
            lost.retry_at = now + RETRY_LOST_S

    def _trouble(self, block: Block, reply: Refusal | Flaw) -> int:
        """The reason for points whose block was answered, but not with data; said once."""
        text = f"the device refuses {block}: {reply}" if isinstance(reply, Refusal) else f"{block}: {reply}"
        if text not in self._said:
            self._said.add(text)
            log.warning("%s: %s", self._device.name, text)
        return reason_code(text)

    def _advise(self, block: Block, parts: list[_Range]) -> None:
        """Say how to plan a block that is only answered in parts, though every point in it is."""
        pieces = [block.part(*part) for part in parts]
        gap = min(after.address - before.address - before.count for before, after in pairwise(pieces))
        weight = BITS_PER_REGISTER if block.table.is_bits else 1
        longest = max(piece.count for piece in pieces)
        key = f"max_gap: {(gap - 1) // weight}" if gap > 0 else f"max_block: {max(1, longest // weight)}"
        log.warning(
            "%s refuses to read %s at once, but answers it in %d parts: set %s for this device in the UOD",
            self._device.name, block, len(parts), key,
        )  # fmt: skip


def _is_refused_place(reply: Reply) -> bool:
    return isinstance(reply, Refusal) and reply.code in {ILLEGAL_DATA_ADDRESS, ILLEGAL_DATA_VALUE}
