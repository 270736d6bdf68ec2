"""Damages small files of every kind that is read, many times over, and counts what comes of it.

    python tests/soak/readers.py [--mutations 10000] [--seed 0]

Each must be read, or refused by one line that names the file. Anything else is printed with the
seed that repeats it, and the exit status is 1. Takes minutes; a file may take ``LIMIT_S`` at most.
"""

import argparse
import collections
import pathlib
import resource
import signal
import sys
import tempfile
import time

sys.path[:0] = [str(pathlib.Path(__file__).parents[1] / "support")]
import damaged_sources  # noqa: E402

LIMIT_S = 30


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutations", type=int, default=10_000, help="over all kinds")
    parser.add_argument("--seed", type=int, default=0, help="of the first")
    options = parser.parse_args()
    signal.signal(signal.SIGALRM, _too_long)
    failed = 0
    each = -(-options.mutations // len(damaged_sources.KINDS))
    for kind in damaged_sources.KINDS:
        begun, counts = time.monotonic(), collections.Counter()
        with tempfile.TemporaryDirectory() as place:
            path, file = damaged_sources.write(kind, pathlib.Path(place))
            content = file.read_bytes()
            for seed in range(options.seed, options.seed + each):
                signal.alarm(LIMIT_S)
                try:
                    counts[damaged_sources.outcome(path, file, content, seed)] += 1
                except Exception as error:
                    counts["failed"] += 1
                    print(f"{kind}, seed {seed}: {type(error).__name__}: {error}", flush=True)
                finally:
                    signal.alarm(0)
        failed += counts["failed"]
        seconds = time.monotonic() - begun
        print(
            f"{kind:>14}: {counts['read']:6} read {counts['refused']:6} refused "
            f"{counts['failed']:6} failed in {seconds:.0f} s",
            flush=True,
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{each * len(damaged_sources.KINDS)} damaged files, {failed} failed; peak {peak:.0f} MiB"
    )
    return 1 if failed else 0


def _too_long(*_: object) -> None:
    raise TimeoutError(f"more than {LIMIT_S} s")


if __name__ == "__main__":
    sys.exit(main())
