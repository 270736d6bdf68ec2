"""Images of any Python object that has them by number: torchvision's data sets, your own."""

import dataclasses
import functools
import hashlib
import io
import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxssl import cropping
from jaxssl.data import bands, crops, transforms, valuerange
from jaxssl.data import labels as label_lib
from jaxssl.data import source as source_lib

_IMAGES = ("image", "img")
_LABELS = ("targets", "labels")  # what torchvision's data sets call them
_NUM_HASHED = 64


@dataclasses.dataclass(frozen=True, eq=False)
class ObjectSource:
    """Images of an object, resized and cropped when they are asked for; see ``from_dataset``."""

    dataset: Any
    image_size: int
    channels: int
    labels: np.ndarray | None
    class_names: tuple[str, ...] | None
    name: str
    value_range: valuerange.ValueRange | None = None

    @property
    def labelled(self) -> bool:
        """Whether there are labels."""
        return self.labels is not None

    @property
    def num_classes(self) -> int | None:
        """Number of classes; None without labels."""
        return None if self.class_names is None else len(self.class_names)

    @functools.cached_property
    def fingerprint(self) -> str:
        """sha256 of the number of examples, and of the pixels of 64 of them at even distances."""
        digest = hashlib.sha256(f"{len(self)}\0".encode())
        for row in np.linspace(0, len(self) - 1, min(_NUM_HASHED, len(self))).astype(int).tolist():
            try:
                pixels = _pixels(self.dataset[row])
                digest.update(f"{pixels.shape}{pixels.dtype.str}".encode() + pixels.tobytes())
            except (OSError, ValueError):
                digest.update(b"unreadable")
        return digest.hexdigest()

    def identities(self) -> Sequence[Hashable]:
        """The rows; of which object nobody can tell."""
        return [(self.name, self.fingerprint, row) for row in range(len(self))]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> source_lib.Record:
        shape = {"image_size": self.image_size, "channels": self.channels}
        return self._record(index, lambda image: transforms.fit_array(image[None], **shape)[0])

    def cropped(self, index: int, cut: crops.Cut) -> source_lib.Record:
        """The record of a row with crops of the whole image in its place."""
        return self._record(index, functools.partial(cut.of_array, channels=self.channels))

    def _record(
        self, index: int, fit: Callable[[np.ndarray], np.ndarray | cropping.Crops]
    ) -> source_lib.Record:
        try:
            pixels = bands.in_eight_bits(_pixels(self.dataset[index]), self.value_range)
            image = fit(pixels)
        except (OSError, ValueError) as error:
            raise source_lib.UnreadableError(f"{self.name}[{index}]", error) from error
        if self.labels is None:
            return {"image": image}
        return {"image": image, "label": int(self.labels[index])}


def from_dataset(
    dataset: Any,
    *,
    image_size: int,
    channels: int,
    labels: Sequence[int] | np.ndarray | None = None,
    class_names: Sequence[str] | None = None,
    value_range: valuerange.ValueRange | None = None,
    name: str = "dataset",
) -> ObjectSource:
    """A source of an object of your own with ``len(dataset)`` and ``dataset[row]``.

    An item is an image, or a tuple that begins with one, or a mapping with "image" or "img". An
    image is one of Pillow's, an array [H, W] or [H, W, C], the content of an image file, or its
    path. It is asked for by several threads, when it is needed: nothing random may be in it.

    Args:
        dataset: the object. Of one of torchvision's leave transforms out.
        image_size: S, pixels.
        channels: C; grey and RGB become each other, others (up to 32) are as they are.
        labels: integers [N], at least 0, or -1 where the class is unknown; None takes
            ``dataset.targets`` or ``dataset.labels``, where there are such.
        class_names: a name for each class; None: ``dataset.classes``, or the numbers.
        value_range: LOW HIGH, what is black and white, of arrays that are no uint8.
        name: for messages and reports.

    Returns:
        The source. Its records have uint8 [S, S, C] as "image", and "label".

    Raises:
        ValueError: an empty object, items without an image, or labels that cannot be.

    Example:
        >>> from PIL import Image
        >>> from jaxssl import data
        >>> pictures = [Image.new("RGB", (20, 10), colour) for colour in ("red", "blue")]
        >>> source = data.from_dataset(pictures, image_size=8, channels=3, labels=[0, 1])
        >>> source[1]["image"].shape, source[1]["label"]
        ((8, 8, 3), 1)
    """
    if not len(dataset):
        raise ValueError(f"from_dataset: {name} must have an item at least; got none.")
    try:
        bands.check(_pixels(dataset[0]).shape[-1], channels)
    except (OSError, ValueError) as error:
        raise ValueError(f"from_dataset: the first item of {name}: {error}.") from error
    if labels is None:
        labels = next((getattr(dataset, each) for each in _LABELS if hasattr(dataset, each)), None)
    if class_names is None:
        class_names = getattr(dataset, "classes", None)
    numbers, names = None, None
    if labels is not None:
        what = f"from_dataset: labels of {name}"
        checked = label_lib.check(np.asarray(labels), what, len(dataset))
        given = None if class_names is None else tuple(map(str, class_names))
        numbers, names = label_lib.number(checked, what, class_names=given, class_values=None)
    return ObjectSource(dataset, image_size, channels, numbers, names or None, name, value_range)


def _pixels(item: Any) -> np.ndarray:
    """The image of an item, [H, W, C].

    Raises:
        ValueError: there is none, or of no shape that an image has.
    """
    from PIL import Image

    if isinstance(item, Mapping):
        found = next((item[each] for each in _IMAGES if each in item), None)
        if found is None:
            raise ValueError(f'a mapping without "image", with {", ".join(map(str, item))}')
        item = found
    elif isinstance(item, tuple):
        item = item[0] if item else None
    if isinstance(item, (str, os.PathLike)):
        with open(item, "rb") as file:
            item = file.read()
    if isinstance(item, bytes):
        if bands.is_array(item):
            return bands.read(item)
        item = Image.open(io.BytesIO(item))
    if isinstance(item, Image.Image):
        is_deep = item.mode.startswith(("I", "F"))
        is_grey = item.mode in ("L", "1") or is_deep
        item = np.asarray(item if is_deep else transforms.to_mode(item, "L" if is_grey else "RGB"))
    pixels = np.asarray(item)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.dtype.kind not in "biuf" or pixels.ndim != 3 or 0 in pixels.shape:
        raise ValueError(
            "an image must be Pillow's, an array [H, W] or [H, W, C], the content of a file or its "
            f"path; got {type(item).__name__} of shape {list(pixels.shape)}"
        )
    if pixels.shape[0] in bands.COLOURS and pixels.shape[-1] > bands.MAX_CHANNELS:
        raise ValueError(
            f"channels come last; got an array {list(pixels.shape)}. Leave transforms such as "
            "ToTensor out"
        )
    return np.ascontiguousarray(pixels)
