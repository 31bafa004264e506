"""The scan cycle: the only room that knows the drivers and the protocol."""
