"""CAE on Fashion-MNIST with a small ViT, naming the words of a VQ autoencoder.

Command: jaxssl pretrain cae_fashion_mnist --out runs/cae --tokenizer runs/vq_autoencoder
Before it: jaxssl pretrain vq_autoencoder_fashion_mnist --out runs/vq_autoencoder
On an accelerator, the full-size encoder: add --encoder.size S
Source: Chen et al. 2022 (arXiv 2202.03026): mask ratio, weight of the alignment, clipping and
weight decay are the authors'; blocks of 2 patches or more and one block each of regressor and
decoder are scaled to 16 patches of 7 x 7 pixels; crops keep a larger part of the image; encoder of
beit_fashion_mnist.
"""

import dataclasses

from jaxssl.methods.cae import CAE
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.recipes import beit_fashion_mnist
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    method = CAE(
        augment=shared.CROP_FLIP, min_block=2, regressor_depth=1, decoder_depth=1, decoder_heads=4
    )
    return dataclasses.replace(beit_fashion_mnist.get_config(), method=method)
