"""Kills parts of a running platform at seeded instants and audits what is left: `python -m tests.faults`.

The harness stands outside: it starts processes, speaks HTTP as a member, reads PostgreSQL, and computes every
bill itself. docs of each part: grid (what runs), kills (what is done to it), audit (what must hold afterwards).
"""
