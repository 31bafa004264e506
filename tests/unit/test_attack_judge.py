"""The judge of an attack finds what it is there for: each kind of fault is shown to it once."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.soak.attack_judge import BEAT_GAP_S, SLACK_S, Judge
from tests.soak.attack_points import STALE_AFTER_S, AttackTag, attack_tags
from tests.soak.damage import DAMAGES, damage
from tests.soak.hostile_frames import FRAMINGS
from tests.soak.hostile_slave import CLOCK_HZ, answer, clock, proof
from tests.soak.shown import Span

TAGS = {tag.name: tag for tag in attack_tags()}
TAG = TAGS["rtu2 holding100"]
OTHER = TAGS["rtu2 holding102"]


def value(tag: AttackTag, age_s: float = 0.0) -> int:
    return proof(tag.function, tag.unit, tag.address) << 16 | (clock() - round(age_s * CLOCK_HZ)) & 0xFFFF


def test_a_sound_value_is_no_finding() -> None:
    judge = Judge(TAGS)
    judge.take([(TAG.name, value(TAG)), (OTHER.name, None)])
    judge.settle()
    assert (judge.findings, judge.published, judge.good) == ({}, 2, 1)


def test_no_two_tags_of_a_transport_have_the_same_proof() -> None:
    for transport in ("tcp", "udp", "rtu", "ascii", "sound"):
        proofs = [proof(tag.function, tag.unit, tag.address) for tag in TAGS.values() if tag.device[:-1] == transport]
        assert len(set(proofs)) == len(proofs)


@pytest.mark.parametrize("wrong", [value(OTHER), "text", 1.5, 0])
def test_a_value_of_another_tag_is_found(wrong: object) -> None:
    judge = Judge(TAGS)
    judge.take([(TAG.name, wrong)])
    assert list(judge.findings) == ["a value on a wrong tag"]


def test_an_old_value_is_found_when_it_comes_and_while_it_stands() -> None:
    judge = Judge(TAGS)
    judge.take([(TAG.name, value(TAG, STALE_AFTER_S + SLACK_S + 1.0))])
    judge.settle()
    assert len(judge.findings["an old value shown as good"]) == 2


def test_what_is_late_on_a_computer_without_time_is_no_finding() -> None:
    judge = Judge(TAGS)
    now = time.monotonic()
    judge.strain.append(Span(now - 5.0, now))
    judge.take([(TAG.name, value(TAG, STALE_AFTER_S + SLACK_S + 1.0))])
    judge.beat(now - 2.0)
    judge.beat(now)
    judge.overrun(3, now - 3.0)
    assert (judge.findings, judge.strained) == ({}, 1)


def test_a_late_heartbeat_and_a_late_tick_are_found() -> None:
    judge = Judge(TAGS)
    judge.beat(100.0)
    judge.beat(100.0 + BEAT_GAP_S / 2)
    assert not judge.findings
    judge.beat(100.0 + 2 * BEAT_GAP_S)
    judge.overrun(1, 100.0)
    assert list(judge.findings) == ["a heartbeat that came late", "a tick late by more than its period"]


@pytest.mark.parametrize("name", FRAMINGS)
def test_what_the_hostile_slave_frames_it_reads_again(name: str) -> None:
    framing = FRAMINGS[name]
    request = b"\x03\x00\x64\x00\x02"
    frame = framing.frame(7, 2, request)
    assert framing.take(frame + b"more") == (7 if framing.numbered else 0, 2, request, len(frame))
    assert framing.take(frame[:-1]) is None
    assert answer(2, request)[:2] == b"\x03\x04"


@pytest.mark.parametrize("kind", DAMAGES)
def test_each_kind_of_damage_changes_a_file(kind: str, tmp_path: Path) -> None:
    files = {tmp_path / name: bytes(range(256)) * 4 for name in ("run.sqlite3", "run.sqlite3-wal")}
    for file, data in files.items():
        file.write_bytes(data)
    assert damage(tmp_path, kind, random.Random(1))
    assert any(file.read_bytes() != data for file, data in files.items())
    assert damage(tmp_path / "nothing", kind, random.Random(1)) == "no file"
