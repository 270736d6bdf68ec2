"""Video colorization: a grey frame's colours are copied from the coloured frames before it."""

import dataclasses
import functools
import math
import operator
from collections.abc import Callable
from typing import Self

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import checks, colorspace, losses
from jaxssl.augment import policies
from jaxssl.methods.shared import assembly, functional
from jaxssl.models import heads
from jaxssl.pretext import color, greyness, temporal
from jaxssl.types import Array, Example, Method, Picture, PyTree, Views


@dataclasses.dataclass(frozen=True)
class VideoColorization:
    """Tracking by colorizing: every cell of a grey frame points at cells of the frames before.

    The encoder sees the lightness of every frame. Each cell of its last map gets an embedding f by
    one 1x1 projection; a cell j of the target frame takes the colour
    y_j = sum_i softmax_i(f_i · f_j) c_i of all cells i of all reference frames, c_i being one-hot
    colour clusters, and loss = mean over j of -log y_j[cluster of j] (``copy_cross_entropy``). To
    point right, f must follow what moves.

    The cluster of a cell is that of one pixel, the one behind its middle. The paper puts a small
    network over space and time on top of the encoder, this is the projection alone. Maps should be
    fine (the paper's are 32 x 32): a ViT of patch size 4, or a ResNet with the small stem.

    An example is a clip, "video" [T, H, W, 3] of ``num_references`` + 1 frames, all cropped and
    flipped alike. Of a data set of still images, shaken copies of one image stand in for a clip
    (``pretext.temporal.jittered_frames``): that runs everywhere, but teaches no motion.

    Attributes:
        augment: crop and flip of the whole clip.
        num_references: coloured frames; the target is the frame after them.
        embedding_dim: D of the projection.
        num_clusters: colours, M.
        max_shift: of the shaken copies, fraction of the view's side.
        centres: M pairs of a and b; empty until ``prepare``.

    Source: Vondrick et al., Tracking Emerges by Colorizing Videos, 2018, arXiv:1806.09594, eq. 1 to
        3; 64 embeddings as in public ports.
    """

    augment: policies.CropFlip = policies.CropFlip(size=256, crop_scale=(0.5, 1.0))
    num_references: int = 3
    embedding_dim: int = 64
    num_clusters: int = 16
    max_shift: float = 0.125
    centres: tuple[tuple[float, float], ...] = ()

    def __post_init__(self):
        counts = "num_references", "embedding_dim", "num_clusters"
        checks.at_least(self, 1, *counts, fix="The paper's are 3 references and 16 clusters.")
        fix = "The default is 0.125 of the side."
        checks.in_range(self, 0, 1, "max_shift", open_right=True, fix=fix)

    def prepare(self, num_examples: int, sample: Callable[[], np.ndarray]) -> Self:
        """The same with the clusters of a data set's colours; see ``types.MethodConfig``.

        Raises:
            ValueError: grey images, or fewer colours than clusters.
        """
        del num_examples
        images = sample()
        greyness.check_has_color("VideoColorization", images)
        centres = color.ab_clusters(images, self.num_clusters, seed=0)
        return dataclasses.replace(self, centres=tuple(map(tuple, centres.tolist())))

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``.

        Raises:
            ValueError: an encoder that sees colours, a config that is not prepared; in ``view``, a
                clip of another length; in ``loss``, cells whose grid does not divide the view.
        """
        del axis_name  # the projection has no batch norm
        seen = getattr(encoder.config, "color_space", type(encoder).__name__)
        if seen != "lightness":
            raise ValueError(
                "VideoColorization: the encoder must see lightness alone, or it would find colors "
                f"by color; got {seen!r}. Set color_space='lightness' and mean=(50.0,) of the "
                "encoder."
            )
        if not self.centres:
            raise ValueError(
                "VideoColorization: centres must be those of a data set; got none. Call "
                "prepare(num_examples, sample)."
            )
        network = self._network(encoder)

        def view(key: Array, example: Example) -> Views:
            return {"video": self._clip(key, example)}

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            return network.init(key, views["video"][:, 0])

        def loss(params, state, views, key, clock):
            del key, clock
            video = views["video"]
            embeddings, state = network.apply(params, state, _flat(video))
            targets, references = self._divide(embeddings, len(video))
            ab = self._colors(video, embeddings.shape[1])
            labels = temporal.nearest_centre(ab, jnp.asarray(self.centres, jnp.float32))
            reference_labels = labels[:, :-1].reshape(len(video), -1)
            values = losses.copy_cross_entropy(targets, references, labels[:, -1], reference_labels)
            one_hot = jax.nn.one_hot(reference_labels, len(self.centres))
            copied = losses.copy_values(targets, references, one_hot).argmax(-1)
            metrics = {
                "accuracy": jnp.mean((copied == labels[:, -1]).astype(jnp.float32)),
                "accuracy_in_place": jnp.mean((labels[:, -2] == labels[:, -1]).astype(jnp.float32)),
            }
            return jnp.mean(values, axis=-1), (state, metrics)

        return assembly.assemble(
            view,
            init,
            loss,
            size=self.augment.size,
            show=functools.partial(self._show, network),
        )

    def _show(
        self, network: functional.WithHead, params: PyTree, state: PyTree, views: Views
    ) -> list[Picture]:
        """The last reference, the grey target, the colours it copies on its own L, and the truth.

        Returns:
            Titles and images float32 [B, H, W, 3] in [0, 1]; right is a cell whose copied colour
            is nearest to the cluster of its own.
        """
        video = views["video"]
        embeddings = network.predict(params, state, _flat(video))
        targets, references = self._divide(embeddings, len(video))
        ab = self._colors(video, embeddings.shape[1])
        copied = losses.copy_values(
            targets, references, ab[:, :-1].reshape(len(video), -1, 2)
        )  # [B, N, 2]
        centres = jnp.asarray(self.centres, jnp.float32)
        is_right = temporal.nearest_centre(copied, centres) == temporal.nearest_centre(
            ab[:, -1], centres
        )
        truth = video[:, -1]
        side = math.isqrt(copied.shape[1])
        ab_map = jax.image.resize(
            copied.reshape(-1, side, side, 2), (*truth.shape[:3], 2), "bilinear"
        )
        lightness = colorspace.lightness(truth)

        def in_color(ab: Array) -> Array:
            return colorspace.lab_to_rgb(jnp.concatenate([lightness, ab], axis=-1))

        percent = 100 * float(is_right.mean())
        return [
            ("last reference", video[:, -2]),
            ("target, as the encoder sees it", in_color(jnp.zeros_like(ab_map))),
            (f"colors copied ({percent:.0f} % of the cells right)", in_color(ab_map)),
            ("target", truth),
        ]

    def _network(self, encoder: nn.Module) -> functional.WithHead:
        head = heads.MLP((self.embedding_dim,), dtype=encoder.config.dtype)
        return functional.WithHead(encoder, head, read=operator.attrgetter("tokens"))

    def _clip(self, key: Array, example: Example) -> Array:
        """The frames of one example, float32 [T, S, S, 3] in [0, 1], cropped and flipped alike."""
        num_frames = self.num_references + 1
        if "video" not in example:
            augment_key, shift_key = jax.random.split(key)
            image = self.augment(augment_key, example["image"])
            shift = int(self.max_shift * self.augment.size)
            return temporal.jittered_frames(
                shift_key, image, num_frames=num_frames, max_shift=shift
            )
        video = example["video"]
        if len(video) != num_frames:
            raise ValueError(
                f"VideoColorization: a clip must have num_references + 1 = {num_frames} frames; "
                f"got {len(video)}. Set --data.num-frames {num_frames}."
            )
        return jax.vmap(self.augment, (None, 0))(key, video)

    def _divide(self, embeddings: Array, num_clips: int) -> tuple[Array, Array]:
        """Embeddings [B · T, N, D] as those of targets [B, N, D] and references [B, M, D]."""
        by_clip = embeddings.reshape(num_clips, -1, *embeddings.shape[1:])
        references = by_clip[:, :-1].reshape(num_clips, -1, by_clip.shape[-1])
        return by_clip[:, -1], references

    def _colors(self, video: Array, num_cells: int) -> Array:
        """ab of the cells of every frame, float32 [B, T, N, 2]."""
        size, side = video.shape[2], math.isqrt(num_cells)
        if side**2 != num_cells or size % side:
            raise ValueError(
                "VideoColorization: the encoder's cells must form a square whose side divides the "
                f"view's; got {num_cells} cells of {size} pixels. Change augment.size."
            )
        pixels = color.sample_cells(_flat(video), size // side)
        ab = colorspace.rgb_to_lab(pixels)[..., 1:]
        return ab.reshape(*video.shape[:2], num_cells, 2)


def _flat(video: Array) -> Array:
    """Frames [B · T, H, W, C] of clips [B, T, H, W, C]."""
    return video.reshape(-1, *video.shape[2:])
