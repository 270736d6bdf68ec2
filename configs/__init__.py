"""Shipped recipes: one file each, with its command, its source and what to expect of it."""
