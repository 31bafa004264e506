"""Runs: how they begin and end, what users do in them, and what is written down."""
