"""One accelerator, by one command: training steps, data, memory, losses; PyTorch's MAE beside.

    python benchmarks/accelerator.py --out runs/accelerator          meant for under 9 minutes
    python benchmarks/accelerator.py --out runs/tiny --tiny          all of it on a CPU, in seconds
    python benchmarks/accelerator.py --out runs/mae --cases rate mae_b16 torch_mae_b16

Each case has a process of its own, so that its peak of memory is its own, and a limit; what fails
or has no time left is named in the table, and the rest goes on. Written to --out: accelerator.json,
and accelerator.md, which is printed too.

    rate            products of two square bfloat16 matrices: what MFU is measured against, beside
                    what the maker states
    mae_b16, mae_l16, dino_s16, simclr_r50
                    a training step of the recipe photos_mae, photos_dino or photos_simclr in
                    bfloat16 at 224 pixels (DINO's small crops at 96): with a batch that lies on the
                    device; fed from JPEGs of 500 x 375, decoded to their middle; and its
                    augmentation alone, which is part of the step
    torch_mae_b16, torch_mae_l16
                    the same MAE in the data flow of the published code (torch_mae.py) under
                    autocast: eager and by torch.compile, from ready images without augmentation;
                    where torch is importable
    nt_xent_65536, nt_xent_1048576
                    value and gradient of that many pairs of 128 features, in tiles

Steps are dispatched one after the other and awaited at the end. MFU counts matrix products and
convolutions of the step, with its augmentation's.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import accelerator_cases
import numpy as np

COLUMNS = (
    ("images_per_second", "images/s", ",.0f"),
    ("mfu_measured", "MFU, measured rate", ".1%"),
    ("mfu_stated", "MFU, stated", ".1%"),
    ("jpegs_per_second", "from JPEGs, images/s", ",.0f"),
    ("augmented_per_second", "augmentation alone, images/s", ",.0f"),
    ("peak_gb", "peak memory, GB", ".1f"),
    ("planned_gb", "planned, GB", ".1f"),
    ("compile_seconds", "compiling, s", ".0f"),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="directory of the two files")
    parser.add_argument("--cases", nargs="+", choices=accelerator_cases.CASES)
    parser.add_argument("--minutes", type=float, default=9.0, help="after which no case goes on")
    parser.add_argument("--tiny", action="store_true", help="tiny networks, all in one process")
    parser.add_argument("--serve", nargs=2, metavar=("CASE", "JPEGS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        print(json.dumps(accelerator_cases.measure(*options.serve, tiny=False)))
        return
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        write_jpegs(Path(folder), 16 if options.tiny else 512)
        end = time.monotonic() + 60 * options.minutes
        for case in options.cases or accelerator_cases.CASES:
            if options.tiny:
                results[case] = accelerator_cases.measure(case, folder, tiny=True)
            else:
                results[case] = in_own_process(case, folder, end - time.monotonic())
            print(f"{case}: {results[case]}", file=sys.stderr, flush=True)
    add_mfu(results)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "accelerator.json").write_text(json.dumps(results, indent=1) + "\n")
    (options.out / "accelerator.md").write_text(table(results))
    print(table(results), end="")


def in_own_process(case, folder, seconds):
    """Measures a case in a process of its own; what ended it, if it did not come to its end."""
    limit = min(accelerator_cases.CASES[case], seconds)
    if limit <= 0:
        return {"left_out": "no time left"}
    command = [sys.executable, __file__, "--out", folder, "--serve", case, folder]
    # Compiling is measured, so nothing compiled is kept.
    environment = os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    try:
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, text=True, timeout=limit, check=True
        )
    except subprocess.TimeoutExpired:
        return {"left_out": f"more than {limit:.0f} s"}
    except subprocess.CalledProcessError as error:
        return {"left_out": f"ended with status {error.returncode}; see above"}
    return json.loads(done.stdout.splitlines()[-1])


def write_jpegs(folder, count):
    """Pictures of soft blots with some noise, about as large as photos are as files."""
    from PIL import Image

    random = np.random.default_rng(0)
    for number in range(count):
        blots = Image.fromarray(random.integers(0, 256, (9, 12, 3), np.uint8))
        pixels = np.asarray(blots.resize((500, 375), Image.Resampling.BICUBIC), np.int16)
        noisy = np.clip(pixels + random.normal(0, 6, pixels.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{number:05}.jpg", quality=90)


def add_mfu(results):
    """Shares of the rate that was measured and of the one that is stated, where they are known."""
    rate = results.get("rate", {})
    for found in results.values():
        for name in ("measured", "stated"):
            if "flop_per_image" in found and rate.get(name):
                done = found["flop_per_image"] * found["images_per_second"]
                found[f"mfu_{name}"] = done / rate[name]


def table(results):
    """Markdown: the rate, a row for each step, the losses, and what was left out."""
    rate, lines = results.get("rate", {}), []
    if "device" in rate:
        stated = f"{rate['stated'] / 1e12:,.0f}" if rate["stated"] else "nothing"
        lines += [
            f"{rate['device']}, jax {rate['jax']}: {rate['measured'] / 1e12:,.2f} TFLOP/s measured "
            f"in bfloat16, {stated} stated.",
            "",
        ]
    lines += [
        f"| step | batch | {' | '.join(title for _, title, _ in COLUMNS)} |",
        "|" + "---|" * (2 + len(COLUMNS)),
    ]
    for case, found in results.items():
        for label, variant in found.get("variants", {"": found}).items():
            if "images_per_second" in variant:
                cells = [cell(variant.get(name), form) for name, _, form in COLUMNS]
                title = f"{case} {label}".strip()
                lines.append(f"| {title} | {variant['batch']} | {' | '.join(cells)} |")
    lines += [
        "",
        "| loss | value and gradient, s | compiling, s | peak memory, GB |",
        "|---|---|---|---|",
    ]
    for case, found in results.items():
        if "seconds" in found:
            forms = {"seconds": ".3f", "compile_seconds": ".1f", "peak_gb": ".1f"}
            cells = [cell(found[name], form) for name, form in forms.items()]
            lines.append(f"| {case} | {' | '.join(cells)} |")
    left_out = [
        f"{case} ({each['left_out']})" for case, each in results.items() if "left_out" in each
    ]
    if left_out:
        lines += ["", f"Left out: {', '.join(left_out)}."]
    return "\n".join(lines) + "\n"


def cell(value, form):
    return "" if value is None else format(value, form)


if __name__ == "__main__":
    main()
