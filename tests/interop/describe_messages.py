"""Run by the Python of the real Open Pectus: reads messages from its input, prints how Open Pectus sees them.

In: a JSON list of serialized messages. Out: a JSON object with `texts` (what `str`, `ident` and the serialization of
each message are there) and `fields` (of each class: its fields, whether required, and their defaults).
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any

SPACES = ("messages", "engine_messages", "aggregator_messages", "models")


def describe(cls: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, field in cls.model_fields.items():
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        fields[name] = [field.is_required(), repr(default)]
    return fields


def main() -> None:
    serialization: Any = import_module("openpectus.protocol.serialization")  # not in the environment of our own
    texts: list[dict[str, Any]] = []
    for raw in json.load(sys.stdin):
        message = serialization.deserialize(raw)
        texts.append(
            {
                "text": str(message),
                "ident": getattr(message, "ident", None),
                "parts": [str(value) for _, value in message],
                "serialized": json.loads(json.dumps(serialization.serialize(message), default=sorted)),
            }
        )
    fields: dict[str, Any] = {}
    for space in SPACES:
        module: Any = import_module(f"openpectus.protocol.{space}")
        for name, cls in vars(module).items():
            if isinstance(cls, type) and hasattr(cls, "model_fields") and cls.__module__ == module.__name__:
                fields[f"{space}.{name}"] = describe(cls)
    json.dump({"texts": texts, "fields": fields}, sys.stdout)


if __name__ == "__main__":
    main()
