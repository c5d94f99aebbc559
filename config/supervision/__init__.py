"""Keeps the processes of one installation running: components, probes, restarts, clean stop."""
