"""The picture of a segmentation: test images, their masks, and what each encoder made of them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxssl.evaluation import protocol
from jaxssl.report import canvas, plots
from jaxssl.report.page import Picture

_IMAGE = "-image.png"  # behind the number of a test image


def draw_segments(run: Path, step: int, out: Path) -> list[Picture]:
    """What ``jaxssl segment`` left of this step; nothing where it did not, or left no pictures.

    The trained encoder's latest layer, and beside it the others' masks of the same images.

    Args:
        run: run directory.
        step: of the encoder that is shown.
        out: where the picture goes.
    """
    found: dict[str, tuple[Mapping, Path]] = {}
    for record in protocol.read(run, step):
        folder = protocol.path(run, record["protocol"], record["subject"]).with_suffix("")
        if record["protocol"]["evaluator"] == "segmentation" and any(folder.glob(f"*{_IMAGE}")):
            found[record["subject"]["encoder"]] = record, folder
    if "trained" not in found:
        return []
    trained, folder = found["trained"]
    numbers = sorted(file.name.removesuffix(_IMAGE) for file in folder.glob(f"*{_IMAGE}"))
    columns = [
        (title, [_read(folder / f"{number}-{name}.png") for number in numbers])
        for title, name in (("test image", "image"), ("mask", "truth"))
    ]
    said = []
    for encoder in canvas.ENCODERS:
        if encoder not in found:
            continue
        own, place = found[encoder]
        files = [place / f"{number}-predicted.png" for number in numbers]
        is_same = _tested_on(own) == _tested_on(trained)
        if not (is_same and all(file.exists() for file in files)):
            continue
        columns.append((encoder, list(map(_read, files))))
        said.append(f"{encoder} {100 * own['results']['mean_iou']:.1f} %")
    plots.draw_grid([(title, np.stack(each)) for title, each in columns], out / "segments.svg")
    described = trained["protocol"]
    sentence = (
        f"A linear classifier of the cells of the frozen map ({described['layer']}) names every "
        f"pixel of {described['dataset']}. Mean intersection over union: {', '.join(said)}."
    )
    return [Picture("Segmentation", sentence, out / "segments.svg")]


def _tested_on(record: Mapping) -> str:
    return record["protocol"]["test_fingerprint"]


def _read(file: Path) -> np.ndarray:
    """uint8 [H, W, 3]; of a mask the colours of its classes."""
    from PIL import Image

    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))
