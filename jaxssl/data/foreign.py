"""What to do with files that are not read: advice that holds, by what a file is."""

import re

from jaxssl.data import layout

_ARRAYS = (
    'np.savez("images.npz", images=…, labels=…) makes an archive that is read: images [N, H, W] or '
    "[N, H, W, C] of uint8, labels [N]"
)
_ADVICE = (
    ((".npz",), "Give the file itself"),
    ((".npy",), f"Load it with np.load; {_ARRAYS}"),
    ((".h5", ".hdf5", ".mat", ".nc"), f"Take the arrays out of it with h5py or SciPy; {_ARRAYS}"),
    ((".pt", ".pth", ".pkl", ".pickle", ".safetensors"), f"Take the arrays out of it; {_ARRAYS}"),
    (
        (".feather", ".csv", ".tsv", ".json", ".jsonl", ".txt", ".mdb"),
        "Write the images that it holds or names into a folder, a subfolder for each class; or "
        f"{_ARRAYS}",
    ),
    (("-ubyte", "-ubyte.gz"), "Give the directory that holds it and the other IDX files"),
    (
        (".tgz", ".gz", ".bz2", ".xz", ".zip", ".7z", ".rar"),
        "Unpack it and give the folder, or what is called .tar then",
    ),
    (
        (".tfrecord", ".array_record", "record-of"),
        "Give the directory of a data set prepared by TFDS, which holds dataset_info.json; it must "
        "be in the array_record format",
    ),
    (layout.SUFFIXES, "Give the folder that holds it"),
)
_OTHERWISE = f"Give a folder of images; or {_ARRAYS}"


def advice(name: str) -> str:
    """What to do with a file that is not read as it is, a sentence.

    Args:
        name: of the file, or its suffix.
    """
    name = re.sub(r"record-\d+-of-\d+$", "record-of", name.lower())  # a shard
    return next((what for suffixes, what in _ADVICE if name.endswith(suffixes)), _OTHERWISE) + "."
