"""The node agent of the open grid: joins a coordinator, measures itself, runs tasks in a sandbox, reports."""

__version__ = "0.1.0"
