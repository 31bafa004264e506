"""Create a virtual environment, also on a Debian whose python3 comes without ensurepip.

usage: make_venv.py FOLDER [--clear]

`python3 -m venv` needs ensurepip, which Debian and Ubuntu put into a package of its own. Where it is missing, the
environment is created without pip, and pip's wheel, fetched from the package index, installs itself.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
import venv
from pathlib import Path


def newest_pip_wheel(folder: Path) -> Path:
    """Download the newest pip wheel into `folder` and check its sha256; `PIP_INDEX_URL` is honoured (PEP 691)."""
    index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/") + "/pip/"
    request = urllib.request.Request(index, headers={"Accept": "application/vnd.pypi.simple.v1+json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        files = json.load(answer)["files"]
    wheels = [file for file in files if file["filename"].endswith("-py3-none-any.whl") and not file.get("yanked")]
    wheel = max(
        wheels, key=lambda file: [int(part) for part in file["filename"].split("-")[1].split(".") if part.isdigit()]
    )
    with urllib.request.urlopen(urllib.parse.urljoin(index, wheel["url"]), timeout=60) as answer:
        content = answer.read()
    if hashlib.sha256(content).hexdigest() != wheel["hashes"]["sha256"]:
        raise SystemExit(f"{wheel['filename']}: the download does not match its checksum; try again")
    path = folder / wheel["filename"]
    path.write_bytes(content)
    return path


def main() -> None:
    arguments = argparse.ArgumentParser(description="Create a virtual environment.")
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--clear", action="store_true", help="empty the folder first")
    options = arguments.parse_args()
    windows = sys.platform == "win32"
    python = options.folder / ("Scripts/python.exe" if windows else "bin/python")
    if python.exists() and not options.clear:
        return
    with_pip = importlib.util.find_spec("ensurepip") is not None
    venv.create(options.folder, with_pip=with_pip, clear=options.clear, symlinks=not windows)
    if not with_pip:
        with tempfile.TemporaryDirectory() as folder:
            wheel = newest_pip_wheel(Path(folder))
            subprocess.run([python, wheel / "pip", "install", "--quiet", "--no-index", wheel], check=True)


if __name__ == "__main__":
    main()
