"""Pictures of what the patches of a ViT say: where it attends, and what resembles what."""

from pathlib import Path

import numpy as np

from jaxssl import checkpoints, data
from jaxssl.evaluation import token_maps
from jaxssl.report import examples, plots
from jaxssl.report.page import Picture

NUM_HEADS = 4


def draw_patches(
    encoder: checkpoints.RestoredEncoder, test: data.ArraySource, out: Path
) -> list[Picture]:
    """Principal components of the patches of a few test images, and the attention of some heads.

    Nothing where the encoder is no ViT. Maps are scaled by image, from their least to their most.
    """
    if not token_maps.has_attention(encoder):
        return []
    images = examples.choose(test)["image"]  # of the size that the encoder is fed
    attention = np.asarray(token_maps.attention_maps(encoder, images))
    columns = [("test image", images), ("patches", token_maps.color_patches(encoder, images))]
    columns.append(("attention, mean of heads", _scaled(attention.mean(axis=1))))
    heads = range(min(NUM_HEADS, attention.shape[1]))
    columns += [(f"head {head}", _scaled(attention[:, head])) for head in heads]
    plots.draw_grid([(name, np.asarray(each)) for name, each in columns], out / "patches.svg")
    who = "the class token" if encoder.module.config.pool == "class" else "all patches, on average,"
    sentence = (
        "First three principal components of the patches of these images as red, green and blue "
        f"(like colours, like features); then how much {who} of the last block attends to each "
        "patch, white most."
    )
    return [Picture("Patches and attention", sentence, out / "patches.svg")]


def _scaled(maps: np.ndarray) -> np.ndarray:
    """[B, h, w] as grey images [B, h, w, 1], each from 0 to 1."""
    low, high = (f(maps, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
    return ((maps - low) / np.maximum(high - low, np.finfo(np.float32).tiny))[..., None]
