"""jaxssl: self-supervised learning in JAX.

jaxssl.losses        pure losses, exact on any number of devices
jaxssl.augment       random views on the device
jaxssl.pretext       label-generating functions
jaxssl.models        Flax encoders and heads
jaxssl.restore_encoder(directory)    a pretrained encoder, ready to use
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxssl.checkpoints import CheckpointError, RestoredEncoder, restore_encoder

__version__ = "0.1.0"
__all__ = ["CheckpointError", "RestoredEncoder", "restore_encoder"]


def __getattr__(name: str) -> object:
    # When it is first asked for: the command line shows its usage without importing JAX.
    if name in ("augment", "losses", "models", "pretext"):
        return importlib.import_module(f"{__name__}.{name}")
    if name in __all__:
        return getattr(importlib.import_module(f"{__name__}.checkpoints"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
