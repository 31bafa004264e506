"""Instruments to typed columns. This room knows neither the engine nor the protocol."""
