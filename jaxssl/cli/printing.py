"""What the evaluating commands print: a line for each accuracy, warnings on stderr."""

import sys
from collections.abc import Iterable

from jaxssl.evaluation import classes, transfer


def print_linear(record: dict) -> None:
    """The accuracies of a linear probe, and which did not converge."""
    for layer, results in _by_layer(record):
        print(f"linear {layer}: {_percent(results, 'test_accuracy')} (l2 {results['l2']:g})")
        if not results["converged"]:
            print(
                f"jaxssl: the probe of {layer} did not converge; raise its max-iterations",
                file=sys.stderr,
            )
    if best := record["results"].get("best"):
        print(
            f"linear {_encoder(record)}, best of {best['chosen_from']} by held-out accuracy "
            f"({100 * best['holdout_accuracy']:.2f} %): {best['layer']}, "
            f"{_percent(best, 'test_accuracy')}"
        )


def print_knn(record: dict) -> None:
    """The accuracies of nearest neighbours, each k of a layer on one line."""
    for layer, results in _by_layer(record):
        accuracies = ", ".join(
            f"{name} {_percent(result, 'accuracy')}"
            for name, result in results.items()
            if name.startswith("k=")
        )
        print(f"kNN {layer}: {accuracies}")


def print_retrieval(record: dict) -> None:
    """How well classes are retrieved, each layer on one line."""
    for layer, results in _by_layer(record):
        recalls = ", ".join(
            f"recall@{name.removeprefix('k=')} {100 * result['recall']:.2f} %, precision "
            f"{100 * result['precision']:.2f} %"
            for name, result in results.items()
            if name.startswith("k=")
        )
        print(f"retrieval {layer}: mAP {_percent(results, 'mean_average_precision')}, {recalls}")


def print_clustering(record: dict) -> None:
    """How clusters and classes agree, each layer on one line."""
    for layer, results in _by_layer(record):
        print(
            f"clustering {layer}: NMI {results['nmi']:.4f}, ARI {results['ari']:.4f}, "
            f"{100 * results['accuracy']:.2f} % by assignment ({results['num_clusters']} clusters)"
        )


def print_robustness(record: dict) -> None:
    """Accuracies under corruption, each kind on one line from weak to strong."""
    encoder, results = _encoder(record), record["results"]
    print(f"robustness {encoder}, as they are: {_percent(results['clean'], 'accuracy')}")
    for kind, measured in results["kinds"].items():
        accuracies = ", ".join(f"{100 * each['accuracy']:.2f} %" for each in measured)
        print(f"robustness {encoder}, {kind}: {accuracies}")
    if results["mean_accuracy"] is not None:
        mean = f"{100 * results['mean_accuracy']:.2f} %"
        print(f"robustness {encoder}, mean without rotation: {mean}")


def print_segmentation(record: dict) -> None:
    """How masks overlap: the mean, and each class."""
    results = record["results"]
    where = f"segmentation {_encoder(record)}, {results['layer']}"
    print(
        f"{where}: mIoU {100 * results['mean_iou']:.2f} % ± {100 * results['half_width']:.2f}, "
        f"pixel accuracy {100 * results['pixel_accuracy']:.2f} % "
        f"({100 * results['majority_accuracy']:.2f} % by one class everywhere)"
    )
    of_classes = (
        f"{name} {100 * value:.1f}"
        for name, value in results["class_iou"].items()
        if value is not None
    )
    print(f"{where}, IoU by class: {', '.join(of_classes)} %")


def print_few_label(record: dict) -> None:
    """The accuracies with few labels, and which fits did not converge."""
    draws = record["protocol"]["draws"]
    for name, best in record["results"]["best"].items():
        spread = "" if best["half_width"] is None else f" ± {100 * best['half_width']:.2f}"
        print(
            f"few labels {_encoder(record)}, {name}: {100 * best['test_accuracy']:.2f} %{spread}"
            f"{_known(best)} ({draws} draws; {best['layer']}, {best['num_features']:,} features)"
        )
    for layer, budgets in record["results"]["layers"].items():
        for name, budget in budgets.items():
            if not all(draw["converged"] for draw in budget["draws"]):
                print(
                    f"jaxssl: a fit of {layer} to {name} did not converge; raise max-iterations",
                    file=sys.stderr,
                )


def print_remarks(records: Iterable[dict]) -> None:
    """From which data to which, and which classes only one of the splits has; all said once."""
    records = list(records)
    # The first of an encoder says all that those of pixels say.
    moved = next((said for record in records if (said := transfer.sentence(record))), "")
    if moved:
        print(moved)
    found = [sentence for record in records for sentence in classes.sentences(record)]
    for sentence in dict.fromkeys(found):
        print(f"jaxssl: {sentence}", file=sys.stderr)


def _by_layer(record: dict) -> list[tuple[str, dict]]:
    """Names and results in the order of printing: stages, then the layer asked for."""
    encoder, results = _encoder(record), record["results"]
    main = encoder if results["layer"] == "pooled" else f"{encoder}, {results['layer']}"
    stages = [each for each in results.get("stages", ()) if each["layer"] != results["layer"]]
    return [*((f"{encoder}, {each['layer']}", each) for each in stages), (main, results)]


def _encoder(record: dict) -> str:
    """The encoder, a random one after the first with its seed."""
    seed = record["subject"].get("weights_seed", 0)
    return record["subject"]["encoder"] + (f" (seed {seed})" if seed else "")


def _percent(results: dict, name: str) -> str:
    return f"{100 * results[name]:.2f} % ± {100 * results['half_width']:.2f}{_known(results)}"


def _known(results: dict) -> str:
    """The accuracy over known classes, where there are others."""
    if "known" not in results:
        return ""
    return f", {100 * results['known']['accuracy']:.2f} % over known classes"
