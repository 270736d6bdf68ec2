"""Pictures of what a run logged while it trained: ``RUN/metrics.jsonl``."""

from pathlib import Path

from jaxssl.report import curves
from jaxssl.report.page import Picture
from jaxssl.runs.directory import RunDirectory
from jaxssl.training import writers


def draw_curve(run: Path, out: Path) -> Picture:
    """The training curve of ``RUN/metrics.jsonl``."""
    title = "Training curve"
    path = RunDirectory(run).metrics
    rows = writers.read(path) if path.exists() else []
    if not rows:
        return Picture(title, f"no rows in {path} yet; jaxssl pretrain writes them.", None)
    curves.draw_training_curve(rows, out / "curve.png")
    sentence = "Means over the steps since the row before, as logged while training."
    return Picture(title, sentence, out / "curve.png")


def draw_collapse(run: Path, out: Path) -> list[Picture]:
    """What ``RUN/metrics.jsonl`` measured beside the loss; nothing where it did not."""
    path = RunDirectory(run).metrics
    rows = writers.read(path) if path.exists() else []
    if not curves.is_measured(rows):
        return []
    curves.draw_collapse_curves(rows, out / "collapse.png")
    sentence = (
        "Whether the embeddings that the loss compares, and the encoder's features, still differ "
        "between images: spread near 0 or rank near 1 is a collapse, however low the loss."
    )
    return [Picture("Collapse", sentence, out / "collapse.png")]
