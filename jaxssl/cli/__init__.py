"""The command line: argv → config → one call."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import jax
import tyro
from rich.console import Console

import jaxssl
from jaxssl import cpu, data, report
from jaxssl.audit import audit, picture, table
from jaxssl.cli import arguments, commands
from jaxssl.collapse.policy import CollapsedError
from jaxssl.evaluation import evaluate, preparation, propagation, summary
from jaxssl.report import plots
from jaxssl.runs import pretrain as pretraining
from jaxssl.runs import recipe
from jaxssl.training.rows import DivergedError

USAGE = """usage: jaxssl COMMAND ...

  pretrain CONFIG --out DIR      train an encoder; the same command again resumes
  linear-eval RUN                accuracy of a linear classifier on the frozen features
  knn-eval RUN                   accuracy of their nearest neighbours
  evaluate RUN                   several of these, for the trained encoder and for baselines
  few-label RUN                  accuracy with 1, 5, 10, 100 labels a class, 1 % and 10 % of them
  report RUN                     pictures of a run: views, curve, neighbours, accuracies
  audit CONFIG_OR_RUN            is the pretext task solvable, free of shortcuts, and useful?
  propagate RUN VIDEO            colours or a mask of the first frame, carried through a video
  prepare SOURCE OUT_DIR         images or arrays to a sharded TFDS data set

jaxssl COMMAND --help lists a command's options."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status.

    0: done, or stopped by a signal and saved; 1: the run failed, or audit --strict found a
    shortcut; 2: wrong input; 130: interrupted.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    calls = {
        "pretrain": pretrain,
        "linear-eval": linear_eval,
        "knn-eval": knn_eval,
        "evaluate": evaluate_all,
        "few-label": few_label,
        "report": draw_report,
        "audit": run_audit,
        "propagate": propagate,
        "prepare": prepare,
    }
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if argv else 2
    if argv[0] == "--version":
        print(jaxssl.__version__)
        return 0
    cpu.tune()
    try:
        if argv[0] not in calls:
            raise arguments.UsageError(
                f"{argv[0]}: no such command; the commands are {', '.join(calls)}."
            )
        return calls[argv[0]](argv[1:]) or 0
    except (DivergedError, CollapsedError) as error:
        return _failed(error, 1)
    except (ValueError, TypeError, OSError, ImportError) as error:
        return _failed(error, 2)
    except KeyboardInterrupt:
        print("jaxssl: interrupted", file=sys.stderr)
        return 130


def pretrain(words: Sequence[str]) -> None:
    """``jaxssl pretrain CONFIG --out DIR [--field value …]``."""
    if words and words[0] in ("-h", "--help"):
        words = ["simclr_fashion_mnist", "--help"]
    if not words or words[0].startswith("-"):
        raise arguments.UsageError(
            "pretrain: must be followed by a config; the shipped ones are "
            f"{', '.join(sorted(p.stem for p in recipe.shipped_directory().glob('[!_]*.py')))}."
        )
    name, *overrides = words
    default = recipe.load(name)
    # Narrowed to the config's own method and encoder, so that each of their fields is an option.
    options = arguments.parse(
        commands.Pretrain[type(default.method), type(default.encoder), type(default.data)],
        overrides,
        prog=f"jaxssl pretrain {name}",
        default=commands.Pretrain(out=tyro.MISSING, recipe=default),
    )
    _join_processes(options)
    pretraining.run(options.recipe, options.out, Console(quiet=jax.process_index() > 0))


def linear_eval(words: Sequence[str]) -> None:
    """``jaxssl linear-eval RUN``."""
    options = arguments.parse(commands.LinearEval, words, prog="jaxssl linear-eval")
    _print_linear(evaluate.linear_eval(options.run, options.subject, options.options))


def knn_eval(words: Sequence[str]) -> None:
    """``jaxssl knn-eval RUN``."""
    options = arguments.parse(commands.KnnEval, words, prog="jaxssl knn-eval")
    _print_knn(evaluate.knn_eval(options.run, options.subject, options.options))


def evaluate_all(words: Sequence[str]) -> None:
    """``jaxssl evaluate RUN``."""
    options = arguments.parse(commands.EvaluateAll, words, prog="jaxssl evaluate")
    evaluators = {
        "linear": (evaluate.linear_eval, options.probe, _print_linear),
        "knn": (evaluate.knn_eval, options.vote, _print_knn),
        "few-label": (evaluate.few_label_eval, options.few, _print_few_label),
    }
    for subject in options.subjects():
        prepared = preparation.prepare(options.run, subject)
        for name in options.evaluators:
            measure, protocol, show = evaluators[name]
            show(measure(options.run, subject, protocol, prepared))


def few_label(words: Sequence[str]) -> None:
    """``jaxssl few-label RUN``."""
    options = arguments.parse(commands.FewLabel, words, prog="jaxssl few-label")
    for subject in options.subjects():
        _print_few_label(evaluate.few_label_eval(options.run, subject, options.options))


def draw_report(words: Sequence[str]) -> None:
    """``jaxssl report RUN``."""
    options = arguments.parse(commands.Report, words, prog="jaxssl report")
    paths = report.draw(options.run, data_path=options.data_path)
    print(*paths, sep="\n")
    for path in paths:
        if path.name == report.SUMMARY:
            found = json.loads(path.read_text())
            print("", *summary.table(found), summary.sentence(found), sep="\n")


def run_audit(words: Sequence[str]) -> int:
    """``jaxssl audit CONFIG_OR_RUN``; a directory is a run, everything else a config."""
    if words and words[0] in ("-h", "--help"):
        words = ["simclr_fashion_mnist", "--help"]
    if not words or words[0].startswith("-"):
        raise arguments.UsageError("audit: must be followed by a config or a run directory.")
    name, *overrides = words
    if Path(name).is_dir():
        options = arguments.parse(commands.AuditRun, words, prog="jaxssl audit")
        record = audit.audit_run(
            options.run,
            options.options,
            step=options.step,
            data_path=options.data_path,
            out=options.out,
        )
        out = options.out or options.run / "audit"
    else:
        default = recipe.load(name)
        options = arguments.parse(
            commands.AuditConfig[type(default.method), type(default.encoder), type(default.data)],
            overrides,
            prog=f"jaxssl audit {name}",
            default=commands.AuditConfig(recipe=default),
        )
        out = options.out
        record = audit.audit_recipe(options.recipe, options.options, out)
    table.show(record, Console())
    if out is not None:
        print(out / audit.FILE)
        if path := picture.draw(record, out / picture.FILE):
            print(path)
    return int(options.strict and bool(record["results"]["shortcuts"]))


def propagate(words: Sequence[str]) -> None:
    """``jaxssl propagate RUN VIDEO``."""
    options = arguments.parse(commands.Propagate, words, prog="jaxssl propagate")
    found = propagation.run(
        options.run, options.video, options.options, mask=options.mask, step=options.step
    )
    title = f"Colors of the first frame of {options.video.name}"
    plots.image_grid(found.columns, found.directory / "frames.png", title=title)
    for name, result in found.record["results"].items():
        print(f"colors {name}: mean error {result['mean_error']:.2f} in ab")


def prepare(words: Sequence[str]) -> None:
    """``jaxssl prepare SOURCE OUT_DIR``."""
    options = arguments.parse(commands.Prepare, words, prog="jaxssl prepare")
    prepared = data.prepare(
        options.source, options.out_dir, channels=options.channels, num_threads=options.num_threads
    )
    for reason in prepared.skipped:
        print(f"skipped {reason}", file=sys.stderr)
    print(
        f"{prepared.directory}: {prepared.written} images written, {len(prepared.skipped)} skipped"
    )


def _print_linear(record: dict) -> None:
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


def _print_knn(record: dict) -> None:
    for layer, results in _by_layer(record):
        accuracies = ", ".join(
            f"{name} {_percent(result, 'accuracy')}"
            for name, result in results.items()
            if name.startswith("k=")
        )
        print(f"kNN {layer}: {accuracies}")


def _print_few_label(record: dict) -> None:
    draws = record["protocol"]["draws"]
    for name, best in record["results"]["best"].items():
        spread = "" if best["half_width"] is None else f" ± {100 * best['half_width']:.2f}"
        print(
            f"few labels {_encoder(record)}, {name}: {100 * best['test_accuracy']:.2f} %{spread} "
            f"({draws} draws; {best['layer']}, {best['num_features']:,} features)"
        )
    for layer, budgets in record["results"]["layers"].items():
        for name, budget in budgets.items():
            if not all(draw["converged"] for draw in budget["draws"]):
                print(
                    f"jaxssl: a fit of {layer} to {name} did not converge; raise max-iterations",
                    file=sys.stderr,
                )


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
    return f"{100 * results[name]:.2f} % ± {100 * results['half_width']:.2f}"


def _join_processes(options: commands.Pretrain) -> None:
    """Joins the other processes of the run, before anything touches a device."""
    if options.num_processes == 1:
        return
    if options.num_processes == 0:
        jax.distributed.initialize()
        return
    numbered = options.process_id in range(options.num_processes)
    if options.coordinator is None or not numbered:
        raise ValueError(
            f"--num-processes {options.num_processes}: needs --coordinator HOST:PORT and "
            f"--process-id 0 to {options.num_processes - 1}; got {options.coordinator} and "
            f"{options.process_id}."
        )
    jax.distributed.initialize(options.coordinator, options.num_processes, options.process_id)


def _failed(error: Exception, status: int) -> int:
    if os.environ.get("JAXSSL_TRACEBACK"):
        raise error
    print(f"jaxssl: {' '.join(str(error).split())}", file=sys.stderr)
    return status
