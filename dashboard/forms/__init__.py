"""Forms of the pages, by noun: what a person may write, and what is accepted instead of what cannot be."""
