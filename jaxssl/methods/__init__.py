"""Self-supervised methods: one file each, a frozen dataclass of hyper-parameters with build().

A new file is found by walking the package; there is no list to edit. ``shared`` holds what several
of them are made of.
"""

import functools

from jaxssl import named
from jaxssl.types import MethodConfig


@functools.cache
def all_configs() -> dict[str, type[MethodConfig]]:
    """Every method's config class by its name."""
    return named.all_of(__name__, does="build")
