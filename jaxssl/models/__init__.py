"""Encoders, heads and decoders as linen modules.

Encoders are built from frozen configs and return ``types.Features`` in float32; they take uint8 or
[0, 1] images and standardise them themselves. Parameters are float32. Every layer has an explicit
name: parameter paths are a contract between versions.
"""

from jaxssl.models.context import GridContext, GridPredictor
from jaxssl.models.conv_decoder import ConvDecoder
from jaxssl.models.convnext import ConvNeXt, ConvNeXtConfig
from jaxssl.models.dense import DenseHead
from jaxssl.models.discriminator import Discriminator
from jaxssl.models.dual import Dual, DualConfig
from jaxssl.models.heads import MLP
from jaxssl.models.micro_batches import over_micro_batches
from jaxssl.models.patches import gather_rows, patchify, sincos_positions, unpatchify
from jaxssl.models.predictor import MaskedPredictor
from jaxssl.models.resnet import ResNet, ResNetConfig
from jaxssl.models.split import Split, SplitConfig
from jaxssl.models.text import TextTransformer, TextTransformerConfig
from jaxssl.models.transformer import stack_layers, unstack_layers
from jaxssl.models.vit import ViT, ViTConfig

__all__ = [
    "MLP",
    "ConvDecoder",
    "ConvNeXt",
    "ConvNeXtConfig",
    "DenseHead",
    "Discriminator",
    "Dual",
    "DualConfig",
    "GridContext",
    "GridPredictor",
    "MaskedPredictor",
    "ResNet",
    "ResNetConfig",
    "Split",
    "SplitConfig",
    "TextTransformer",
    "TextTransformerConfig",
    "ViT",
    "ViTConfig",
    "gather_rows",
    "over_micro_batches",
    "patchify",
    "sincos_positions",
    "stack_layers",
    "unpatchify",
    "unstack_layers",
]
