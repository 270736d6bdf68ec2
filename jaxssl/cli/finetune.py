"""``finetune RUN --out DIR``: teach the encoder of a run the classes; the same command resumes."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Generic

import tyro

from jaxssl.cli import arguments, console, option_names, view_sizes
from jaxssl.runs import classifier, finetune, pretrain, recipe
from jaxssl.runs.recipe import D, E, Labels, M


@dataclasses.dataclass(frozen=True)
class Finetune(Generic[M, E, D]):
    """Trains the encoder of a run and a linear head by the labels of its data, then tests both.

    The same command on the same --out resumes where it stopped.

    Attributes:
        out: run directory; gets what that of pretrain gets, and the test accuracy.
        recipe: what to run.
        encoder: what it begins with; "random" is the supervised baseline.
        head: what the head begins with: random weights (new), or a linear probe, so that the
            network begins with its answers: the one that linear-eval kept of the same images, of
            few labels the one that few-label fits to them. Left out it is the last, of a trained
            encoder with few labels; else new.
        fraction: keep the labels of this part of every class alone.
        per_class: keep so many labels of every class alone.
        draw: which ones, with fraction or per-class: those of this draw of few-label.
        step: which checkpoint of the run; the newest if left out.
    """

    out: Path
    recipe: Annotated[recipe.Recipe[M, E, D], tyro.conf.arg(name="")]
    encoder: finetune.Weights = "trained"
    head: finetune.Head | None = None
    fraction: float | None = None
    per_class: int | None = None
    draw: int = 0
    step: int | None = None

    def unused(self) -> dict[str, str]:
        """What asks for another option to be there, or for none."""
        unused = {}
        if self.fraction is None and self.per_class is None:
            unused["draw"] = "it takes --fraction or --per-class too"
        if self.fraction is not None:
            unused["per_class"] = "--fraction says how many labels there are"
        if self.encoder == "random":
            unused["step"] = "a random encoder has no checkpoint"
            unused["head"] = "a random encoder has no probe"
        return unused

    @property
    def labels(self) -> Labels | None:
        """The few that are kept."""
        if self.fraction is None and self.per_class is None:
            return None
        return Labels(self.per_class, self.fraction, self.draw)


def run(words: Sequence[str]) -> None:
    """``jaxssl finetune RUN --out DIR [--field value …]``."""
    if not words or words[0].startswith("-"):
        raise option_names.UsageError(
            "finetune: must be followed by a run directory: jaxssl finetune RUN --out DIR. The "
            "options are those of its recipe: jaxssl finetune RUN --help."
        )
    name, *overrides = words
    typed = option_names.typed(overrides)
    asked_step = typed.get("step", "")
    step = int(asked_step) if asked_step.isdecimal() else None
    default = finetune.recipe_of(Path(name), step, typed.get("data.path"))
    sizes = view_sizes.following(default, overrides)
    options = arguments.parse(
        arguments.bound(Finetune, default.method, default.encoder, default.data),
        [*overrides, *sizes],
        prog=f"jaxssl finetune {name}",
        default=Finetune(out=tyro.MISSING, recipe=default),
        usual=arguments.USUAL,
    )
    asked = finetune.settle(options.recipe, options.encoder, options.head, options.labels, typed)
    shown = console.literal()
    if sizes:
        shown.out(view_sizes.describe(sizes, overrides), highlight=False)
    outcome = pretrain.run(asked, options.out, shown)
    if outcome.step == outcome.total_steps:
        measured = classifier.measure(options.out)
        found, described = measured["results"], measured["protocol"]
        print(
            f"fine-tuned: {100 * found['test_accuracy']:.2f} % ± {100 * found['half_width']:.2f} "
            f"of {described['test_size']:,} test images, after {described['train_size']:,} labels"
        )
