"""The options of every command: frozen dataclasses that tyro turns into flags and their help."""

import dataclasses
from pathlib import Path
from typing import Annotated, Generic, Literal

import tyro

from jaxssl.audit import audit
from jaxssl.evaluation import few_label, knn, linear, pooling, propagation
from jaxssl.evaluation import subject as subjects
from jaxssl.runs import recipe
from jaxssl.runs.recipe import D, E, M

RunDirectory = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]


@dataclasses.dataclass(frozen=True)
class Pretrain(Generic[M, E, D]):
    """Pretrains an encoder. The same command on the same --out resumes where it stopped.

    Attributes:
        out: run directory; gets config.json, metrics.jsonl and checkpoints/.
        recipe: what to run.
        coordinator: host:port of process 0, for a run of several processes.
        num_processes: processes of the run; with 0, the cluster's own variables decide (Slurm, TPU
            pod, Kubernetes).
        process_id: this process, from 0.
    """

    out: Path
    recipe: Annotated[recipe.Recipe[M, E, D], tyro.conf.arg(name="")]
    coordinator: str | None = None
    num_processes: int = 1
    process_id: int | None = None


@dataclasses.dataclass(frozen=True)
class LinearEval:
    """Fits a linear classifier to frozen features, to convergence; writes RUN/evaluation/.

    Attributes:
        run: run directory.
        subject: what is evaluated.
        options: the protocol of the probe.
    """

    run: RunDirectory
    subject: Annotated[subjects.Subject, tyro.conf.arg(name="")] = subjects.Subject()
    options: Annotated[linear.LinearConfig, tyro.conf.arg(name="")] = linear.LinearConfig()


@dataclasses.dataclass(frozen=True)
class KnnEval:
    """Classifies by the nearest neighbours of frozen features; writes RUN/evaluation/.

    Attributes:
        run: run directory.
        subject: what is evaluated.
        options: the protocol of the vote.
    """

    run: RunDirectory
    subject: Annotated[subjects.Subject, tyro.conf.arg(name="")] = subjects.Subject()
    options: Annotated[knn.KnnConfig, tyro.conf.arg(name="")] = knn.KnnConfig()


@dataclasses.dataclass(frozen=True)
class FewLabel:
    """Linear evaluation with few labels, of several encoders; writes RUN/evaluation/.

    Attributes:
        run: run directory.
        encoders: of trained, random, pixels, pca.
        seeds: random encoders are drawn once with each, into a file each.
        step: checkpoint; the newest by default.
        data_path: where the data set is, if not where pretraining found it.
        train_split: what labels are drawn from; by default what pretraining learned from, or train
            where that holds the test images.
        test_split: what is predicted; by default the test split of the run.
        stages: measure every stage or block too, and let cross-validation choose.
        grid: average the maps of networks over a grid of so many cells a side; auto takes the
            finest that leaves max-features.
        max_features: features of a layer at most with --grid auto.
        options: budgets, draws and the protocol of the fits.
    """

    run: RunDirectory
    encoders: tuple[subjects.EncoderKind, ...] = ("trained", "random", "pca", "pixels")
    seeds: tuple[int, ...] = (0,)
    step: int | None = None
    data_path: str | None = None
    train_split: str | None = None
    test_split: str | None = None
    stages: bool = True
    grid: int | Literal["auto"] | None = "auto"
    max_features: int = pooling.MAX_FEATURES
    options: Annotated[few_label.FewLabelConfig, tyro.conf.arg(name="")] = (
        few_label.FewLabelConfig()
    )

    def subjects(self) -> list[subjects.Subject]:
        """What is evaluated, in order."""
        return _subjects(self, ("stages", "grid", "max_features"))


@dataclasses.dataclass(frozen=True)
class EvaluateAll:
    """Several evaluations of several encoders; the features of each are extracted once.

    Attributes:
        run: run directory.
        encoders: of trained, random, pixels, pca.
        evaluators: of linear, knn, few-label.
        seeds: random encoders are drawn once with each, into a file each.
        step: checkpoint; the newest by default.
        data_path: where the data set is, if not where pretraining found it.
        train_split: what probes are fitted to; by default what pretraining learned from, or train
            where that holds the test images.
        test_split: what is predicted; by default the test split of the run.
        stages: measure every stage or block too, beside the pooled features.
        grid: average the maps of networks over a grid of so many cells a side; auto takes the
            finest that leaves max-features.
        max_features: features of a layer at most with --grid auto.
        class_tokens: of ViTs, the class tokens of so many last blocks, concatenated (DINO).
        patch_mean: with the mean of the patch tokens behind the class tokens.
        probe: the protocol of the linear probe.
        vote: the protocol of the nearest neighbours.
        few: the protocol of few labels.
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    encoders: tuple[subjects.EncoderKind, ...] = ("trained", "random", "pca", "pixels")
    evaluators: tuple[Literal["linear", "knn", "few-label"], ...] = ("linear", "knn")
    seeds: tuple[int, ...] = (0,)
    step: int | None = None
    data_path: str | None = None
    train_split: str | None = None
    test_split: str | None = None
    stages: bool = True
    grid: int | Literal["auto"] | None = None
    max_features: int = pooling.MAX_FEATURES
    class_tokens: int | None = None
    patch_mean: bool = False
    probe: linear.LinearConfig = linear.LinearConfig()
    vote: knn.KnnConfig = knn.KnnConfig()
    few: few_label.FewLabelConfig = few_label.FewLabelConfig()

    def subjects(self) -> list[subjects.Subject]:
        """What is evaluated, in order."""
        return _subjects(self, ("stages", "grid", "max_features", "class_tokens", "patch_mean"))


@dataclasses.dataclass(frozen=True)
class Report:
    """Draws a run: what the task looks like, the training curve, neighbours, accuracies.

    Attributes:
        run: run directory.
        data_path: where the data set is, if not where pretraining found it.
    """

    run: RunDirectory
    data_path: str | None = None


@dataclasses.dataclass(frozen=True)
class AuditRun:
    """Audits a run: is its pretext task solvable, by no shortcut, and useful?

    Attributes:
        run: run directory.
        step: checkpoint; the newest by default.
        data_path: where the data set is, if not where pretraining found it.
        out: directory for audit.json and audit.png; RUN/audit by default.
        strict: exit status 1 where a shortcut is found.
        options: how much is measured, and what counts.
    """

    run: RunDirectory
    step: int | None = None
    data_path: str | None = None
    out: Path | None = None
    strict: bool = False
    options: Annotated[audit.Options, tyro.conf.arg(name="")] = audit.Options()


@dataclasses.dataclass(frozen=True)
class AuditConfig(Generic[M, E, D]):
    """Audits a recipe before it is trained: what do cheap cues know of the answers?

    Attributes:
        recipe: whose questions are asked.
        out: directory for audit.json and audit.png; nothing is written without one.
        strict: exit status 1 where a shortcut is found.
        options: how much is measured, and what counts.
    """

    recipe: Annotated[recipe.Recipe[M, E, D], tyro.conf.arg(name="")]
    out: Path | None = None
    strict: bool = False
    options: Annotated[audit.Options, tyro.conf.arg(name="")] = audit.Options()


@dataclasses.dataclass(frozen=True)
class Propagate:
    """Carries colours, or a mask, of a video's first frame through it; writes RUN/propagation/.

    Attributes:
        run: run directory.
        video: a video file.
        mask: image of one channel, each value a class, for the first frame.
        step: checkpoint; the newest by default.
        options: how the video is read and what is pointed at.
    """

    run: RunDirectory
    video: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="VIDEO")]
    mask: Path | None = None
    step: int | None = None
    options: Annotated[propagation.PropagationConfig, tyro.conf.arg(name="")] = (
        propagation.PropagationConfig()
    )


@dataclasses.dataclass(frozen=True)
class Prepare:
    """Turns a folder of images, an .npz file or IDX files into a sharded TFDS data set.

    Attributes:
        source: what to read.
        out_dir: new directory; its last part is the name of the data set.
        channels: 3 for RGB, 1 for grey.
        num_threads: threads that read and check images.
    """

    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SOURCE")]
    out_dir: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT_DIR")]
    channels: int = 3
    num_threads: int = 8


def _subjects(options: FewLabel | EvaluateAll, layers: tuple[str, ...]) -> list[subjects.Subject]:
    """The encoders of a command, a random one for each seed; ``layers`` are options of networks."""
    shared = ("step", "data_path", "train_split", "test_split")
    found = []
    for encoder in options.encoders:
        names = (*shared, *layers) if encoder in subjects.NETWORKS else shared
        fields = {name: getattr(options, name) for name in names}
        for seed in options.seeds if encoder == "random" else (0,):
            found.append(subjects.Subject(encoder, weights_seed=seed, **fields))
    return found
