"""Decisions of the scheduler: pure values in, values out."""
