"""Another process of the run is gone: which one, instead of what the network says of it."""

import os
import re
import sys

import jax

_SIGNS = re.compile(
    "closed by peer|reset by peer|broken pipe|heartbeat timeout|socket closed|task died"
    "|failed to send rpc to coordination service|gloo .* failed|nccl",
    re.IGNORECASE,
)


def lost(error: BaseException) -> str | None:
    """The line about a process that is gone, if an error says that one is.

    Args:
        error: that ended this process's part of the run.
    """
    if not isinstance(error, jax.errors.JaxRuntimeError) or jax.process_count() == 1:
        return None
    if not _SIGNS.search(str(error)):
        return None
    me, count = jax.process_index(), jax.process_count()
    address = re.search(r"peer \[?([\w.:]+?)\]?:\d+", str(error))
    if count == 2:
        which = f"process {1 - me} of 2"
    else:
        which = f"another of the {count} processes" + (f", at {address[1]}," if address else "")
    return (
        f"{which} was lost, so that process {me} cannot go on. Look for the reason in its output; "
        "the same command, in all processes, resumes from the newest checkpoint."
    )


def leave(note: str) -> None:
    """Says it, and ends this process at once with exit status 1."""
    print(f"jaxssl: {note}", file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # Past JAX's own end, which waits a minute for the one that is gone, and then aborts.
    os._exit(1)
