"""The real Open Pectus aggregator, as a process on the loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

START_WITHIN_S = 120.0
POLL_S = 0.05
PATIENCE_S = 120.0
"""How long a busy machine may take for what takes a fraction of a second."""


class Aggregator:
    """One aggregator on one port, which it keeps over restarts, as it does its database."""

    def __init__(self, scripts: Path, folder: Path, port: int, *options: str) -> None:
        self.port = port
        self.base_url = f"http://127.0.0.1:{port}"
        self.address = f"127.0.0.1:{port}"
        self.log = folder / "aggregator.log"
        self._folder = folder
        web_push_keys = folder / "web_push_keys"
        web_push_keys.mkdir(exist_ok=True)
        self._command = [
            *(str(scripts / "pectus-aggregator"), "--host", "127.0.0.1", "-p", str(port)),
            *("-db", str(folder / "aggregator.sqlite3"), "-wpk", str(web_push_keys), *options),
        ]
        self._process: asyncio.subprocess.Process | None = None
        self._http = httpx.AsyncClient(base_url=self.base_url, timeout=PATIENCE_S)

    async def start(self) -> None:
        """Start the process and wait until it answers."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, cwd=self._folder, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
            )
        async with asyncio.timeout(START_WITHIN_S):
            while not await self._answers():
                if self._process.returncode is not None:
                    raise AssertionError(f"the aggregator did not start:\n{self.log.read_text()[-4000:]}")
                await asyncio.sleep(POLL_S)  # nothing of it can be awaited but an answer

    async def terminate(self) -> None:
        """Stop the process in the way that lets it save what it has (SIGTERM)."""
        await self._end(lambda process: process.terminate())

    async def kill(self) -> None:
        """Stop the process as a power cut would (SIGKILL)."""
        await self._end(lambda process: process.kill())

    async def restart(self) -> None:
        """Terminate and start."""
        await self.terminate()
        await self.start()

    async def close(self) -> None:
        """Stop the process, if it runs, and everything that belongs to it."""
        await self.kill()
        await self._http.aclose()

    async def get(self, path: str) -> Any:
        """The JSON behind a path. Raises `httpx.HTTPStatusError`."""
        response = await self._http.get(path)
        return response.raise_for_status().json()

    async def until(self, path: str, wanted: Callable[[Any], bool], *, within_s: float = PATIENCE_S) -> Any:
        """Ask until the answer is the wanted one, and return it. Fails with the last answer."""
        last: Any = None
        try:
            async with asyncio.timeout(within_s):
                while True:
                    try:
                        last = await self.get(path)
                        if wanted(last):
                            return last
                    except httpx.HTTPError as error:
                        last = error
                    await asyncio.sleep(POLL_S)  # the REST interface has no event to wait for
        except TimeoutError:
            raise AssertionError(f"{path} did not come to what was wanted, at last: {last!r}") from None

    async def values(self, engine_id: str, wanted: Callable[[dict[str, Any]], bool], **within: float) -> dict[str, Any]:
        """The values of all tags of a unit, by name, once they are the wanted ones."""

        def by_name(answer: Any) -> dict[str, Any]:
            return {value["name"]: value.get("value") for value in answer}

        path = f"/api/process_unit/{quote(engine_id, safe='')}/all_process_values"
        return by_name(await self.until(path, lambda answer: wanted(by_name(answer)), **within))

    async def _answers(self) -> bool:
        try:
            return (await self._http.get("/version")).is_success
        except httpx.HTTPError:
            return False

    async def _end(self, how: Callable[[asyncio.subprocess.Process], None]) -> None:
        if self._process is not None and self._process.returncode is None:
            how(self._process)
            await self._process.wait()
