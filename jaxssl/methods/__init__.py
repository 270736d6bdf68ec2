"""Self-supervised methods: one file each, a frozen dataclass of hyper-parameters with build().

A new file is found by walking the package; there is no list to edit. ``shared`` holds what several
of them are made of.
"""

import dataclasses
import functools
import importlib
import pkgutil

from jaxssl.types import MethodConfig


@functools.cache
def all_configs() -> dict[str, type[MethodConfig]]:
    """Every method's config class by its name."""
    configs = {}
    for info in pkgutil.iter_modules(__path__):
        if info.ispkg:
            continue
        module = importlib.import_module(f"{__name__}.{info.name}")
        for name, value in vars(module).items():
            if (
                dataclasses.is_dataclass(value)
                and value.__module__ == module.__name__
                and hasattr(value, "build")
            ):
                configs[name] = value
    return configs
