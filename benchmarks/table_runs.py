"""Trains and measures what the results table lacks; several processes may share the directory."""

import contextlib
import dataclasses
import fcntl
import json
import subprocess
import sys
import time
from pathlib import Path

import table_rows
import table_tuned

from jaxssl import checkpoints, files
from jaxssl.evaluation import evaluate, few_label, knn, layers, linear, preparation, protocol
from jaxssl.evaluation import subject as subjects

_ERRORS = (subprocess.CalledProcessError, ValueError, OSError)


def fill(out, recipes, seeds, *, asked, random_seeds, overrides):
    """Trains and measures what OUT lacks; returns what failed.

    Args:
        out: directory of the runs.
        recipes: names or paths.
        seeds: of pretraining.
        asked: what is measured.
        random_seeds: random encoders of each architecture at least; as many as ``seeds`` else.
        overrides: further options of ``jaxssl pretrain``.
    """
    trained, failed = [], []
    for name in recipes:
        for seed in seeds:
            run = out / f"{Path(name).stem}-{seed}"
            try:
                train(name, run, seed, overrides)
                measure(run, "trained", 0, asked)
                trained.append(run)
            except _ERRORS as error:
                print(f"{run.name}: {error}", file=sys.stderr)
                failed.append(run.name)
    wanted = baselines(trained, max(random_seeds, len(seeds)), asked)
    failed += measure_baselines(out, wanted, asked)
    return failed + fine_tune(out, trained, asked)


def train(name, run, seed, overrides):
    """Trains, or finishes, one run; its wall time is kept beside it."""
    if (run / "seconds.json").exists():
        return
    start = time.monotonic()
    words = ("pretrain", name, "--out", run, "--training.seed", seed, *overrides)
    subprocess.run([sys.executable, "-m", "jaxssl", *map(str, words)], check=True)
    files.write_whole(run / "seconds.json", json.dumps(time.monotonic() - start))


def measure(run, encoder, weights_seed, asked):
    """Measures what the result files of a run lack of one encoder; features are made once."""
    records = table_rows.encoders(run, asked)[encoder, weights_seed]
    grids, few_grids = choices(run, encoder, asked)
    lacks = table_rows.lacking(
        table_rows.measured(records, asked), grid_names(grids), grid_names(few_grids), asked
    )
    if not lacks:
        return
    pooled = layers.Choice(layers.POOLED)
    wanted = [layer for each in (pooled, grids, few_grids) for layer in each.all]
    subject = subjects.Subject(
        encoder,
        weights_seed=weights_seed,
        train_split=asked.train_split,
        test_split=asked.test_split,
    )
    prepared = preparation.prepare(run, subject, wanted if subject.is_network else None)
    probe = linear.LinearConfig(l2_grid=asked.l2_grid)
    if "linear" in lacks:
        evaluate.linear_eval(run, subject, probe, narrowed(prepared, pooled))
    if "knn" in lacks:
        evaluate.knn_eval(run, subject, knn.KnnConfig(), narrowed(prepared, pooled))
    if "grids" in lacks and subject.is_network:
        evaluate.linear_eval(run, subject, probe, narrowed(prepared, grids))
    if "few" in lacks:
        options = few_label.FewLabelConfig(per_class=asked.per_class, fractions=())
        evaluate.few_label_eval(run, subject, options, narrowed(prepared, few_grids))


def choices(run, encoder, asked):
    """The layers that stand for an encoder: every stage as a grid, or the one vector it is.

    Twice: for all labels, and for few, where grids are finer.
    """
    if encoder not in subjects.NETWORKS:
        return layers.Choice(layers.POOLED), layers.Choice(layers.POOLED)
    shapes = preparation.output_shapes(checkpoints.restore_encoder(run))
    return tuple(
        subjects.Subject(encoder, grid="auto", max_features=count).choose(shapes)
        for count in (asked.max_features, asked.few_max_features)
    )


def grid_names(grids):
    """Names of the layers of a choice in the order of its stages."""
    return [layer.name for layer in grids.stages or grids.all]


def narrowed(prepared, choice):
    """Prepared features as if only these layers had been asked for."""
    main = choice.main.name
    return dataclasses.replace(
        prepared,
        main=main,
        stages=tuple(layer.name for layer in choice.stages),
        protocol=prepared.protocol | {"layer": main},
        subject=prepared.subject | {"num_features": prepared.train.layers[main].shape[1]},
    )


def fine_tune(out, runs, asked):
    """Fine-tunes trained encoders, and each of their networks from scratch; returns what failed."""
    failed = []
    for run in runs:
        record = table_rows.pooled_record(table_rows.encoders(run, asked)["trained", 0])
        for encoder in subjects.NETWORKS:
            own = table_rows.row_of(record, encoder)
            name = table_rows.tuned_name(run, own)
            failed += table_tuned.tune(out, name, run, encoder, asked)
    return failed


def baselines(runs, num_random, asked):
    """What trained runs are compared with, each once: row key and seed to run and encoder."""
    wanted = {}
    for run in runs:
        record = table_rows.pooled_record(table_rows.encoders(run, asked)["trained", 0])
        # Only a random encoder has seeds.
        for encoder, count in (("random", num_random), ("pca", 1), ("pixels", 1)):
            key = table_rows.row_key(table_rows.row_of(record, encoder))
            for seed in range(count):
                wanted.setdefault((key, seed), (run, encoder))
    return wanted


def measure_baselines(out, wanted, asked):
    """Measures baselines that no run below OUT has; returns those that failed."""
    failed = []
    # What another process is busy with comes last, when it is probably there.
    waiting = dict(wanted)
    for patient in (False, True):
        for (key, seed), (run, encoder) in list(waiting.items()):
            with locked(out / f"baseline-{protocol.stamp([key, seed])}.lock", patient) as is_mine:
                if not is_mine:
                    continue
                del waiting[key, seed]
                _, seeds = table_rows.gather(out, asked).get(key, (None, {}))
                names = map(grid_names, choices(run, encoder, asked))
                if not table_rows.lacking(seeds.get(seed, {}), *names, asked):
                    continue
                try:
                    measure(run, encoder, seed, asked)
                except _ERRORS as error:
                    print(f"{encoder} of {run.name}: {error}", file=sys.stderr)
                    failed.append(f"{encoder} of {run.name}")
    return failed


@contextlib.contextmanager
def locked(path, patient):
    """Keeps a file to this process; gives False where another has it, or waits if patient."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if patient else fcntl.LOCK_NB))
            is_mine = True
        except BlockingIOError:
            is_mine = False
        yield is_mine
