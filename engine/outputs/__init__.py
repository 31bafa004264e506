"""The one way to the outputs: every write is checked, sent when it changes, and driven to its safe value at the end.

Rules of this room:

* A value that breaks a limit is refused, never bent to fit.
* Nothing is written to a device that cannot be reached, and nothing is kept for later: after an outage of more than
  `guard.KEEP_S` the outputs of that link are driven to their safe values, because the skid has moved on without us.
* When a link comes up, its outputs are written whatever was there before: nobody knows what it holds now.
* What the engine has driven to its safe value stays there until somebody asks for another one.
"""

from __future__ import annotations

from engine.outputs.guard import Outputs
from engine.outputs.output import OutputRefusedError

__all__ = ["OutputRefusedError", "Outputs"]
