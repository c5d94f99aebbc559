"""The open grid standard: what nodes, coordinators and auditors say, and how it is proved."""
