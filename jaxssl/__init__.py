"""jaxssl: self-supervised learning in JAX.

jaxssl.losses        pure losses, exact on any number of devices
jaxssl.augment       random views on the device
jaxssl.pretext       label-generating functions
jaxssl.models        Flax encoders and heads
jaxssl.restore_encoder(directory)    a pretrained encoder, ready to use
jaxssl.restore_probe(directory)      its linear probe: images to probabilities of classes
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxssl.checkpoints import CheckpointError, RestoredEncoder, restore_encoder
    from jaxssl.evaluation.kept_probe import Probe, restore_probe

__version__ = "0.1.0"
__all__ = ["CheckpointError", "Probe", "RestoredEncoder", "restore_encoder", "restore_probe"]
_PROBES = ("Probe", "restore_probe")


def __getattr__(name: str) -> object:
    # When it is first asked for: the command line shows its usage without importing JAX.
    if name in ("augment", "losses", "models", "pretext"):
        return importlib.import_module(f"{__name__}.{name}")
    if name in __all__:
        module = "evaluation.kept_probe" if name in _PROBES else "checkpoints"
        return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
