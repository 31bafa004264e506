"""Outputs to which the author gives texts, so that they are known to take texts before their device has been asked."""

from __future__ import annotations

from collections.abc import Iterator

from engine.uod.model import ARGUMENT, Command, Uod


def outputs_given_texts(uod: Uod) -> set[str]:
    """The names of outputs without choices that are set to texts: by their safe value, a command or a step of one."""
    safe = {name for name, tag in uod.tags.items() if isinstance(tag.safe_value, str)}
    set_by_commands = {name for command in uod.commands.values() for name in _given_texts(command)}
    return {name for name in safe | set_by_commands if name in uod.tags and not uod.tags[name].choices}


def _given_texts(command: Command) -> Iterator[str]:
    takes_text = command.argument == "text"
    if command.sets is not None and takes_text:
        yield command.sets
    for step in command.steps or ():
        if step.set is not None and (takes_text if step.to == ARGUMENT else isinstance(step.to, str)):
            yield step.set
