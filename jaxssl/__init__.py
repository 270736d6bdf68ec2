"""jaxssl: self-supervised learning in JAX.

jaxssl.losses        pure losses, exact on any number of devices
jaxssl.augment       random views on the device
jaxssl.pretext       label-generating functions
jaxssl.models        Flax encoders and heads
jaxssl.restore_encoder(directory)    a pretrained encoder, ready to use
"""

from jaxssl.checkpoints import CheckpointError, RestoredEncoder, restore_encoder

__version__ = "0.1.0"
__all__ = ["CheckpointError", "RestoredEncoder", "restore_encoder"]
