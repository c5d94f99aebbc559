"""Embedded PostgreSQL and Redis: where they live, as whom they run and how they are started."""
