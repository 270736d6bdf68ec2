"""Images with a mask of classes each: the made canvases, or folders of images and masks."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np

from jaxssl import words
from jaxssl.data import canvases, imagefiles, layout, masks, transforms

IGNORED = 255  # value of a mask whose pixels do not count, as in PASCAL VOC and ADE20K
IMAGES, MASKS = "images", "masks"
CLASSES = "classes.txt"


@dataclasses.dataclass(frozen=True, eq=False)
class MaskedImages:
    """One split, in memory.

    Attributes:
        name: where it comes from.
        images: uint8 [N, S, S, C].
        masks: uint8 [N, S, S], the class of each pixel, or ``IGNORED``.
        class_names: of the classes from 0; None where masks have numbers alone.
        fingerprint: sha256 of images and masks.
    """

    name: str
    images: np.ndarray = dataclasses.field(repr=False)
    masks: np.ndarray = dataclasses.field(repr=False)
    class_names: tuple[str, ...] | None

    @property
    def fingerprint(self) -> str:
        """Sha256 of what is read, at its size."""
        digest = hashlib.sha256()
        for part in (self.images, self.masks):
            digest.update(f"{part.shape}".encode())
            digest.update(np.ascontiguousarray(part))  # type: ignore[arg-type]
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.images)


def open_masked(path: str, split: str, *, image_size: int | None, channels: int) -> MaskedImages:
    """Opens one split of images with masks.

    A folder holds SPLIT/images/NAME.EXT and SPLIT/masks/NAME.png, and maybe classes.txt, the names
    of the classes from 0, a line each. Both are resized by their short side and cropped in the
    centre, masks without mixing.

    Args:
        path: ``canvases.NAME``, or a folder.
        split: usually train or test.
        image_size: S, pixels; None: of canvases their own.
        channels: C, 1 or 3.

    Raises:
        FileNotFoundError: no such folder, split, or mask.
        ValueError: a folder of something else, without a size, or of files that cannot be read, or
            a class without a name.
    """
    if path == canvases.NAME:
        images, found, names = canvases.open_split(split)
        size = image_size or canvases.SIDE
        if size != images.shape[1]:
            raise ValueError(
                f"segment: --image-size must be {canvases.SIDE} for {canvases.NAME}, whose masks "
                f"are exact; got {size}. Leave it out."
            )
        images = transforms.fit_array(images[..., None], image_size=size, channels=channels)
        return MaskedImages(path, images, found, names)
    root = Path(path).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(
            f"segment: --data-path must be {canvases.NAME} or a folder of images and masks; got "
            f"{words.printable(path)}, which is no folder."
        )
    if image_size is None:
        raise ValueError(f"segment: --image-size must be given for a folder; got {root} alone.")
    return _open_folder(root, split, image_size, channels)


def _open_folder(root: Path, split: str, size: int, channels: int) -> MaskedImages:
    place = _split_folder(root, split)
    files = [file for file in sorted((place / IMAGES).iterdir()) if layout.is_image(file.name)]
    if not files:
        raise ValueError(f"segment: {place / IMAGES} must hold images; got none.")
    wanted = [place / MASKS / f"{file.stem}.png" for file in files]
    for file, mask in zip(files, wanted):
        if not mask.is_file():
            raise FileNotFoundError(
                f"segment: every image must have a mask; got {file.name} without {mask}."
            )
    pairs = [_read(*each, size, channels) for each in zip(files, wanted)]
    images, found = map(np.stack, zip(*pairs))
    return MaskedImages(words.printable(str(root)), images, found, _names(root, found))


def _read(file: Path, mask: Path, size: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """An image [S, S, C] and its mask [S, S]."""
    try:
        with imagefiles.opened(file.read_bytes()) as opened:
            image = imagefiles.upright(opened)
            fitted = transforms.fit(image, image_size=size, channels=channels)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"segment: {words.printable(str(file))} must be a readable image; got {error}. Save it "
            "anew, or take it out with its mask."
        ) from error
    return fitted, masks.read(mask, size, what=f"segment: {mask}", like=image.size)


def _split_folder(root: Path, split: str) -> Path:
    """The folder of a split, which holds images/ and masks/."""
    by_split = {
        layout.split_of(each.name) or each.name: each for each in root.iterdir() if each.is_dir()
    }
    place = by_split.get(layout.split_of(split) or split)
    if place is None or not all((place / name).is_dir() for name in (IMAGES, MASKS)):
        raise FileNotFoundError(
            f"segment: {root} must hold {split}/{IMAGES}/ and {split}/{MASKS}/; got "
            f"{', '.join(sorted(by_split)) or 'no folder'}. A mask has the name of its image, and "
            "is a PNG of one channel."
        )
    return place


def _names(root: Path, found: np.ndarray) -> tuple[str, ...] | None:
    """The names of the classes, of which there must be enough."""
    if not (root / CLASSES).is_file():
        return None
    names = tuple((root / CLASSES).read_text(encoding="utf-8").split("\n"))
    names = tuple(name.strip() for name in names if name.strip())
    highest = int(found[found != IGNORED].max(initial=0))
    if highest >= len(names):
        raise ValueError(
            f"segment: {root / CLASSES} must name every class, {highest + 1} at least; got "
            f"{len(names)} lines. Pixels that do not count are {IGNORED}."
        )
    return names
