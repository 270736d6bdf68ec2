"""Random views of one image, computed on the device.

The contract of every function here: one image ``[H, W, C]``, never a batch; the PRNG key first
where there is one; float32 in [0, 1] in and out, except that policies also take uint8 in
[0, 255]; static sizes, so that one compilation serves a run. Map over a batch once, outside:
``jax.vmap(augment)(keys, images)``. There is no branch and no gather inside, so under ``vmap``
the geometry of a view becomes two batched matrix products.

    geometry   crops, flips, shifts and blur as small matrices along one side
    color      jitter and greyscale as one affine map of a pixel's channels, and solarisation
    policies   the published policies, and the frozen dataclasses of (key, image) they consist of
"""

from jaxssl.augment import color, exact, geometry, policies

__all__ = ["color", "exact", "geometry", "policies"]
