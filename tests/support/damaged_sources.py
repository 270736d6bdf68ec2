"""A small data set of every kind, and what comes of it when one of its files is damaged."""

import contextlib
import io
import pathlib
import struct

import av
import numpy as np
from mutations import mutated
from PIL import Image

from jaxssl import data

KINDS = (
    "png", "jpg", "gif", "bmp", "webp", "tif", "ppm", "npz", "compressed npz", "idx", "mp4", "avi",
    "mkv", "array_record", "dataset_info", "features",
)  # fmt: skip
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 6, 6, 1), np.uint8)
LABELS = np.arange(8) % 2


def write(kind: str, place: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Writes a data set of a kind below an empty folder: what to open, and the file to damage."""
    if kind.endswith("npz"):
        save = np.savez if kind == "npz" else np.savez_compressed
        save(place / "a.npz", images=IMAGES, labels=LABELS, class_names=["cat", "dog"])
        return place / "a.npz", place / "a.npz"
    if kind == "idx":
        for name, array in (("images-idx3", IMAGES[..., 0]), ("labels-idx1", LABELS)):
            header = struct.pack(f">HBB{array.ndim}i", 0, 8, array.ndim, *array.shape)
            content = header + array.astype(np.uint8).tobytes()
            (place / f"train-{name}-ubyte").write_bytes(content)
        return place, place / "train-images-idx3-ubyte"
    if kind in ("mp4", "avi", "mkv"):
        _write_film(place / f"a.{kind}")
        return place / f"a.{kind}", place / f"a.{kind}"
    if kind in ("array_record", "dataset_info", "features"):
        np.savez(place / "a.npz", train_images=IMAGES, train_labels=LABELS)
        prepared = data.prepare(place / "a.npz", place / "out", show_progress=False).directory
        (file,) = prepared.glob(f"*{kind}*")
        return prepared, file
    for number, image in enumerate(IMAGES[:2, ..., 0]):
        Image.fromarray(np.tile(image, (2, 2))).convert("RGB").save(place / f"{number}.{kind}")
    return place, place / f"0.{kind}"


def outcome(path: pathlib.Path, file: pathlib.Path, content: bytes, seed: int) -> str:
    """ "read", or "refused" by one line that names the file; anything else is raised.

    Args:
        path: what to open.
        file: of it, to damage.
        content: of that file when it was whole.
        seed: of the damage.
    """
    file.write_bytes(mutated(content, seed))
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            split = "train" if "ubyte" in file.name else "all"
            source = data.ImageData(str(path), 8, 1, max_unreadable=0.0).open(split)
            for row in range(len(source)):
                assert source[row]["image"].shape == (8, 8, 1)
    except (ValueError, FileNotFoundError) as error:
        message = str(error)
        assert "\n" not in message.strip(), message
        named = str(path) in message or path.parent.name in message or "out/1.0.0" in message
        assert named, f"names no file: {message}"
        return "refused"
    finally:
        file.write_bytes(content)
    return "read"


def _write_film(path: pathlib.Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=6)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        for number in range(8):
            picture = np.full((16, 16, 3), 20 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
