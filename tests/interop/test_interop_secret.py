"""`skidlink run` at the door of an aggregator that wants a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.aggregator import Aggregator
from tests.interop.lab import Lab

SECRET = "s3cret of the lab"  # noqa: S105  # of an aggregator that lives for a second


@pytest.mark.parametrize("aggregator", [("-secret", SECRET)], indirect=True)
async def test_a_secret_comes_from_a_file_or_from_the_environment(
    aggregator: Aggregator, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lab = Lab(tmp_path, aggregator)
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    wrong = {"SKIDLINK_AGGREGATOR_SECRET": "wrong"}

    async with lab.engine("--secret-file", file, environment=wrong):
        unit = await lab.unit()
        await lab.values(unit, lambda values: values.get("Constant") == 7)
    await aggregator.until("/api/process_units", lambda units: units[0]["state"]["state"] == "not_online")

    async with lab.engine(environment={"SKIDLINK_AGGREGATOR_SECRET": SECRET}):
        await lab.values(unit, lambda values: values.get("Constant") == 7)
    await aggregator.until("/api/process_units", lambda units: units[0]["state"]["state"] == "not_online")
    assert "secret" not in capfd.readouterr().err, "neither told nor complained about"

    async with lab.engine("--duration", "2", environment=wrong) as refused:
        assert await refused.wait() == 0, "the skid is scanned all the same"
    complaint = capfd.readouterr().err
    assert "the one that it was started with" in complaint
    assert SECRET not in complaint
    (listed,) = await aggregator.get("/api/process_units")
    assert listed["state"]["state"] == "not_online"
