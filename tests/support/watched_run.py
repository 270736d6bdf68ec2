"""A run as those who watch it see it, without the run."""

from jaxssl import watching
from jaxssl.types import Plan


def watched(out, *, step=0, total_steps=8):
    """A run as its writers see it."""
    return watching.WatchedRun(
        out=out,
        method=None,
        pooled_features=None,
        plan=Plan(8, 8, total_steps),
        seed=0,
        schedule=None,
        step=step,
        history=(),
        console=None,
        newest_checkpoint=None,
        rewind=None,
    )
