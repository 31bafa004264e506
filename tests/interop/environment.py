"""An environment of its own for the real Open Pectus, made once and kept in the repository root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

OPEN_PECTUS = "0.1.1585"
ROOT = Path(__file__).parents[2]
SCRIPTS = "Scripts" if sys.platform == "win32" else "bin"


def open_pectus_environment(say: Callable[[str], None]) -> Path:
    """The folder of the environment's console scripts. Skips the test where no Python can run Open Pectus."""
    if given := os.environ.get("SKIDLINK_INTEROP_VENV"):
        return Path(given) / SCRIPTS
    folder = ROOT / ".venv-interop"
    marker = folder / f".openpectus-{OPEN_PECTUS}"
    if not marker.exists():
        python = next(filter(_can_run_open_pectus, _candidates()), None)
        if python is None:
            pytest.skip(
                "the real Open Pectus needs Python 3.12 or 3.13, and none was found on PATH, by pyenv or by uv: "
                "install one, or name it in SKIDLINK_INTEROP_PYTHON"
            )
        say(f"making {folder.name} with {python} and openpectus {OPEN_PECTUS} (once, about a minute)")
        _run(python, str(ROOT / "tools" / "make_venv.py"), str(folder), "--clear")
        _run(str(folder / SCRIPTS / "python"), "-m", "pip", "install", f"openpectus=={OPEN_PECTUS}")
        marker.touch()
    return folder / SCRIPTS


def _candidates() -> Iterator[str]:
    """Pythons that might do, the one that the user names first; later ones are only looked for when needed."""
    if named := os.environ.get("SKIDLINK_INTEROP_PYTHON"):
        yield named
        return
    yield sys.executable
    for name in ("python3.13", "python3.12"):
        if found := shutil.which(name):
            yield found
    yield from map(str, sorted(Path.home().glob(".pyenv/versions/3.1[23]*/bin/python"), reverse=True))
    if uv := shutil.which("uv"):
        for version in ("3.13", "3.12"):
            found = subprocess.run([uv, "python", "find", version], capture_output=True, text=True, check=False)
            if found.returncode == 0:
                yield found.stdout.strip()


def _can_run_open_pectus(python: str) -> bool:
    """Ask the interpreter itself: a shim of pyenv stands on PATH for versions that it will not start."""
    question = "import sys; sys.exit(sys.version_info[:2] not in ((3, 12), (3, 13)))"
    try:
        return subprocess.run([python, "-c", question], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _run(*command: str) -> None:
    """Run a step of the installation, in silence unless it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{' '.join(command)} failed:\n{done.stdout}", pytrace=False)
