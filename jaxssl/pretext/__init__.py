"""The label-generating functions: what turns an image into a supervised example.

rotation   which of four right angles the image was turned by
masking    which patches are hidden
"""

from jaxssl.pretext import masking, rotation

__all__ = ["masking", "rotation"]
