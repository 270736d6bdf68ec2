"""jaxssl: self-supervised learning in JAX.

jaxssl.losses        pure losses, exact on any number of devices
jaxssl.augment       random views on the device
jaxssl.pretext       label-generating functions
jaxssl.models        Flax encoders and heads
jaxssl.interop       published weights in, weights for other programs out
jaxssl.load_recipe(name)             everything that defines a run, to be changed
jaxssl.pretrain(recipe, directory)   trains an encoder, or goes on with it
jaxssl.restore_encoder(directory)    a pretrained encoder, ready to use
jaxssl.export(directory, to, out)    the same for timm, Hugging Face, torchvision, any JAX
jaxssl.restore_probe(directory)      its linear probe: images to probabilities of classes
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxssl import augment, interop, losses, models, pretext
    from jaxssl.checkpoints import CheckpointError, RestoredEncoder, restore_encoder
    from jaxssl.evaluation.kept_probe import Probe, restore_probe
    from jaxssl.interop import export
    from jaxssl.runs.api import pretrain
    from jaxssl.runs.recipe import Recipe
    from jaxssl.runs.recipe import load as load_recipe

__version__ = "0.1.0"
__all__ = [
    "CheckpointError",
    "Probe",
    "Recipe",
    "RestoredEncoder",
    "augment",
    "export",
    "interop",
    "load_recipe",
    "losses",
    "models",
    "pretext",
    "pretrain",
    "restore_encoder",
    "restore_probe",
]
_ROOMS = ("augment", "interop", "losses", "models", "pretext")
_PLACES = {  # module and name of everything else
    "CheckpointError": ("checkpoints", "CheckpointError"),
    "Probe": ("evaluation.kept_probe", "Probe"),
    "Recipe": ("runs.recipe", "Recipe"),
    "RestoredEncoder": ("checkpoints", "RestoredEncoder"),
    "export": ("interop", "export"),
    "load_recipe": ("runs.recipe", "load"),
    "pretrain": ("runs.api", "pretrain"),
    "restore_encoder": ("checkpoints", "restore_encoder"),
    "restore_probe": ("evaluation.kept_probe", "restore_probe"),
}


def __getattr__(name: str) -> object:
    # When it is first asked for: the command line shows its usage without importing JAX.
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _PLACES:
        module, attribute = _PLACES[name]
        return getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
