"""`gridnode` alone on a strange machine: installed in its own venv, joined by address and token, paid.

`python -m tests.lone_agent` measures the time from `gridnode join` to the first settled posting.
"""
