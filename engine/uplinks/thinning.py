"""Making room among samples that wait: two neighbouring ticks become one, and no tag's last value is lost."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

import orjson

from engine.store_tables import is_sound

AT_A_TIME: Final = 500
"""Pairs that are merged in one go, so that other work of the store comes between."""
_BETWEEN: Final = "SELECT 1 FROM entry WHERE number > ? AND number < ? AND kind = 'sample' LIMIT 1"


def merge_oldest(db: sqlite3.Connection) -> bool:
    """Merge pairs of samples of one run; False when there is none left.

    Of the older half those come first that were merged least, so that all of it is thinned alike. The later one of a
    pair gets the tags that only the earlier one has, each with its own tick.
    """
    middle = db.execute("SELECT (min(number) + max(number)) / 2 FROM entry WHERE kind = 'sample'").fetchone()[0]
    if middle is None:
        return False
    rows: list[tuple[int, str, int, bytes]] = []
    found = db.execute(
        "SELECT merged, number, kind, run, tick, taken, body, crc FROM entry WHERE kind = 'sample' AND number <= ?"
        " AND merged = (SELECT min(merged) FROM entry WHERE kind = 'sample' AND number <= ?) ORDER BY number LIMIT ?",
        (middle, middle, 2 * AT_A_TIME),
    ).fetchall()
    for merged, *values, crc in found:
        if is_sound("entry", values, crc):
            number, _, run, *_, body = values
            rows.append((number, run, merged, body))
        else:  # it is told of when its turn comes; until then it stands between no others
            db.execute("UPDATE entry SET merged = merged + 1 WHERE number = ?", (values[0],))
    pairs = [
        (early, late)
        for early, late in zip(rows[::2], rows[1::2], strict=False)
        if early[1] == late[1] and not db.execute(_BETWEEN, (early[0], late[0])).fetchone()
    ]
    for early, late in pairs:
        db.execute(
            "UPDATE entry SET body = ?1, merged = ?2, crc = crc(number, kind, run, tick, taken, ?1) WHERE number = ?3",
            (_merged(early[3], late[3]), late[2] + 1, late[0]),
        )
        db.execute("DELETE FROM entry WHERE number = ?", (early[0],))
    alone = {row[0] for row in rows} - {row[0] for pair in pairs for row in pair}
    for number in alone:  # without a partner: it waits for those of the next turn
        db.execute("UPDATE entry SET merged = merged + 1 WHERE number = ?", (number,))
    samples, runs = db.execute(
        "SELECT count(*), count(DISTINCT run) FROM entry WHERE kind = 'sample' AND number <= ?", (middle,)
    ).fetchone()
    return samples > runs


def _merged(early: bytes, late: bytes) -> bytes:
    message: dict[str, Any] = orjson.loads(late)
    tags = {tag["name"]: tag for tag in orjson.loads(early)["tags"]}
    tags |= {tag["name"]: tag for tag in message["tags"]}
    message["tags"] = list(tags.values())
    return orjson.dumps(message)
