"""Recipes put together from names: a method, an encoder of images, and a folder of photos."""

import dataclasses
from typing import Any

from jaxssl import methods, models, named, words
from jaxssl.models import names
from jaxssl.runs import recipe as recipes
from jaxssl.runs.recipe import Fit, Recipe
from jaxssl.training.optimizers import OptimizerConfig
from jaxssl.types import EncoderConfig, MethodConfig

OWN = "photos_"  # how the recipes begin that a method has for photos of 224 pixels
_LIKE = f"{OWN}simclr"  # whose data, epochs and batch the other methods take
_MAX_BATCH = 1024
_MIN_SIZE = 224  # pixels of an image, however small a view is cut out of it
# For networks and methods without numbers of their own for photos.
OPTIMIZER = OptimizerConfig(base_learning_rate=5e-4, weight_decay=0.05, warmup_epochs=10)


def combine(method: str, encoder: str | None) -> Recipe:
    """The recipe of a method and an encoder for a folder of photos, which nobody has named yet.

    A method with a recipe for photos of its own (``photos_mae``) takes that. Any other one has the
    numbers of its paper, and what its shipped recipe tells optimizer and encoder beside rate,
    warm-up and size: how a network begins, which colours it sees, which groups keep their rate.

    Args:
        method: name of a file of ``methods`` or of the class in it, in any case, with or without
            underscores: "moco_v3", "MoCoV3".
        encoder: see ``models.names.apply``; may be left out where there is a recipe for photos.

    Raises:
        ValueError: no such method or encoder, with the nearest; or one that does not see images.
    """
    cls = _find_method(method)
    if own := _shipped(cls, OWN):
        return own[0] if encoder is None else with_encoder(own[0], encoder)
    if encoder is None:
        raise ValueError(
            f"--method {method}: must come with --encoder, as no recipe says which; such as "
            "--encoder resnet-50 or --encoder vit-s/16."
        )
    kind = names.kind(encoder)
    known = _shipped(cls)
    if not known or not hasattr(known[0].data, "image_size"):
        raise ValueError(
            f"--method {method}: must be one that learns from images without labels; got "
            f"{named.short(cls)}. See jaxssl {'recipes' if known else 'finetune'}."
        )
    base = next((each for each in known if type(each.encoder) is kind), known[0])
    like = recipes.load(_LIKE)
    asked: Any = cls()
    data = dataclasses.replace(
        base.data, path="", image_size=max(asked.augment.size, _MIN_SIZE), channels=3
    )
    rates = {name: getattr(OPTIMIZER, name) for name in ("base_learning_rate", "warmup_epochs")}
    whole = Recipe(
        method=asked,
        encoder=base.encoder,
        data=data,
        optimizer=dataclasses.replace(base.optimizer, **rates),
        training=like.training,
        fit=dataclasses.replace(like.fit or Fit(), max_batch=_MAX_BATCH),
    )
    return with_encoder(whole, encoder)


def with_encoder(recipe: Recipe, name: str) -> Recipe:
    """The recipe with another encoder of images, and what depends on its kind.

    LARS and SGD, whose rates are those of ResNets, give way to ``OPTIMIZER`` for other networks,
    and stochastic depth, which is for ViTs, is left out of networks that are none.

    Args:
        recipe: of images.
        name: see ``models.names.apply``.

    Raises:
        ValueError: no such encoder; or the recipe's reads no images.
    """
    encoder: Any = _renamed(recipe.encoder, name)
    method, optimizer = recipe.method, recipe.optimizer
    network = getattr(encoder, "image", encoder)
    if optimizer.name != "adamw" and not isinstance(network, models.ResNetConfig):
        optimizer = OPTIMIZER
    if getattr(method, "drop_path", 0) and not isinstance(network, models.ViTConfig):
        method = dataclasses.replace(method, drop_path=0.0)
    if getattr(encoder, "position_grid", None) is not None and hasattr(method, "augment"):
        grid = max(method.augment.size // encoder.patch_size, 1)
        encoder = dataclasses.replace(encoder, position_grid=grid)
    return dataclasses.replace(recipe, method=method, encoder=encoder, optimizer=optimizer)


def _shipped(cls: type[MethodConfig], prefix: str = "") -> list[Recipe]:
    """The shipped recipes of a method, which begin with its name behind a prefix."""
    begins = prefix.replace("_", "") + _letters(cls.__name__)
    names_so = (name for name in recipes.shipped_names() if _letters(name).startswith(begins))
    return [each for each in map(recipes.load, names_so) if type(each.method) is cls]


def _renamed(encoder: EncoderConfig, name: str) -> EncoderConfig:
    """The encoder, or the network of images in it, by another name."""
    if isinstance(encoder, models.DualConfig):
        image: Any = names.apply(name, encoder.image)
        return dataclasses.replace(encoder, image=image)
    if isinstance(encoder, models.SplitConfig | models.TextTransformerConfig):
        raise ValueError(
            f"--encoder {name}: must be left out where the encoder is not one network of images; "
            f"got a {named.short(encoder)}. Its fields are options, see --help-all."
        )
    return names.apply(name, encoder)


def _find_method(name: str) -> type[MethodConfig]:
    """The config of a method by the name of its class or its file."""
    known = methods.all_configs().values()
    by_name = {_letters(cls.__module__.rpartition(".")[2]): cls for cls in known}
    by_name |= {_letters(cls.__name__): cls for cls in known}
    if (found := by_name.get(_letters(name))) is not None:
        return found
    stems = sorted({cls.__module__.rpartition(".")[2] for cls in known})
    near = words.nearest(name, stems)
    raise ValueError(
        f"--method: must be the name of a method, as jaxssl recipes lists them; got {name!r}."
        + (near or f" There are {', '.join(stems)}.")
    )


def _letters(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
