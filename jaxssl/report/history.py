"""Pictures of what a run logged while it trained: ``RUN/metrics.jsonl``."""

import json
from pathlib import Path

from jaxssl import collapse
from jaxssl.report import curves, online_curves
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
    curves.draw_training_curve(rows, out / "curve.svg")
    sentence = "Means over the steps since the row before, as logged while training."
    first, last = rows[0], rows[-1]
    seen = (
        f"Curves of the loss, from {first['loss']:.4g} at step {first['step']:,} to "
        f"{last['loss']:.4g} at step {last['step']:,}, of the method's own metrics and of the "
        "learning rate."
    )
    return Picture(title, sentence, out / "curve.svg", seen)


def draw_collapse(run: Path, out: Path) -> list[Picture]:
    """What ``RUN/metrics.jsonl`` measured beside the loss; nothing where it did not."""
    path = RunDirectory(run).metrics
    rows = writers.read(path) if path.exists() else []
    if not curves.is_measured(rows):
        return []
    curves.draw_collapse_curves(rows, out / "collapse.svg")
    sentence = (
        "Whether the embeddings that the loss compares, and the encoder's features, still differ "
        "between images: spread near 0 or rank near 1 is a collapse, however low the loss."
    )
    last: dict[str, float] = {}
    for row in rows:
        last |= {name: value for name, value in row.items() if name.startswith(collapse.PREFIX)}
    values = (
        f"{name.removeprefix(collapse.PREFIX).replace('_', ' ')} {value:.3g}"
        for name, value in last.items()
    )
    seen = f"Curves by step of what was measured; at the end {', '.join(values)}."
    return [Picture("Collapse", sentence, out / "collapse.svg", seen)]


def draw_online(run: Path, out: Path) -> list[Picture]:
    """What probes learned beside the encoder; nothing where none did."""
    directory = RunDirectory(run)
    rows = writers.read(directory.metrics) if directory.metrics.exists() else []
    if not online_curves.is_probed(rows):
        return []
    online_curves.draw_online_curves(rows, out / "online.svg")
    sentence = (
        "Online: judged while the encoder learned, by probes that see labels and that the encoder "
        "does not feel. They lag behind it and are fitted to less; the accuracies to quote are "
        "those of the evaluation below."
    )
    if directory.online_about.exists():
        about = json.loads(directory.online_about.read_text())
        which = ", the test split, by which nothing may be chosen" if about["is_test"] else ""
        sentence += f" Images judged: {about['num_judged']:,} of {about['split']}{which}."
    return [Picture("Online probes", sentence, out / "online.svg")]
