"""timm: a folder that ``timm.create_model("local-dir:…")`` builds the network from.

Source: timm, models/_hub.py (config.json), vision_transformer.py, resnet.py and convnext.py.
"""

from collections.abc import Callable

from jaxssl import models
from jaxssl.interop.outgoing import Outgoing, Program
from jaxssl.models.resnet import DEPTHS


def _files(outgoing: Outgoing) -> dict[str, dict]:
    size, channels = outgoing.guess.image_size, outgoing.guess.channels
    architecture, arguments = _ARCHITECTURES[type(outgoing.config)](outgoing.config, size)
    said = outgoing.preprocessing
    return {
        "config.json": {
            "architecture": architecture,
            "num_classes": 0,
            "model_args": {"in_chans": channels, **arguments},
            "pretrained_cfg": {
                "input_size": [channels, size, size],
                "fixed_input_size": isinstance(outgoing.config, models.ViTConfig),
                "interpolation": "bicubic",
                "crop_pct": 1.0,
                "crop_mode": "center",
                "mean": said["mean"],
                "std": said["std"],
                "num_classes": 0,
            },
        }
    }


def _resnet(config: models.ResNetConfig, size: int) -> tuple[str, dict]:
    del size
    blocks, is_bottleneck = DEPTHS[config.depth]
    return f"resnet{50 if is_bottleneck else 18}", {"layers": list(blocks)}


def _vit(config: models.ViTConfig, size: int) -> tuple[str, dict]:
    width, depth, num_heads = config.dimensions
    arguments = {
        "img_size": size,
        "patch_size": config.patch_size,
        "embed_dim": width,
        "depth": depth,
        "num_heads": num_heads,
        "class_token": config.pool == "class",
        "global_pool": "token" if config.pool == "class" else "avg",
        "fc_norm": False,  # the mean of normalised tokens
        "reg_tokens": config.num_registers,
        "no_embed_class": config.num_registers > 0,
        "init_values": config.layer_scale,
    }
    if config.mlp == "swiglu":  # whose packed hidden layer is twice as wide
        num_hidden = -(-(8 * width // 3) // 8) * 8
        return "vit_giant_patch14_dinov2", arguments | {"mlp_ratio": 2 * num_hidden / width}
    return "vit_base_patch16_224", arguments


def _convnext(config: models.ConvNeXtConfig, size: int) -> tuple[str, dict]:
    del size
    depths, dims = config.dimensions
    arguments = {"depths": list(depths), "dims": list(dims), "patch_size": config.stem_patch}
    return "convnext_tiny", arguments


_ARCHITECTURES: dict[type, Callable[..., tuple[str, dict]]] = {
    models.ResNetConfig: _resnet,
    models.ViTConfig: _vit,
    models.ConvNeXtConfig: _convnext,
}

PROGRAM = Program(
    name="timm",
    files=_files,
    adds=lambda outgoing: {},
    usage=lambda outgoing: 'timm.create_model("local-dir:{out}", pretrained=True)',
)
