"""Environments for competitors, one each, under `.bench-env/`: `python -m bench.environments` makes them all.

An environment is made anew when its list of packages changes. Set SKIDLINK_BENCH_<NAME> to the Python of an
environment that exists already, as SKIDLINK_BENCH_OPENPECTUS, to use that instead.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".bench-env"


class NoPythonError(Exception):
    """No interpreter was found that a competitor runs on."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What a competitor needs."""

    packages: tuple[str, ...]
    versions: tuple[tuple[int, int], ...]
    """The Python versions that it runs on, the best one first."""


ENVIRONMENTS = {
    # Its metadata allows 3.11, where both of its commands die at import.
    "openpectus": Environment(("openpectus==0.1.1585",), ((3, 13), (3, 12))),
}


def python_of(name: str) -> Path:
    """The interpreter of an environment, which is made if need be. Raises `NoPythonError`."""
    if given := os.environ.get(f"SKIDLINK_BENCH_{name.upper()}"):
        return Path(given)
    environment = ENVIRONMENTS[name]
    folder = FOLDER / name
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    made_of = folder / "made-of.txt"
    wanted = "\n".join(environment.packages)
    if not (made_of.exists() and made_of.read_text() == wanted):
        base = _interpreter(name, environment)
        print(f"making {folder.relative_to(ROOT)} with {base}: {', '.join(environment.packages)}", file=sys.stderr)
        subprocess.run([base, str(ROOT / "tools" / "make_venv.py"), str(folder), "--clear"], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *environment.packages], check=True)
        made_of.write_text(wanted)
    return python


def _interpreter(name: str, environment: Environment) -> str:
    for version in environment.versions:
        for candidate in _candidates(version):
            if _runs(candidate, version):
                return candidate
    versions = " or ".join(f"{major}.{minor}" for major, minor in environment.versions)
    raise NoPythonError(
        f"{name} needs Python {versions}, and none was found on PATH, by pyenv or by uv: install one, or name it in "
        "SKIDLINK_INTEROP_PYTHON"
    )


def _candidates(version: tuple[int, int]) -> Iterator[str]:
    if named := os.environ.get("SKIDLINK_INTEROP_PYTHON"):
        yield named
    yield sys.executable
    dotted = f"{version[0]}.{version[1]}"
    if found := shutil.which(f"python{dotted}"):
        yield found
    yield from map(str, sorted(Path.home().glob(f".pyenv/versions/{dotted}*/bin/python"), reverse=True))
    if uv := shutil.which("uv"):
        found = subprocess.run([uv, "python", "find", dotted], capture_output=True, text=True, check=False)
        if found.returncode == 0:
            yield found.stdout.strip()


def _runs(python: str, version: tuple[int, int]) -> bool:
    """Ask the interpreter itself: a shim of pyenv stands on PATH for versions that it will not start."""
    question = f"import sys; sys.exit(sys.version_info[:2] != {version})"
    try:
        return subprocess.run([python, "-c", question], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


if __name__ == "__main__":
    for each in ENVIRONMENTS:
        print(each, python_of(each))
