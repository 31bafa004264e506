"""Writes `docs/reference/uod.md` from the models, so that the page says what the code takes.

python tools/uod_reference.py          writes the page; a test holds it to the models
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from drivers.registry import driver_class, driver_paths
from engine.uod import model
from engine.uod.counters import CounterTag

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "uod.md"

HEAD = """# Reference: the keys of a UOD

Made from the models by `python tools/uod_reference.py`. `skidlink schema` prints the same for editors, `skidlink check`
tells which key of a file is wrong. A key without a default must be given. `uod_examples/filtration.yaml` shows most of
them in use.

A UOD is a text in UTF-8 of 8 MiB at most: YAML 1.2, in which `on`, `off`, `yes` and `no` are words, or Python. A name
has up to 120 characters. The decimal sign is a point, also between braces, where a comma would end the value.
[Units](units.md) are a page of their own.
"""

PARTS: tuple[tuple[str, str, type[BaseModel]], ...] = (
    ("The skid", "The top level of the file.", model.Uod),
    ("author", "", model.Author),
    ("devices", "Under each name, beside the keys of the driver:", model.Device),
    ("tags", "Under each name, beside the keys of the device's driver:", model.Tag),
    ("tags that count", "Show what is counted on a link, in place of a reading.", CounterTag),
    ("simulate", "", model.Simulation),
    ("derived", "Under each name; what an `expr` may hold: [expressions](expressions.md).", model.Derived),
    ("accumulated_cv", "", model.AccumulatedCv),
    ("commands", "Under each name:", model.Command),
    ("steps", "Each item:", model.Step),
    ("process_values", "An item is the name of a tag, or a mapping:", model.ProcessValue),
)


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for title, text, part in PARTS:
        parts += [f"\n## {title}\n", *([f"\n{text}\n"] if text else []), _table(_rows(part))]
    parts += ["\n## Keys of the drivers\n"]
    parts += _drivers()
    return "".join(parts)


def _drivers() -> Iterator[str]:
    """The keys that all drivers of one module share stand first, then those of each driver."""
    for of, attribute in (("device", "DeviceOptions"), ("tag", "PointOptions")):
        families: dict[str, dict[str, list[str]]] = {}
        for name, path in sorted(driver_paths().items()):
            options: type[BaseModel] = getattr(driver_class(name), attribute)
            families.setdefault(path.partition(":")[0], {})[name] = _rows(options)
        for family in families.values():
            first, *others = family.values()
            shared = [row for row in first if all(row in rows for rows in others)]
            yield f"\n### A {of} of {', '.join(family)}\n{_table(shared)}"
            own: dict[str, list[str]] = {}
            for name, rows in family.items():
                if more := [row for row in rows if row not in shared]:
                    own.setdefault(_table(more), []).append(name)
            for table, names in own.items():
                yield f"\n### A {of} of {', '.join(names)}, beside the above\n{table}"


def _rows(part: type[BaseModel]) -> list[str]:
    schema = part.model_json_schema()
    return [
        f"| `{name}` | {_takes(name, schema)} | {_default(field)} | {_meaning(field)} |\n"
        for name, field in part.model_fields.items()
    ]


def _table(rows: Iterable[str]) -> str:
    return "\n| key | takes | default | meaning |\n| --- | --- | --- | --- |\n" + "".join(rows)


def _meaning(field: FieldInfo) -> str:
    return " ".join((field.description or "").split()).replace("|", "\\|")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return ""
    default = field.get_default(call_default_factory=True)
    return "" if default in (None, "", [], {}, ()) or isinstance(default, BaseModel) else f"`{json.dumps(default)}`"


def _takes(name: str, schema: dict[str, Any]) -> str:
    """What a key takes; what JSON cannot hold is not in the schema."""
    part = schema["properties"].get(name)
    return "a Python class" if part is None else _type(part, schema)


def _type(part: dict[str, Any], schema: dict[str, Any]) -> str:
    """A JSON schema in words."""
    if "$ref" in part:
        name = part["$ref"].rsplit("/", 1)[-1]
        found = schema["$defs"][name]
        return _type(found, schema) if "properties" not in found else f"a mapping, see {_section(name)}"
    if "enum" in part:
        return ", ".join(f"`{value}`" for value in part["enum"])
    if "const" in part:
        return f"`{part['const']}`"
    choices = part.get("anyOf") or part.get("oneOf")
    if choices:
        words = dict.fromkeys(_type(choice, schema) for choice in choices if choice.get("type") != "null")
        if "a number" in words:
            words.pop("a whole number", None)
        return " or ".join(words)
    match part.get("type"):
        case "array" if "prefixItems" in part:
            return "a range, as 4-7, or a number"
        case "array":
            return f"a list of: {_type(part.get('items', {}), schema)}"
        case "object":
            held: dict[str, Any] | bool = part.get("additionalProperties", False)
            return "a mapping" if isinstance(held, bool) else f"a mapping: name to {_type(held, schema)}"
        case "integer" | "number" as kind:
            return _bounded("a whole number" if kind == "integer" else "a number", part)
        case "boolean":
            return "`true`, `false`"
        case "string":
            return "a text"
        case _:
            return "a value"


def _bounded(words: str, part: dict[str, Any]) -> str:
    least, most = part.get("minimum"), part.get("maximum")
    if least is not None and most is not None:
        return f"{words}, {least} to {most}"
    if least is not None:
        return f"{words}, {least} or more"
    if (above := part.get("exclusiveMinimum")) is not None:
        return f"{words} above {above}"
    return words if most is None else f"{words}, {most} at most"


def _section(name: str) -> str:
    titles = {part.__name__: title for title, _, part in PARTS}
    title = titles.get(name, name)
    return f"[{title}](#{title.lower().replace(' ', '-')})"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
