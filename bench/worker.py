"""One side of a bench, in a process of its own: requests and answers are lines of JSON. Standard library only."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[1]


def serve(handlers: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]) -> None:
    """Answer requests until the input ends; garbage is collected between them, not in them."""
    gc.disable()
    for line in sys.stdin:
        request = json.loads(line)
        gc.collect()
        print(json.dumps(handlers[request.pop("do")](request)), flush=True)


class Worker:
    """The process, seen from the one that compares."""

    def __init__(self, python: Path, module: str) -> None:
        self._process = subprocess.Popen(
            [str(python), "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def ask(self, do: str, **request: int | str) -> dict[str, Any]:
        """Send one request and wait for its answer. Raises `RuntimeError` with what the process said when it died."""
        if self._process.stdin is None or self._process.stdout is None or self._process.stderr is None:
            raise RuntimeError("the worker has no pipes")
        self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the worker {self._process.args} died:\n{self._process.stderr.read()}")
        return json.loads(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.communicate(timeout=30)
