"""Encoder configs by name: what a checkpoint needs to rebuild an encoder from JSON."""

from collections.abc import Mapping

from jaxssl import jsonable, words
from jaxssl.models import convnext, resnet, split, vit

EncoderConfig = vit.ViTConfig | resnet.ResNetConfig | convnext.ConvNeXtConfig | split.SplitConfig

_CONFIGS = {
    "ViT": vit.ViTConfig,
    "ResNet": resnet.ResNetConfig,
    "ConvNeXt": convnext.ConvNeXtConfig,
    "Split": split.SplitConfig,
}


def encoder_config(name: str, fields: Mapping[str, object]) -> EncoderConfig:
    """The config that ``encoder_fields`` described; the inverse of it, also after JSON.

    Args:
        name: "ViT", "ResNet", "ConvNeXt" or "Split".
        fields: JSON value of each field; fields left out take their default.

    Returns:
        The config; ``.build(axis_name=...)`` gives the linen module.

    Raises:
        ValueError: unknown name or field, or a value that the config refuses.
    """
    if name not in _CONFIGS:
        raise ValueError(
            f"encoder_config: the encoder must be one of {', '.join(_CONFIGS)}; got {name!r}."
            f"{words.nearest(name, _CONFIGS)}"
        )
    return jsonable.from_json(_CONFIGS[name], fields)


def encoder_fields(config: EncoderConfig) -> tuple[str, dict[str, object]]:
    """Name and fields of a config, ready for JSON.

    Args:
        config: an encoder's.

    Returns:
        The name that ``encoder_config`` takes, and one entry per field: str, int, float, bool,
        None, a tuple of floats, or the same again for a config within.

    Raises:
        TypeError: ``config`` is of another type.
    """
    for name, config_class in _CONFIGS.items():
        if type(config) is config_class:
            return name, jsonable.to_json(config)
    raise TypeError(
        "encoder_fields: the config must be one of "
        f"{', '.join(known.__name__ for known in _CONFIGS.values())}; got {type(config).__name__}."
    )
