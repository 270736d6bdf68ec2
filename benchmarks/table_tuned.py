"""Fine-tuning for the results table: an encoder, or its network from scratch, by few labels.

OUT/tuned-HEAD-S holds a run of ``jaxssl finetune`` for each of them, part of the labels and draw of
those. Its head reads the map as a grid of S x S cells, and begins as ``--head HEAD`` says; from
scratch it is new.
"""

import subprocess
import sys
from pathlib import Path

from jaxssl.evaluation import protocol


def tune(out, name, run, encoder, asked):
    """Fine-tunes what is not yet fine-tuned; returns what failed.

    Args:
        out: directory of the runs.
        name: what the runs are called after.
        run: whose encoder is fine-tuned.
        encoder: "trained", or "random": its network from scratch.
        asked: parts of the labels, how many draws of each, grid and head.
    """
    failed = []
    for fraction in asked.fine_tuned:
        for draw in range(asked.fine_tuned_draws):
            place = _folder(out, asked) / f"{name}-{fraction:g}-{draw}"
            if _accuracy(place) is not None:
                continue
            words = ("finetune", run, "--out", place, "--encoder", encoder)
            words += ("--fraction", fraction, "--draw", draw)
            words += ("--method.grid", asked.fine_tuned_grid)
            if encoder == "trained":
                words += ("--head", asked.fine_tuned_head)
            try:
                subprocess.run([sys.executable, "-m", "jaxssl", *map(str, words)], check=True)
            except subprocess.CalledProcessError as error:
                print(f"{place.name}: {error}", file=sys.stderr)
                failed.append(place.name)
    return failed


def measured(out, name, asked):
    """Test accuracies in percent by part of the labels, such as "1 %": one of each draw."""
    found = {}
    for place in sorted(_folder(out, asked).glob(f"{name}-*")):
        fraction, _, draw = place.name.removeprefix(f"{name}-").partition("-")
        accuracy = _accuracy(place)
        if accuracy is not None and draw.isdecimal():
            found.setdefault(f"{100 * float(fraction):g} %", []).append(accuracy)
    return found


def _folder(out, asked):
    return Path(out) / f"tuned-{asked.fine_tuned_head}-{asked.fine_tuned_grid}"


def _accuracy(place):
    """What a fine-tuned run reached, in percent; None before it has ended."""
    step = protocol.newest_step(place)
    for record in () if step is None else protocol.read(place, step):
        if record["protocol"]["evaluator"] == "finetune":
            return 100 * record["results"]["test_accuracy"]
    return None
