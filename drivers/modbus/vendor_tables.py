"""The tables in a text: rows with their lines, under a heading, below what announces them. No I/O.

A text may hold several tables: a manual in Markdown, or a spreadsheet with a heading for each kind of register.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

DELIMITERS = ";\t|,"


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table."""

    number: int
    """Of its last line in the file, from 1."""
    cells: Sequence[str]
    above: str
    """The last line that stood alone above it, such as "Input registers (FC 04)"; "" where there is none."""


@dataclass(slots=True)
class VendorTable:
    """The rows under one heading."""

    heading: Sequence[str]
    rows: list[Line] = field(default_factory=list[Line])

    def column(self, place: int) -> list[str]:
        """The cells of a column that hold something."""
        return [line.cells[place] for line in self.rows if place < len(line.cells) and line.cells[place]]


def tables_in(text: str, is_heading: Callable[[Sequence[str]], bool]) -> list[VendorTable]:
    """The tables of a text, by the first delimiter that makes one; none where no line is a heading."""
    for delimiter in DELIMITERS:
        found: list[VendorTable] = []
        above = ""
        for number, cells in _split(text, delimiter):
            filled = [cell for cell in cells if cell]
            if not filled:
                continue
            if is_heading(cells):
                found.append(VendorTable(cells))
            elif len(filled) == 1:
                above = filled[0]
                if found:
                    found[-1].rows.append(Line(number, cells, above))
            elif found:
                found[-1].rows.append(Line(number, cells, above))
        if found:
            return found
    return []


def first_line(text: str) -> list[str]:
    """The cells of the longest first line that any delimiter makes."""
    lines = [next(_split(text, delimiter), (0, [""]))[1] for delimiter in DELIMITERS]
    return max(lines, key=len)


def _split(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and cells; rules of dashes between a heading and its rows are left out."""
    lines = [line.lstrip() for line in text.splitlines() if "|" in line]
    is_markdown = sum(line.startswith("|") for line in lines) * 2 > len(lines)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        for cells in reader:
            row = _markdown(cells) if delimiter == "|" and is_markdown else cells
            if not row or not all(re.fullmatch(r":?-{2,}:?|=+", cell.strip()) for cell in row):
                yield reader.line_num, [_bare(cell) for cell in row]
    except csv.Error:  # a cell beyond 131,072 characters, as an unclosed quote makes
        return


def _markdown(cells: list[str]) -> list[str]:
    """Leave out what the bars at both ends of a line of Markdown make."""
    if len(cells) > 1 and not cells[0].strip():
        cells = cells[1:]
        if not cells[-1].strip():
            cells = cells[:-1]
    return cells


def _bare(cell: str) -> str:
    """A cell on one line, without the marks of Markdown."""
    text = " ".join(cell.replace("<br>", " ").replace("\xa0", " ").split())
    text = re.sub(r"^#+ +", "", text)
    return re.sub(r"^(\*\*|__|`|\*)(.*)\1$", r"\2", text).strip()
