"""A VQ autoencoder on Fashion-MNIST with a small ViT.

Command: jaxssl pretrain vq_autoencoder_fashion_mnist --out runs/vq_autoencoder
On an accelerator, the full-size encoder: add --encoder.size S
Source: van den Oord et al. 2017 (arXiv 1711.00937): the weight of commitment is the paper's; the
vocabulary and the decoder are scaled to 16 patches of 7 x 7 pixels; crop, flip, batches, epochs and
encoder of mae_fashion_mnist.
"""

import dataclasses

from jaxssl.methods.vq_autoencoder import VQAutoencoder
from jaxssl.recipes import mae_fashion_mnist
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    mae = mae_fashion_mnist.get_config()
    method = VQAutoencoder(
        augment=mae.method.augment, num_words=256, code_dim=16, decoder_width=64, decoder_depth=1
    )
    return dataclasses.replace(mae, method=method)
