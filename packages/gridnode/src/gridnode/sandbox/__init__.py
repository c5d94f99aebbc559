"""The sandbox for native jobs (bubblewrap). The agent uses `executor.Sandbox` and `spec`.

A deny-list filter and namespaces are no proof against a hole in the kernel itself; keep it
patched. See `gridnode.selftest` for what is measured before a job may run.
"""
