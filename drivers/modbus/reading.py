"""The reading of one group, piece by piece, and what it learns about places that the device does not answer.

* A piece that fails again and again while others are answered, whatever the failure, is halved until the points at
  fault are found (`pieces`). They are bad, the others are read around them from then on, and so are they by the other
  groups of the device. What may cost a timeout or the connection is tried alone, and seldom.
* A device that rejects everything that it used to answer is in a state of its own, a restart for one: it is asked for
  one piece at a reading until that has passed, and for everything at once then.
* The search takes a bounded number of requests a reading. Nothing of it is forgotten before the process ends.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np

from drivers.contract import DeviceError, Image, Quality
from drivers.modbus.codec import compact
from drivers.modbus.connection import PASSING
from drivers.modbus.device import Device
from drivers.modbus.holes import Holes
from drivers.modbus.link import Link
from drivers.modbus.losses import LostError
from drivers.modbus.options import BITS_PER_REGISTER
from drivers.modbus.pdu import Flaw, Refusal, Reply
from drivers.modbus.pieces import COSTLY, Failure, Piece, Pieces, gap_between
from drivers.modbus.plan import Block, GroupPlan
from drivers.reasons import note_explained, reason_code, reason_text

log = logging.getLogger("skidlink.drivers.modbus")

SEARCH_ALONE = 48
SEARCH_SHARED = 8
"""How many requests of a search a reading may take, on a link of its own and beside other devices."""
SEARCH_UNANSWERED = 12
"""The same as long as nothing in the reading has been answered with data."""
REJECTING_S = 10.0
"""How long a device may reject everything before the places at fault are looked for."""
PASSING_PAUSE_S = 1.0
"""How long a doubtful piece is left alone after an exception that says nothing of its place."""
TOLD_AT_ONCE = 5
"""How many lost points are told one by one, and how many tags are named where they are more."""
TOLD_AGAIN = 3
"""How often the log tells of one and the same place."""

NOT_DECIMAL = reason_code("the register holds no decimal digits (BCD)")


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
        self._pieces = Pieces(plan.blocks, holes)
        self._rejecting_since: float | None = None
        """Since when the device has rejected everything that it used to answer."""
        self._has_proof = True
        """Whether the device answered its proof when it was last asked for it, as nothing else is answered."""
        self._said: set[str] = set()
        self._lost: list[Piece] = []
        """What has been lost since the log told of it last."""
        self._told: Counter[str] = Counter()
        """place -> how often the log has told that it is lost"""

    async def read(self) -> None:
        """Read all pieces, then fill the group's rows in one go.

        Raises `LinkError` or `DeviceError`, the rows untouched.
        """
        now = time.monotonic()
        pieces = self._pieces
        if self._device.unanswered:
            await self._find_again()
        pieces.read_around(now)
        bad: list[tuple[Piece, Failure]] = []
        lost: list[Piece] = []
        asked: list[Piece] = []
        if self._rejecting_since is None or not await self._still_rejects(self._rejecting_since, now):
            asked = list(pieces.sound)
            for piece, reply in zip(asked, await self._read_sound(asked), strict=True):
                if isinstance(reply, bytes):
                    piece.failures, piece.is_known = 0, True
                else:
                    bad.append((piece, reply))
            if bad and not self._begins_to_reject(asked, bad, now):
                lost += self._judge(bad, now)
        if self._rejecting_since is None and (pieces.doubtful or pieces.is_split):
            lost += await self._search(now, is_present=bool(asked), has_data=len(bad) < len(asked))
        self._lost += lost
        if self._lost:
            self._tell_lost()
        self._fill(bad)

    async def _find_again(self) -> None:
        """Ask a device that left its last request unanswered for one piece, or one point, another one at each try.

        Raises `LinkError` or `DeviceError` where it does not answer this one either.
        """
        sound = self._pieces.sound
        if len(sound) > 1:
            sound.append(sound.pop(0))
            await self._ask(sound[:1])
        elif sound and not sound[0].is_single:
            block = sound[0].block
            point = block.part(place := self._device.unanswered % len(block.spans), place + 1)
            await self._link.exchange(self._device, [point.request], yields=True)

    async def _read_sound(self, asked: Sequence[Piece]) -> list[Reply]:
        """Read sound pieces; one at which the connection ends is a failure of its own where others are answered.

        Raises `LinkError` or `DeviceError`.
        """
        try:
            replies = await self._ask(asked)
        except LostError as error:
            if error.slot is None:
                raise
            culprit = asked[error.slot]
            culprit.failures += 1
            others = [piece for piece in asked if piece is not culprit]
            if not self._link.redials or not others:
                self._blame(culprit)
                raise
            await self._link.open()
            found = iter(await self._ask(others))
            return [Flaw.CLOSED if piece is culprit else next(found) for piece in asked]
        silent = [place for place, reply in enumerate(replies) if reply is Flaw.SILENCE]
        answered = [place for place, reply in enumerate(replies) if reply is not Flaw.SILENCE]
        if silent and answered:
            # Neither the answers from before the silence nor those from after it speak against the pieces: the device
            # may have gone or come in between. So they are asked for once more, behind one that was answered.
            again = [asked[place] for place in (answered[-1], *silent)]
            for place, reply in zip(silent, (await self._ask(again, doubtful=len(silent)))[1:], strict=True):
                replies[place] = reply
        return replies

    def _blame(self, culprit: Piece) -> None:
        """Ask for a piece at which the connection ends behind the others, and later in parts and alone."""
        sound, now = self._pieces.sound, time.monotonic()
        sound.remove(culprit)
        sound.append(culprit)
        if self._pieces.is_persistent(culprit, Flaw.CLOSED):
            culprit.reason = self._reason(culprit.block, Flaw.CLOSED)
            lost = self._pieces.doubt(culprit, Flaw.CLOSED, now)
            if lost is not None:
                self._lost.append(lost)

    async def _ask(self, pieces: Sequence[Piece], *, doubtful: int = 0) -> list[Reply]:
        """Read pieces and keep what was answered; the `doubtful` last ones are asked for once only."""
        if not pieces:
            return []
        requests = [piece.block.request for piece in pieces]
        replies = await self._link.exchange(self._device, requests, doubtful=doubtful, yields=True)
        if all(reply is Flaw.DEVICE_ID for reply in replies):
            raise DeviceError(self._link.imposture(self._device))
        for piece, reply in zip(pieces, replies, strict=True):
            self._keep(piece, reply)
        return replies

    def _keep(self, piece: Piece, reply: Reply) -> None:
        if isinstance(reply, bytes):
            piece.block.store(self._bytes, reply)

    async def _still_rejects(self, since: float, now: float) -> bool:
        """Ask a device that rejects everything for one piece, another one at each reading.

        Raises `LinkError` or `DeviceError`.
        """
        sound = self._pieces.sound
        sound.append(sound.pop(0))
        (reply,) = await self._ask(sound[:1])
        if isinstance(reply, Refusal) and now < since + REJECTING_S:
            return True
        self._rejecting_since = None
        if not isinstance(reply, Refusal):
            log.warning("%s: answers again, %.1f s after it began to reject everything", self._device.name, now - since)
            self._pieces.bring_forward(now)
        return False

    def _begins_to_reject(self, asked: Sequence[Piece], bad: Sequence[tuple[Piece, Failure]], now: float) -> bool:
        """Whether the device rejects everything that it used to answer, since this reading: that may well pass."""
        if len(bad) < len(asked) or not any(piece.is_known for piece in asked):
            return False
        if all(piece.failures for piece in asked):
            return False  # it has had its time to come to itself
        if not all(isinstance(reply, Refusal) and reply.code not in PASSING for _, reply in bad):
            return False
        for piece, reply in bad:
            piece.failures, piece.failure = 1, reply
        self._rejecting_since = now
        log.warning(
            "%s rejects everything that it is asked for: %s; it is asked for one block at a time until that has passed",
            self._device.name, bad[0][1],
        )  # fmt: skip
        return True

    def _judge(self, bad: Sequence[tuple[Piece, Failure]], now: float) -> list[Piece]:
        """Take note of pieces that failed; return the points that are lost now."""
        lost: list[Piece] = []
        for piece, reply in bad:
            if isinstance(reply, Refusal) and reply.code in PASSING:
                continue
            piece.failures += reply is not Flaw.CLOSED  # which has been counted
            if self._pieces.is_persistent(piece, reply):
                lost += self._doubt(piece, reply, now)
        return lost

    def _doubt(self, piece: Piece, failure: Failure, now: float) -> list[Piece]:
        """Halve a piece; return it where it is a single point that is lost now."""
        if failure is Flaw.SILENCE and piece in self._pieces.sound:
            log.warning(
                "%s: %s; it is tried in parts. Correct the addresses, or set max_block or readable for this device in "
                "the UOD",
                self._device.name, reason_text(self._reason(piece.block, failure)),
            )  # fmt: skip
        piece.reason = self._reason(piece.block, failure)
        lost = self._pieces.doubt(piece, failure, now)
        return [] if lost is None else [lost]

    async def _search(self, now: float, *, is_present: bool, has_data: bool) -> list[Piece]:
        """Ask for doubtful pieces that are due, then for what might be joined; return the points that are lost now.

        `is_present`: the device has answered in this reading; `has_data`: with data. Raises `LinkError` or
        `DeviceError`.
        """
        pieces = self._pieces
        most = SEARCH_SHARED if self._link.patience.is_shared else SEARCH_ALONE
        had_data = has_data
        lost = [] if is_present else await self._look_for_it(now)
        count = 0
        while count < (most if has_data else min(most, SEARCH_UNANSWERED)):
            piece = pieces.next_due(now)
            if piece is None:
                break
            count += 1
            reply = await self._try(piece)
            has_data = has_data or isinstance(reply, bytes)
            lost += self._take(piece, reply, now)
            if has_data and not had_data:
                had_data = True
                pieces.bring_forward(now)  # it answered nothing before: much of it may be back
            if isinstance(reply, Flaw) and reply in COSTLY:
                break
        else:
            return lost
        for run, one in list(pieces.joins(now)):
            if isinstance(await self._try(one), bytes):
                pieces.join(run, one)
        for block, parts in pieces.cut_for_good():
            self._advise(block, parts)
        return lost

    async def _look_for_it(self, now: float) -> list[Piece]:
        """Ask for something that shows that the device is there; return the points that are lost now.

        Raises `LinkError` or `DeviceError` where it is not.
        """
        proof = self._device.proof
        if proof is not None:
            (reply,) = await self._link.exchange(self._device, [proof], yields=True)
            if isinstance(reply, bytes) and not self._has_proof:
                self._pieces.bring_forward(now)
            self._has_proof = isinstance(reply, bytes)
            return []
        piece = min(self._pieces.doubtful, key=lambda piece: piece.due)
        try:
            (reply,) = await self._ask([piece])
        except LostError:
            self._lost += self._doubt(piece, Flaw.CLOSED, now)
            raise
        return self._take(piece, reply, now)

    async def _try(self, piece: Piece) -> Reply:
        """Ask a device that is there for a piece. Raises `LinkError` where the caller has to open the link again."""
        try:
            reply = await self._link.try_once(self._device, piece.block.request)
        except LostError:
            if not self._link.redials:
                self._lost += self._take(piece, Flaw.CLOSED, time.monotonic())
                raise
            await self._link.open()
            return Flaw.CLOSED
        self._keep(piece, reply)
        return reply

    def _take(self, piece: Piece, reply: Reply, now: float) -> list[Piece]:
        """Take note of what a doubtful piece was answered with; return it where it is a point that is lost now."""
        if piece not in self._pieces.doubtful:
            return []  # a part of another one by now, or one that was only tried
        if isinstance(reply, bytes):
            if piece.wait_s:
                log.info("%s: %s is answered again", self._device.name, piece.block)
            self._pieces.answered(piece, now)
            return []
        if isinstance(reply, Refusal) and reply.code in PASSING:
            piece.due = now + PASSING_PAUSE_S
            return []
        return self._doubt(piece, reply, now)

    def _fill(self, bad: Sequence[tuple[Piece, Failure]]) -> None:
        image, rows = self._image, self._rows
        invalid = self._plan.decoder.decode(self._raw, image)
        image.quality[rows] = Quality.GOOD
        image.reason[rows] = 0
        if invalid.size:
            image.quality[invalid] = Quality.BAD
            image.reason[invalid] = NOT_DECIMAL
        failed: list[tuple[Block, int]] = []
        sound = self._pieces.sound
        if self._rejecting_since is not None:
            failed += [(each.block, self._trouble(each.block, each.failure)) for each in sound if each.failure]
        elif bad:
            failed += [(each.block, self._trouble(each.block, reply)) for each, reply in bad if each in sound]
        failed += [(piece.block, piece.reason) for piece in self._pieces.doubtful]
        for block, reason in failed:
            for field in block.fields:
                image.quality[field.row] = Quality.BAD
                image.reason[field.row] = reason

    def _reason(self, block: Block, failure: Failure) -> int:
        if failure is Flaw.SILENCE:
            return reason_code(f"the device does not answer {block}, though it answers others")
        if isinstance(failure, Refusal):
            return reason_code(f"the device refuses {block}: {failure}")
        return reason_code(f"{block}: {failure}")

    def _trouble(self, block: Block, failure: Failure) -> int:
        """The reason for points whose piece has failed this once; said once."""
        reason = self._reason(block, failure)
        text = reason_text(reason)
        if text not in self._said:
            self._said.add(text)
            log.warning("%s: %s", self._device.name, text)
        return reason

    def _tell_lost(self) -> None:
        """Name the places that are not answered, once the search for them is over."""
        if self._pieces.is_searching:
            return
        untold: list[Piece] = []
        for piece in self._lost:
            self._told[str(piece.block)] += 1
            if self._told[str(piece.block)] <= TOLD_AGAIN:
                untold.append(piece)
                for field in piece.block.fields:
                    note_explained(field.tag, piece.reason)
        self._lost.clear()
        if len(untold) <= TOLD_AT_ONCE:
            for piece in untold:
                tags = ", ".join(field.tag for field in piece.block.fields)
                log.warning(
                    "%s: %s; bad: %s. Correct the address or take the tag out of the UOD; it is asked again now and "
                    "then",
                    self._device.name, reason_text(piece.reason), tags,
                )  # fmt: skip
            return
        for failure in dict.fromkeys(piece.failure for piece in untold):
            alike = [piece for piece in untold if piece.failure == failure]
            blocks = self._pieces.joined(alike)
            tags = [field.tag for block in blocks for field in block.fields]
            others = f" and {len(tags) - TOLD_AT_ONCE} others" if len(tags) > TOLD_AT_ONCE else ""
            log.warning(
                "%s: %d places are not answered: %s, at %s; bad: %s%s. Correct the addresses or take the tags out of "
                "the UOD; they are asked again now and then",
                self._device.name, len(alike), failure, ", ".join(map(str, blocks)), ", ".join(tags[:TOLD_AT_ONCE]),
                others,
            )  # fmt: skip

    def _advise(self, block: Block, parts: Sequence[Block]) -> None:
        """Say how to plan a block that is only answered in parts, though every point in it is."""
        gap = gap_between(parts)
        weight = BITS_PER_REGISTER if block.table.is_bits else 1
        longest = max(part.count for part in parts)
        key = f"max_gap: {(gap - 1) // weight}" if gap > 0 else f"max_block: {max(1, longest // weight)}"
        log.warning(
            "%s refuses to read %s at once, but answers it in %d parts: set %s for this device in the UOD",
            self._device.name, block, len(parts), key,
        )  # fmt: skip
