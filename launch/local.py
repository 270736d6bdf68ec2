"""Several processes of one run on this machine, to try out what a cluster does.

    python launch/local.py --num-processes 2 -- jaxssl pretrain CONFIG --out DIR ...

Every process gets ``--coordinator``, ``--num-processes`` and ``--process-id``, and its output is
shown with its number in front. Ctrl-C and SIGTERM stop all processes at the same step, saved. When
one fails the others are killed, since they would wait for it; the same command then resumes.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
import time

POLL_SECONDS = 0.1


def main(argv: list[str]) -> int:
    """Runs the command in so many processes; returns the exit status of the first that failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--num-processes", type=int, required=True, help="processes to start")
    parser.add_argument(
        "--devices-per-process",
        type=int,
        help="CPU devices that each process pretends to have; its own devices by default",
    )
    parser.add_argument("command", nargs="+", help="the command, after --")
    options = parser.parse_args(argv)
    if options.num_processes < 1:
        parser.error(f"--num-processes: must be at least 1; got {options.num_processes}.")

    processes = []
    # Installed first: a signal while the processes start must reach all of them.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop(processes))
    coordinator = f"127.0.0.1:{free_port()}"
    for index in range(options.num_processes):
        words = [
            *options.command, "--coordinator", coordinator,
            "--num-processes", str(options.num_processes), "--process-id", str(index),
        ]  # fmt: skip
        process = subprocess.Popen(
            words,
            env=environment(options.devices_per_process),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # the terminal's Ctrl-C reaches this script alone
        )
        processes.append(process)
        threading.Thread(target=show, args=(index, process)).start()
    return wait(processes)


def environment(num_devices: int | None) -> dict[str, str]:
    """The environment of a process, with so many fake CPU devices where a number is given."""
    if num_devices is None:
        return dict(os.environ)
    flags = os.environ.get("XLA_FLAGS", "").split()
    flags = [flag for flag in flags if "host_platform_device_count" not in flag]
    flags.append(f"--xla_force_host_platform_device_count={num_devices}")
    return os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": " ".join(flags)}


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def show(index: int, process: subprocess.Popen) -> None:
    """Passes on what a process prints, its number in front of every line."""
    for line in process.stdout:
        print(f"[{index}] {line}", end="", flush=True)


def stop(processes: list[subprocess.Popen]) -> None:
    """Asks every process to save and end."""
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)


def wait(processes: list[subprocess.Popen]) -> int:
    """Waits for all processes, or for one to fail, and then kills the others."""
    while True:
        statuses = [process.poll() for process in processes]
        failed = next((status for status in statuses if status), None)
        if failed is not None:
            if failed < 0:
                name = signal.Signals(-failed).name
                print(f"process {statuses.index(failed)} was killed by {name}; so end the others.")
            for process in processes:
                process.kill()
            return failed if failed > 0 else 128 - failed
        if None not in statuses:
            return 0
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
