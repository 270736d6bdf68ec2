"""The label-generating functions: what turns an image, or a text, into a supervised example.

rotation      which of four right angles the image was turned by
patches       where in a grid of 3 x 3 a patch was
permutations  in which order nine patches lie
shortcuts     what must not give the answers away
corruption    the image before noise was put on it
holes         what stood in a hole
masking       which patches are hidden
block_masking which blocks of patches are hidden, kept or asked for
hog           which way the edges run
color         which bin or cluster of colours a pixel belongs to
gamut         which bins of colour there are
temporal      the colours of a frame, from the frames before it
cpc           the overlapping patches of which some are predicted from others
tokens        which tokens of a text are hidden, or come next
"""

from jaxssl.pretext import (
    block_masking,
    color,
    corruption,
    cpc,
    gamut,
    greyness,
    holes,
    masking,
    patches,
    permutations,
    rotation,
    shortcuts,
    temporal,
    tokens,
)

__all__ = [
    "block_masking",
    "color",
    "corruption",
    "cpc",
    "gamut",
    "greyness",
    "hog",
    "holes",
    "masking",
    "patches",
    "permutations",
    "rotation",
    "shortcuts",
    "temporal",
    "tokens",
]
