"""The options of every command: frozen dataclasses that tyro turns into flags and their help."""

import dataclasses
from pathlib import Path
from typing import Annotated, Generic

import tyro

from jaxssl import recipe
from jaxssl.audit import audit
from jaxssl.evaluation import evaluate, knn, linear, propagation
from jaxssl.recipe import E, M

RunDirectory = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]


@dataclasses.dataclass(frozen=True)
class Pretrain(Generic[M, E]):
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
    recipe: Annotated[recipe.Recipe[M, E], tyro.conf.arg(name="")]
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
    subject: Annotated[evaluate.Subject, tyro.conf.arg(name="")] = evaluate.Subject()
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
    subject: Annotated[evaluate.Subject, tyro.conf.arg(name="")] = evaluate.Subject()
    options: Annotated[knn.KnnConfig, tyro.conf.arg(name="")] = knn.KnnConfig()


@dataclasses.dataclass(frozen=True)
class EvaluateAll:
    """Linear and kNN evaluation of several encoders; the features of each are extracted once.

    Attributes:
        run: run directory.
        encoders: of trained, random, pixels, pca.
        step: checkpoint; the newest by default.
        data_path: where the data set is, if not where pretraining found it.
        stages: measure every stage or block too, beside the pooled features.
        probe: the protocol of the linear probe.
        vote: the protocol of the nearest neighbours.
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    encoders: tuple[evaluate.EncoderKind, ...] = ("trained", "random", "pca", "pixels")
    step: int | None = None
    data_path: str | None = None
    stages: bool = True
    probe: linear.LinearConfig = linear.LinearConfig()
    vote: knn.KnnConfig = knn.KnnConfig()


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
class AuditConfig(Generic[M, E]):
    """Audits a recipe before it is trained: what do cheap cues know of the answers?

    Attributes:
        recipe: whose questions are asked.
        out: directory for audit.json and audit.png; nothing is written without one.
        strict: exit status 1 where a shortcut is found.
        options: how much is measured, and what counts.
    """

    recipe: Annotated[recipe.Recipe[M, E], tyro.conf.arg(name="")]
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
