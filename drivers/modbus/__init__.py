"""Modbus, without asyncio in its plan, codec, PDUs and transactions."""
