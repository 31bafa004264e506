"""What happens to the files of an engine that is not running, or whose disk is full."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path

FLIPS = 24


def _flip(files: list[Path], chance: random.Random) -> str:
    """Flip bits at random places of the largest file."""
    file = max(files, key=lambda file: file.stat().st_size)
    data = bytearray(file.read_bytes())
    for _ in range(FLIPS):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    file.write_bytes(data)
    return f"{FLIPS} bits of {file.name}"


def _cut(files: list[Path], chance: random.Random) -> str:
    """Cut the largest file."""
    file = max(files, key=lambda file: file.stat().st_size)
    size = chance.randrange(1, file.stat().st_size)
    with file.open("r+b") as opened:
        opened.truncate(size)
    return f"{file.name} cut to {size} bytes"


def _empty_the_log(files: list[Path], _: random.Random) -> str:
    """Empty the write-ahead log."""
    for file in files:
        if file.name.endswith("-wal"):
            file.write_bytes(b"")
            return f"{file.name} emptied"
    return "no write-ahead log"


def _junk(files: list[Path], chance: random.Random) -> str:
    """Write junk over the beginning of every file."""
    for file in files:
        with file.open("r+b") as opened:
            opened.write(chance.randbytes(min(4096, file.stat().st_size)))
    return f"junk at the head of {', '.join(file.name for file in files)}"


DAMAGES: Mapping[str, Callable[[list[Path], random.Random], str]] = {
    "flip": _flip,
    "cut": _cut,
    "empty": _empty_the_log,
    "junk": _junk,
}


def damage(folder: Path, kind: str, chance: random.Random) -> str:
    """Damage the store in a folder; says what was done."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.stat().st_size)
    return DAMAGES[kind](files, chance) if files else "no file"
