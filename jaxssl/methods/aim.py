"""AIM: from the patches before it, in raster order, what is the next one?"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import losses
from jaxssl.augment import policies
from jaxssl.methods.shared import assembly, functional, vits
from jaxssl.models import initialization, layers, patches, residual_mlp
from jaxssl.types import Array, Example, Method, Picture, PyTree, Views


@dataclasses.dataclass(frozen=True)
class AIM:
    """Autoregressive image model: the values of each patch, regressed from those before it.

    Every token sees the first S patches of its image, S drawn uniformly from 1 to N - 1, and beside
    those itself and the ones before it. A deep head reads each token by itself and predicts the
    patch that follows:

        loss = mean over patches n > S of  mean over values of (prediction_(n-1) - target_n)^2

    with patches counted from 1 and normalised by their own mean and variance. In evaluation every
    token sees all others, which the prefix has prepared the encoder for. There is no class token,
    so that the encoder's ``pool`` is "mean"; one that it has is seen by all, sees the prefix and
    predicts nothing.

    The authors publish weights, but no code of training; what is open in the paper is chosen here:
    the inside of the head's blocks (``models.residual_mlp``), and the mean over the patches of each
    image before that over images. It differs from the paper in biases, which its encoder leaves
    out, and in the patch embedding, which there ends in a LayerNorm. What the optimizer adds in the
    paper: AdamW, betas 0.9 and 0.95, weight decay 0.05, gradients clipped at a norm of 1.

    Its ancestor, which names the colour of single pixels, is ``methods.igpt``.

    Attributes:
        augment: crop and flip; no colour.
        prefix: whether S is drawn; if not it is 1, and attention causal.
        head_width: features of the head.
        head_depth: blocks of the head.
        normalize_target: regress patches normalised by their own mean and variance.

    Source: El-Nouby et al., Scalable Pre-training of Large Autoregressive Image Models, 2024,
        arXiv:2401.08541, sections 3.2 and 3.3, eq. 2.
    """

    augment: policies.CropFlip = policies.CropFlip(
        224, crop_scale=(0.4, 1.0), interpolation="cubic"
    )
    prefix: bool = True
    head_width: int = 2048
    head_depth: int = 12
    normalize_target: bool = True

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``.

        Raises:
            ValueError: an encoder without patches, or of another color space; or an image that is
                not a multiple of the patches, or has fewer than two.
        """
        del axis_name  # nothing here depends on other devices
        vits.check_encoder("AIM", encoder, can="read patches in order", sees_pixels=True)
        size, patch_size = self.augment.size, encoder.config.patch_size
        rows, columns = patches.patch_grid(size, size, patch_size, caller="AIM")
        num_patches = rows * columns
        if num_patches < 2:
            raise ValueError(
                f"AIM: an image must have at least 2 patches, of which one follows the other; got "
                f"{size}x{size} pixels and patches of {patch_size}. Use smaller patches."
            )

        def view(key: Array, example: Example) -> Views:
            augment_key, prefix_key = jax.random.split(key)
            image = self.augment(augment_key, example["image"])
            last = num_patches if self.prefix else 2
            return {"image": image, "prefix": jax.random.randint(prefix_key, (), 1, last)}

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            return self._network(encoder, views).init(key, views["image"])

        def predict(params: PyTree, views: Views) -> tuple[Array, Array, Array]:
            """Prediction and target of all patches but the first, [B, N - 1, P], and which count.

            Targets are standardised as the encoder's input is, and not yet normalised.
            """
            images, prefix = views["image"], views["prefix"]
            network = self._network(encoder, views)
            variables = functional.variables(params["encoder"], {})
            tokens = encoder.apply(variables, images, prefix=prefix).tokens[:, :-1]  # type: ignore[union-attr]
            prediction = network.head.apply({"params": params["head"]}, tokens)
            pixels = layers.standardise(images, encoder.config.mean, encoder.config.std)
            target = patches.patchify(pixels, patch_size)[:, 1:]
            return prediction, target, jnp.arange(1, num_patches)[None] >= prefix[:, None]  # type: ignore[return-value]

        def loss(params, state, views, key, clock):
            del key, clock
            prediction, target, counts = predict(params, views)
            if self.normalize_target:
                target = losses.normalize_patches(target)
            return losses.masked_mse(prediction, target, counts), (state, {})

        def show(params: PyTree, state: PyTree, views: Views) -> list[Picture]:
            """The views, the prefix, and each patch behind it as it is predicted from the true ones
            before it.
            """
            del state
            prediction, target, counts = predict(params, views)
            if self.normalize_target:
                prediction = vits.denormalize(prediction, target)
            first = jnp.zeros_like(prediction[:, :1])
            return vits.show_reconstruction(
                views["image"],
                jnp.pad(counts, ((0, 0), (1, 0))),
                jnp.concatenate([first, prediction], axis=1),
                encoder.config,
            )

        return assembly.assemble(view, init, loss, size=size, show=show)

    def _network(self, encoder: nn.Module, views: Views) -> functional.WithHead:
        config = encoder.config
        head = residual_mlp.ResidualMLP(
            out_dim=config.patch_size**2 * views["image"].shape[-1],
            width=self.head_width,
            depth=self.head_depth,
            dtype=config.dtype,
            kernels=initialization.INITIALIZATIONS[config.initialization].blocks,
        )
        return functional.WithHead(encoder, head, read=lambda features: features.tokens)
