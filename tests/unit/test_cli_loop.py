"""Which event loop the engine gets. A module of our own stands for uvloop, which need not be installed."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType

import pytest

from engine.cli.loop import LoopName, NoLoopError, run_in


class OtherLoop(asyncio.SelectorEventLoop):
    """A loop that is not asyncio's default."""


async def running() -> type[asyncio.AbstractEventLoop]:
    await asyncio.sleep(0)
    return type(asyncio.get_running_loop())


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("uvloop")
    module.__dict__["new_event_loop"] = OtherLoop
    monkeypatch.setitem(sys.modules, "uvloop", module)


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)


@pytest.mark.usefixtures("installed")
def test_it_is_taken_where_it_is_installed_unless_another_is_asked_for() -> None:
    assert [run_in(name, running()) is OtherLoop for name in LoopName] == [True, False, True]


@pytest.mark.usefixtures("missing")
def test_where_it_is_missing_asyncio_does_and_who_insists_is_told_what_to_install() -> None:
    assert run_in(LoopName.AUTO, running()) is not OtherLoop
    with pytest.raises(NoLoopError, match=r"pip install \"skidlink\[fast\]\""):
        run_in(LoopName.UVLOOP, running())
