"""Shipped recipes: one file each, with its command, its source and what to expect of it.

A file that begins with an underscore is no recipe: it holds what several of them share.
"""
