"""Reads for pages that combine apps. Everything is asked for on behalf of a `Viewer`."""
