"""The YAML spelling: plain data, and where each key stands.

The node tree is walked here rather than by the loader, because the loader stops at the first duplicate key. YAML 1.2,
so that `on`, `off`, `yes` and `no` are words.
"""

from __future__ import annotations

import re
from pathlib import Path as FilePath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from engine.uod.faults import Fault, Path, Place, key_of

_Node = Any
"""A node of ruamel.yaml's tree, which it does not annotate: `id` is scalar, sequence or mapping."""
_MERGE = "tag:yaml.org,2002:merge"


class YamlText:
    """One YAML file, read as far as it can be."""

    def __init__(self, file: str, text: str) -> None:
        self.data: Any = None
        self.faults: list[Fault] = []
        self._places: dict[Path, Place] = {(): Place(file, 1, 1)}
        self._file = file
        self._yaml: Any = YAML(typ="safe", pure=True)
        self._yaml.version = (1, 2)
        try:
            root = self._yaml.compose(text)
        except YAMLError as error:
            mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
            problem = getattr(error, "problem", None) or str(error).splitlines()[0]
            hint = "mind the indentation, and put texts with special signs in quotes"
            self._blame((), mark, f"this is not YAML: {problem}", hint)
        else:
            self.data = self._value((), root, ()) if root is not None else None

    def place(self, path: Path) -> Place:
        """Where a key stands; for one that is not written, where the part stands that lacks it."""
        while path not in self._places:
            path = path[:-1]
        return self._places[path]

    def _blame(self, path: Path, mark: Any, message: str, hint: str = "") -> None:
        line, column = (None, None) if mark is None else (mark.line + 1, mark.column + 1)
        self.faults.append(Fault(self._file, line, column, key_of(path), message, hint))

    def _value(self, path: Path, node: _Node, above: tuple[_Node, ...]) -> Any:
        if node in above:
            self._blame(path, node.start_mark, "this refers to a part that it stands in itself")
            return None
        above = (*above, node)
        if node.id == "sequence":
            for index, item in enumerate(node.value):
                self._mark((*path, index), item)
            return [self._value((*path, index), item, above) for index, item in enumerate(node.value)]
        if node.id == "mapping":
            return self._mapping(path, node, above)
        return self._scalar(path, node)

    def _mapping(self, path: Path, node: _Node, above: tuple[_Node, ...]) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        lines: dict[str, int] = {}
        before: tuple[str, _Node] | None = None
        for key, value in node.value:
            if before is not None and (number := _cut_number(before[1], key, value)):
                message = f"a comma ends the value: {before[0]} is read as {before[1].value}"
                self._blame((*path, before[0]), before[1].start_mark, message, f"write {number}, with a point")
                own[before[0]] = float(number)
                continue
            if key.tag == _MERGE:
                for part in value.value if value.id == "sequence" else [value]:
                    merged = self._value(path, part, above) | merged
                continue
            name, here = str(key.value), (*path, str(key.value))
            line = key.start_mark.line + 1
            if key.id != "scalar" or not isinstance(self._scalar(path, key), str):
                self._blame(here, key.start_mark, f"the key {name} is not read as a text", "put it in quotes")
            if name in lines:
                message = f"{name!r} is there twice, in lines {lines[name]} and {line}"
                self._blame(here, key.start_mark, message, "rename or delete one of them")
                continue
            lines[name] = line
            self._mark(here, key)
            own[name] = self._value(here, value, above)
            before = name, value
        return merged | own

    def _scalar(self, path: Path, node: _Node) -> Any:
        try:
            return self._yaml.constructor.construct_object(node)
        except (YAMLError, ValueError) as error:
            self._blame(path, node.start_mark, f"{node.value!r} cannot be read: {str(error).splitlines()[0]}")
            return None

    def _mark(self, path: Path, node: _Node) -> None:
        self._places[path] = Place(self._file, node.start_mark.line + 1, node.start_mark.column + 1)


def _cut_number(value: _Node, key: _Node, empty: _Node) -> str | None:
    """The number that was meant where 0,1 stands between braces: the value 0, and a key 1 without a value."""
    if value.id != "scalar" or key.id != "scalar" or empty.id != "scalar" or empty.value or value.style or key.style:
        return None
    adjacent = value.end_mark.index + 1 == key.start_mark.index
    whole, places = value.value.replace(".", "").replace("'", ""), key.value
    if not adjacent or not re.fullmatch(r"[-+]?[0-9]+", whole) or not re.fullmatch(r"[0-9]+", places):
        return None
    return f"{whole}.{places}"


def read_yaml(path: FilePath) -> YamlText:
    """Read a YAML file. Raises `OSError`, and `UnicodeDecodeError` where it is not UTF-8."""
    return YamlText(str(path), path.read_text(encoding="utf-8-sig"))


def scalar(text: str) -> Any:
    """Read one value as YAML reads it, "502" as a number; what is no YAML value is a text."""
    value = YamlText("", text)
    return text if value.faults or isinstance(value.data, (dict, list)) else value.data
