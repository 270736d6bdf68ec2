"""One thread for linear algebra on the host, where the matrices are small or factorised.

Threads that wait for each other inside a factorisation, or for a small product, gain little on free
cores, and on busy ones make it a hundred times slower.
"""

import contextlib
import functools

import threadpoolctl


def one_for_blas() -> contextlib.AbstractContextManager:
    """A context in which NumPy and SciPy multiply and factorise in the calling thread."""
    return _controller().limit(limits=1, user_api="blas")


@functools.cache
def _controller() -> threadpoolctl.ThreadpoolController:
    # Made once: to look for the loaded libraries takes milliseconds.
    return threadpoolctl.ThreadpoolController()
