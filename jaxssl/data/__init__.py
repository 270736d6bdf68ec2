"""Where images come from: sources, the order they are drawn in, and batches on the host.

``open_source`` makes a source of whatever a path holds; ``Loader`` answers ``batch(step)`` for
training and ``batches`` walks a source in order for evaluation. Images are uint8 ``[H, W, C]``.

Libraries that only some sources need (tensorflow_datasets, grain, PIL, PyAV, scikit-learn) are
imported inside the functions that use them: together they cost seconds and hundreds of MiB at
start, and an in-memory data set needs none of them. JAX is not used here at all.
"""

from jaxssl.data.arrays import ArraySource, from_arrays
from jaxssl.data.config import DataConfig
from jaxssl.data.loader import Loader, batches
from jaxssl.data.opening import open_source
from jaxssl.data.preparation import Prepared, prepare
from jaxssl.data.source import Source

__all__ = [
    "ArraySource",
    "DataConfig",
    "Loader",
    "Prepared",
    "Source",
    "batches",
    "from_arrays",
    "open_source",
    "prepare",
]
