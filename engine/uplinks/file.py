"""The uplink to a file of JSON lines."""

from __future__ import annotations

from io import FileIO
from pathlib import Path

from engine.uplinks.contract import Engine, UplinkError
from engine.uplinks.lines import LinesUplink


class FileUplink(LinesUplink):
    """Appends to a file; each start of the engine begins with its UodInfoMsg."""

    name = "file"

    def __init__(self, engine: Engine, target: str | Path) -> None:
        """Raises `UplinkError` when the file cannot be opened."""
        path = Path(target)
        try:
            file = FileIO(path, "a+")
        except OSError as error:
            missing = not path.parent.is_dir()
            why = f"there is no folder {path.parent}; create it" if missing else f"{error.strerror}; free the way"
            raise UplinkError(f"cannot write {path}: {why}, or name another file") from error
        _end_last_line(file)
        super().__init__(engine, file, str(path))


def _end_last_line(file: FileIO) -> None:
    """Begin a new line after one that was cut off when the power went."""
    if not file.seekable() or file.tell() == 0:
        return
    file.seek(-1, 2)
    if file.read(1) != b"\n":
        file.write(b"\n")
