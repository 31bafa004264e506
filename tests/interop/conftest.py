"""Fixtures with the real Open Pectus aggregator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.interop.aggregator import Aggregator
from tests.interop.environment import open_pectus_environment
from tests.ports import free_port


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the first test of this group the time that the installation takes."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(1200))


@pytest.fixture(scope="session")
def open_pectus_scripts(request: pytest.FixtureRequest) -> Path:
    """The folder with the real pectus-aggregator and pectus-engine."""
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    capture = request.config.pluginmanager.get_plugin("capturemanager")

    def say(line: str) -> None:
        if terminal is not None and capture is not None:
            with capture.global_and_fixture_disabled():
                terminal.write_line(f"\n{line}")

    return open_pectus_environment(say)


@pytest.fixture
async def aggregator(
    open_pectus_scripts: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Aggregator]:
    """A running aggregator with an empty database.

    `@pytest.mark.parametrize("aggregator", [("-secret", "s")], indirect=True)` gives it options.
    """
    found = Aggregator(open_pectus_scripts, tmp_path, free_port(), *getattr(request, "param", ()))
    try:
        await found.start()
        yield found
    finally:
        await found.close()


@pytest.fixture(scope="module")
def shared_port(open_pectus_scripts: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of an aggregator that lives as long as a file of tests, because its start takes seconds."""
    port = free_port()
    with asyncio.Runner() as runner:
        found = Aggregator(open_pectus_scripts, tmp_path_factory.mktemp("aggregator"), port)
        runner.run(found.start())
        try:
            yield port
        finally:
            runner.run(found.close())


@pytest.fixture
async def shared(open_pectus_scripts: Path, tmp_path: Path, shared_port: int) -> AsyncIterator[Aggregator]:
    """The REST interface of the shared aggregator."""
    found = Aggregator(open_pectus_scripts, tmp_path, shared_port)
    yield found
    await found.close()


@pytest.fixture(autouse=True)
def _state_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test finds what an engine of another one, or of the user, has left."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
