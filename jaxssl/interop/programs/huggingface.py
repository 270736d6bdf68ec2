"""Hugging Face: a folder that ``AutoModel.from_pretrained`` takes, with its image processor.

A ViT with a class token is a ViTModel, without one an IJepaModel; with layer scale or registers it
is DINOv2's, with rotary positions DINOv3's.

Source: transformers, the configuration files of vit, ijepa, dinov2, dinov2_with_registers,
dinov3_vit and resnet.
"""

import numpy as np

from jaxssl import models
from jaxssl.interop.outgoing import Outgoing, Program
from jaxssl.models.resnet import DEPTHS


def _files(outgoing: Outgoing) -> dict[str, dict]:
    config = outgoing.config
    name, fields = _resnet(config) if isinstance(config, models.ResNetConfig) else _vit(config)
    if name == "dinov3_vit":
        fields["key_bias"] = _has_key_bias(outgoing)
    size, channels = outgoing.guess.image_size, outgoing.guess.channels
    said = outgoing.preprocessing
    return {
        "config.json": {
            "architectures": [_CLASSES[name]],
            "model_type": name,
            "num_channels": channels,
            "image_size": size,
            "torch_dtype": "float32",
            **fields,
        },
        "preprocessor_config.json": {
            "image_processor_type": "BitImageProcessor",
            "do_convert_rgb": channels == 3,
            "do_resize": True,
            "size": {"shortest_edge": size},
            "resample": 3,  # bicubic, as PIL numbers it
            "do_center_crop": True,
            "crop_size": {"height": size, "width": size},
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": said["mean"],
            "image_std": said["std"],
        },
    }


_CLASSES = {
    "vit": "ViTModel",
    "ijepa": "IJepaModel",
    "dinov2": "Dinov2Model",
    "dinov2_with_registers": "Dinov2WithRegistersModel",
    "dinov3_vit": "DINOv3ViTModel",
    "resnet": "ResNetModel",
}


def _vit(config: models.ViTConfig) -> tuple[str, dict]:
    width, depth, num_heads = config.dimensions
    name = _name(config)
    if name not in ("vit", "ijepa") and config.pool == "mean":
        raise ValueError(
            'export: pool must be "class" for Hugging Face\'s networks with registers, layer scale '
            'or rotary positions, which all have a class token; got "mean". Export to safetensors '
            "or stablehlo."
        )
    is_gated = config.mlp == "swiglu"
    num_hidden = -(-(8 * width // 3) // 8) * 8 if is_gated else 4 * width
    fields = {
        "hidden_size": width,
        "num_hidden_layers": depth,
        "num_attention_heads": num_heads,
        "patch_size": config.patch_size,
        "layer_norm_eps": config.norm_epsilon,
        "hidden_act": "gelu",
    }
    if name == "dinov3_vit":
        more = {
            "intermediate_size": num_hidden,
            "use_gated_mlp": is_gated,
            "num_register_tokens": config.num_registers,
            "rope_theta": 100.0,
        }
        return name, fields | more | ({"hidden_act": "silu"} if is_gated else {})
    if name in ("dinov2", "dinov2_with_registers"):
        more = {"mlp_ratio": 4, "use_swiglu_ffn": is_gated, "qkv_bias": True}
        registers = {"num_register_tokens": config.num_registers} if config.num_registers else {}
        return name, fields | more | registers
    return name, fields | {"intermediate_size": num_hidden, "qkv_bias": True}


def _has_key_bias(outgoing: Outgoing) -> bool:
    """Whether a bias of keys is not 0, as it is in what is published."""
    blocks = outgoing.variables["params"]
    biases = (
        blocks[f"block_{index}"]["attention"]["qkv"]["bias"]
        for index in range(outgoing.config.dimensions.depth)
    )
    return any(np.split(bias, 3)[1].any() for bias in biases)


def _name(config: models.ViTConfig) -> str:
    if config.position == "rope":
        return "dinov3_vit"
    if config.num_registers:
        return "dinov2_with_registers"
    if config.layer_scale is not None or config.mlp == "swiglu":
        return "dinov2"
    return "vit" if config.pool == "class" else "ijepa"


def _resnet(config: models.ResNetConfig) -> tuple[str, dict]:
    blocks, is_bottleneck = DEPTHS[config.depth]
    widths = [64 * 2**stage * (4 if is_bottleneck else 1) for stage in range(4)]
    return "resnet", {
        "embedding_size": 64,
        "hidden_sizes": widths,
        "depths": list(blocks),
        "layer_type": "bottleneck" if is_bottleneck else "basic",
        "hidden_act": "relu",
        "downsample_in_first_stage": False,
        "downsample_in_bottleneck": False,
    }


def _adds(outgoing: Outgoing) -> dict[str, np.ndarray]:
    """Parts that the networks of DINOv2 and DINOv3 always have: they do nothing here."""
    config = outgoing.config
    if not isinstance(config, models.ViTConfig) or _name(config) in ("vit", "ijepa"):
        return {}
    width, depth, _ = config.dimensions
    is_rotary = config.position == "rope"
    token = (1, 1, width) if is_rotary else (1, width)
    found = {"embeddings.mask_token": np.zeros(token, np.float32)}
    if is_rotary and not config.num_registers:
        found["embeddings.register_tokens"] = np.zeros((1, 0, width), np.float32)
    if config.layer_scale is None:
        block = "layer.{}" if is_rotary else "encoder.layer.{}"
        for index in range(depth):
            for branch in (1, 2):
                name = f"{block.format(index)}.layer_scale{branch}.lambda1"
                found[name] = np.ones(width, np.float32)
    return found


PROGRAM = Program(
    name="hf",
    files=_files,
    adds=_adds,
    usage=lambda outgoing: 'transformers.AutoModel.from_pretrained("{out}")',
)
