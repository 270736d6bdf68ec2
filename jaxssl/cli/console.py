"""Where commands show their progress: names of files and classes as they are, on one line."""

from rich.console import Console


def literal(*, quiet: bool = False) -> Console:
    """A console that reads no markup in what it prints, and breaks no line."""
    return Console(quiet=quiet, markup=False, emoji=False, highlight=False, soft_wrap=True)
