"""Where examples come from: sources, the order they are drawn in, and batches on the host.

A config such as ``ImageData`` opens a split of a data set as a source; ``Loader`` answers
``batch(step)`` for training and ``batches`` walks a source in order for evaluation. Images are
uint8 ``[H, W, C]``; ``from_columns`` makes a source of arrays of any other kind.

Libraries that only some sources need (tensorflow_datasets, grain, PIL, PyAV, scikit-learn) are
imported inside the functions that use them: together they cost seconds and hundreds of MiB at
start, and an in-memory data set needs none of them. JAX is not used here at all.
"""

from jaxssl.data.arrays import ArraySource, from_arrays, from_columns
from jaxssl.data.bands import MAX_CHANNELS
from jaxssl.data.config import ClipData, ImageData, elsewhere, from_json, from_old_fields
from jaxssl.data.folder import from_files, list_every
from jaxssl.data.imagefiles import MAX_PIXELS
from jaxssl.data.loader import Loader, batches
from jaxssl.data.memory import evenly_spaced, sample, take
from jaxssl.data.moments import measure as measure_moments
from jaxssl.data.objects import from_dataset
from jaxssl.data.pairs import PairData
from jaxssl.data.preparation import Prepared, prepare
from jaxssl.data.shards import is_shard
from jaxssl.data.source import Account, Source, account_of, can_crop
from jaxssl.data.text import TextData
from jaxssl.data.valuerange import scaled

__all__ = [
    "MAX_CHANNELS",
    "MAX_PIXELS",
    "Account",
    "ArraySource",
    "ClipData",
    "ImageData",
    "Loader",
    "PairData",
    "Prepared",
    "Source",
    "TextData",
    "account_of",
    "batches",
    "can_crop",
    "elsewhere",
    "evenly_spaced",
    "from_arrays",
    "from_columns",
    "from_dataset",
    "from_files",
    "from_json",
    "from_old_fields",
    "is_shard",
    "list_every",
    "measure_moments",
    "prepare",
    "sample",
    "scaled",
    "take",
]
