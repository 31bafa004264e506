"""What asyncua logs, as ours at the level of debugging: whatever is wrong reaches us as an exception, too."""

from __future__ import annotations

import logging

_log = logging.getLogger("skidlink.drivers.opcua.asyncua")


class _Translated(logging.Handler):
    """Logs what asyncua has to say under our name; a person has asked for it by `--verbose`."""

    def emit(self, record: logging.LogRecord) -> None:
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s: %s", record.name, record.getMessage(), exc_info=record.exc_info)


def quieten() -> None:
    """Send asyncua's warnings and errors to our log for debugging, and nowhere else."""
    library = logging.getLogger("asyncua")
    library.setLevel(logging.WARNING)
    library.propagate = False
    if not any(isinstance(handler, _Translated) for handler in library.handlers):
        library.addHandler(_Translated())
