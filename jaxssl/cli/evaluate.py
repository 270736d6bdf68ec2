"""``evaluate RUN``: several evaluations, of the trained encoder and of baselines."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal

from jaxssl import pooling
from jaxssl.cli import arguments, encoders, printing
from jaxssl.evaluation import (
    clustering,
    evaluate,
    few_label,
    knn,
    linear,
    preparation,
    retrieval,
    robustness,
)
from jaxssl.evaluation import subject as subjects

Evaluator = Literal["linear", "knn", "few-label", "retrieval", "clustering", "robustness"]


@dataclasses.dataclass(frozen=True)
class EvaluateAll:
    """Several evaluations of several encoders; the features of each are extracted once.

    Attributes:
        run: run directory.
        encoders: of trained, random, pixels, pca, of texts trained, random, counts; all of them if
            left out.
        evaluators: of linear, knn, few-label, retrieval, clustering, robustness (of the trained
            encoder's probe, which linear keeps).
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
        ranking: the protocol of retrieval.
        clusters: the protocol of clustering.
        robust: the protocol of robustness.
    """

    run: arguments.RunPath
    encoders: tuple[subjects.EncoderKind, ...] | None = None
    evaluators: tuple[Evaluator, ...] = ("linear", "knn")
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
    ranking: retrieval.RetrievalConfig = retrieval.RetrievalConfig()
    clusters: clustering.ClusteringConfig = clustering.ClusteringConfig()
    robust: robustness.RobustnessConfig = robustness.RobustnessConfig()

    def subjects(self) -> list[subjects.Subject]:
        """What is evaluated, in order."""
        return encoders.list_subjects(
            self, ("stages", "grid", "max_features", "class_tokens", "patch_mean")
        )


def run(words: Sequence[str]) -> None:
    """``jaxssl evaluate RUN``."""
    options = arguments.parse(EvaluateAll, words, prog="jaxssl evaluate")
    evaluators: dict[str, tuple[Callable, Any, Callable]] = {
        "linear": (evaluate.linear_eval, options.probe, printing.print_linear),
        "knn": (evaluate.knn_eval, options.vote, printing.print_knn),
        "few-label": (evaluate.few_label_eval, options.few, printing.print_few_label),
        "retrieval": (evaluate.retrieval_eval, options.ranking, printing.print_retrieval),
        "clustering": (evaluate.clustering_eval, options.clusters, printing.print_clustering),
        "robustness": (evaluate.robustness_eval, options.robust, printing.print_robustness),
    }
    records = []
    chosen = options.subjects()
    any_trained = any(subject.encoder == "trained" for subject in chosen)
    for subject in chosen:
        # Of several encoders one has a probe that is kept.
        left_out = any_trained and subject.encoder != "trained"
        names = [name for name in options.evaluators if name != "robustness" or not left_out]
        if not names:
            continue
        prepared = preparation.prepare(options.run, subject)
        for name in names:
            measure, protocol, show = evaluators[name]
            records.append(measure(options.run, subject, protocol, prepared))
            show(records[-1])
    printing.print_remarks(records)
