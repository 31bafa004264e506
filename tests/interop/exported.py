"""The CSV of a recent run, as the aggregator exports it."""

from __future__ import annotations

import csv
from io import StringIO
from typing import Any


def exported_column(answer: Any, name: str) -> list[float | None]:
    """The numbers of one tag in the answer of `/csv_json`, one for each tick of the plot log; None: it had none."""
    rows = list(csv.reader(StringIO(answer["csv_content"])))
    head = rows.index([]) + 1
    place = [column.partition(" [")[0] for column in rows[head]].index(name)
    return [float(row[place]) if row[place] else None for row in rows[head + 1 :]]
