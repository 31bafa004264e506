"""The aggregator's secret on the command line, in the environment and in a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.cli import run
from engine.cli.app import app
from engine.cli.secret import without_secret
from engine.cli.session import Session

UOD = "uod: Secret\ndevices: {box: {driver: simulated}}\ntags: {T: {device: box}}\n"
SEEN = "is seen by all users of this computer"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Session]:
    """The sessions that were asked for; none is run."""
    sessions: list[Session] = []

    def run_uod(_file: Path, _overrides: object, session: Session, _loop: object) -> int:
        sessions.append(session)
        return 0

    monkeypatch.setattr(run, "run_uod", run_uod)
    return sessions


@pytest.mark.parametrize(
    ("options", "environment", "secret", "is_seen"),
    [
        ((), {}, "", False),
        (("--secret", "x1"), {}, "x1", True),
        ((), {"SKIDLINK_AGGREGATOR_SECRET": "x2"}, "x2", False),
        (("--secret-file", "FILE"), {"SKIDLINK_AGGREGATOR_SECRET": "x2"}, "xß 3", False),
        ((), {"SKIDLINK_AGGREGATOR_SECRET_FILE": "FILE"}, "xß 3", False),
    ],
)
def test_a_secret_is_taken_and_a_visible_one_warned_of(
    options: tuple[str, ...], environment: dict[str, str], secret: str, is_seen: bool,
    tmp_path: Path, asked: list[Session],
) -> None:  # fmt: skip
    file = tmp_path / "secret"
    file.write_bytes("\ufeffxß 3\r\n".encode())
    uod = tmp_path / "uod.yaml"
    uod.write_text(UOD)
    found = CliRunner().invoke(
        app,
        ["run", str(uod), *(option.replace("FILE", str(file)) for option in options)],
        env={
            name: value.replace("FILE", str(file)) if value == "FILE" else value for name, value in environment.items()
        },
    )
    assert found.exit_code == 0, found.output
    (session,) = asked
    assert session.secret == secret
    assert (SEEN in found.stderr) is is_seen
    assert not secret or secret not in found.output


@pytest.mark.parametrize(
    ("words", "kept", "secret"),
    [
        (("run", "a.yaml"), ["run", "a.yaml"], None),
        (("run", "--secret", "x", "a.yaml"), ["run", "a.yaml"], "x"),
        (("run", "a.yaml", "--secret=x=y"), ["run", "a.yaml"], "x=y"),
        (("run", "--secret-file", "x"), ["run", "--secret-file", "x"], None),
        (("run", "--secret", ""), ["run"], ""),
        (("run", "--secret"), ["run", "--secret"], None),
        (("run", "--", "--secret", "x"), ["run", "--", "--secret", "x"], None),
    ],
)
def test_a_command_line_without_its_secret(words: tuple[str, ...], kept: list[str], secret: str | None) -> None:
    assert without_secret(words) == (kept, secret)


@pytest.mark.parametrize(("content", "why"), [(b"\n", "is empty; write the secret into it"), (b"\xff", "cannot read")])
def test_a_file_without_a_secret_is_refused(content: bytes, why: str, tmp_path: Path, asked: list[Session]) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    (tmp_path / "uod.yaml").write_text(UOD)
    found = CliRunner().invoke(app, ["run", str(tmp_path / "uod.yaml"), "--secret-file", str(file)])
    assert found.exit_code == 2
    assert why in " ".join(found.output.replace("│", " ").split())
    assert not asked
