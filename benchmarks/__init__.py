"""The figures: what the platform does per second, beside what the same machine could do at best."""
