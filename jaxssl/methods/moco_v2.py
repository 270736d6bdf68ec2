"""MoCo v2: MoCo with SimCLR's projector and stronger views."""

import dataclasses

from jaxssl.augment import policies
from jaxssl.methods import moco_v1


@dataclasses.dataclass(frozen=True)
class MoCoV2(moco_v1.MoCoV1):
    """Momentum contrast with a projector of two layers, blur, and a higher temperature.

    The loss, the queue and what keys are normalised by are those of ``MoCoV1``. Beside what stands
    here, the authors take a cosine schedule of the learning rate.

    Attributes:
        augment: applied twice to every image, with independent keys.
        temperature: T, of the softmax over similarities.
        queue_size: keys remembered.
        target_momentum: of the momentum encoder, constant.
        projector_dim: features of the projection.
        key_statistics: what normalises keys: "moving" averages, or their own "batch".
        projector_width: features of the projector's hidden layer; as many as the encoder's in the
            paper. There is no batch norm in the projector.

    Source: Chen et al., Improved Baselines with Momentum Contrastive Learning, 2020,
        arXiv:2003.04297, section 2 and table 1; numbers from the authors' main_moco.py.
    """

    augment: policies.Pair = policies.moco_v2()
    temperature: float = 0.2
    projector_width: int = 2048

    def _widths(self) -> tuple[int, ...]:
        return (self.projector_width, self.projector_dim)
