"""Encoder configs by name: what a checkpoint needs to rebuild an encoder from JSON."""

import dataclasses
import difflib
from collections.abc import Mapping

from jaxssl.models import resnet, vit

EncoderConfig = vit.ViTConfig | resnet.ResNetConfig

_CONFIGS = {"ViT": vit.ViTConfig, "ResNet": resnet.ResNetConfig}


def encoder_config(name: str, fields: Mapping[str, object]) -> EncoderConfig:
    """The config that ``encoder_fields`` described; the inverse of it, also after JSON.

    Args:
        name: "ViT" or "ResNet".
        fields: value of each field, lists where the config has tuples; fields left out take their
            default.

    Returns:
        The config; ``.build(axis_name=...)`` gives the linen module.

    Raises:
        ValueError: unknown name or field, or a value that the config refuses.
    """
    if name not in _CONFIGS:
        raise ValueError(
            f"encoder_config: the encoder must be one of {', '.join(_CONFIGS)}; got {name!r}."
            f"{_nearest(name, _CONFIGS)}"
        )
    config = _CONFIGS[name]
    known = [field.name for field in dataclasses.fields(config)]
    for field in fields:
        if field not in known:
            raise ValueError(
                f"encoder_config: {name} has the fields {', '.join(known)}; got {field!r}."
                f"{_nearest(field, known)}"
            )
    # JSON has no tuples.
    values = {field: tuple(v) if isinstance(v, list) else v for field, v in fields.items()}
    return config(**values)


def encoder_fields(config: EncoderConfig) -> tuple[str, dict[str, object]]:
    """Name and fields of a config, ready for JSON.

    Args:
        config: a ViTConfig or a ResNetConfig.

    Returns:
        The name that ``encoder_config`` takes, and one entry per field: str, int, float, bool, None
        or a tuple of floats.

    Raises:
        TypeError: ``config`` is of another type.
    """
    for name, config_class in _CONFIGS.items():
        if type(config) is config_class:
            return name, dataclasses.asdict(config)
    raise TypeError(
        "encoder_fields: the config must be a ViTConfig or a ResNetConfig; got "
        f"{type(config).__name__}."
    )


def _nearest(word: str, words: Mapping[str, object] | list[str]) -> str:
    by_lower = {known.lower(): known for known in words}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.4)
    return f" Did you mean {by_lower[close[0]]!r}?" if close else ""
