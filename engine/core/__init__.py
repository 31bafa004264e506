"""The heart of the tick, pure numpy: table, conversion, derived readings, diff. No asyncio, no sockets, no pydantic."""
