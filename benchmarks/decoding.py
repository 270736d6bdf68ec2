"""JPEGs to training crops: images a second of a core, beside a PyTorch DataLoader.

    python benchmarks/decoding.py
    python benchmarks/decoding.py --size 500 375 --side 224 --rounds 5

Needs jaxssl, torch and scikit-image in one environment; ``bash launch/peers.sh`` makes
one. The files are crops of scikit-image's photographs, enlarged to --size and saved at a quality of
90. Contestants take turns; each reads all files once a round, by as many threads or worker
processes as there are cores; processes live from round to round. Ratios are taken within rounds;
files are in the page cache. What reads ahead while others have their turn has its first batches,
AHEAD of them, read before the clock starts.

    torch       what torchvision's RandomResizedCrop does with a PIL image, in a DataLoader
    whole       jaxssl, a random crop of 8 to 100 % of the whole picture (--data.crops host)
    processes   the same by worker processes (--data.num-workers)
    centre      jaxssl, the square in the middle (--data.crops device, which crops it later)
"""

import argparse
import importlib.metadata
import itertools
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from jaxssl import cropping, data
from jaxssl.augment import policies

BATCH = 32
AHEAD = 4  # batches; jaxssl keeps two ready


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=640)
    parser.add_argument("--size", nargs=2, type=int, default=(500, 375), help="of the pictures")
    parser.add_argument("--side", type=int, default=224, help="of the crops")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    packages = ("torch", "pillow", "grain")
    print(
        ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
        + f"; {cores} cores; {options.files} files of {options.size[0]} x {options.size[1]} to "
        f"{options.side}; {options.rounds} rounds; median [lowest..highest]\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), options)
        contestants = {  # images a second of a round
            "torch": torch_loader(folder, options, cores),
            "whole": jaxssl_loader(folder, options, cores, whole=True),
            "processes": jaxssl_loader(folder, options, cores, whole=True, workers=cores),
            "centre": jaxssl_loader(folder, options, cores, whole=False),
        }
        rates = {name: [] for name in contestants}
        for number in range(options.rounds + 1):  # the first warms up
            for name, read in contestants.items():
                rate = read()
                if number:
                    rates[name].append(rate)
    print("| | images/s | images/s of a core | to torch |")
    print("|---|---|---|---|")
    for name, found in rates.items():
        ratios = [ours / theirs for ours, theirs in zip(found, rates["torch"], strict=True)]
        print(
            f"| {name} | {spread(found, ',.0f')} | "
            f"{spread([each / cores for each in found], ',.0f')} | {spread(ratios, '.2f')} |"
        )


def spread(values, form):
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:{form}} [{low:{form}}..{high:{form}}]"


def write_files(folder, options):
    """Photographs of the asked size, as JPEGs in one folder."""
    from PIL import Image
    from skimage import data as pictures

    random = np.random.default_rng(0)
    photographs = [getattr(pictures, name)() for name in ("astronaut", "chelsea", "coffee", "cat")]
    width, height = options.size
    for number in range(options.files):
        image = Image.fromarray(photographs[number % len(photographs)])
        area = random.uniform(0.3, 1.0)
        w = min(image.width, int(np.sqrt(area * image.width * image.height * width / height)))
        h = min(image.height, int(w * height / width))
        left, top = random.integers(image.width - w + 1), random.integers(image.height - h + 1)
        part = image.resize((width, height), box=(left, top, left + w, top + h))
        part.save(folder / f"{number:05}.jpg", quality=90)


def jaxssl_loader(folder, options, cores, *, whole, workers=0):
    """Reads an epoch in batches, a step of the loader each; returns images a second."""
    config = data.ImageData(
        path=folder, image_size=options.side, channels=3, train_split="all", num_threads=cores
    )
    source = config.open("all")
    crops = policies.CropFlip(options.side, crop_scale=(0.08, 1.0)).host_crops() if whole else ()
    loader = data.Loader(
        source, batch_size=BATCH, seed=0, num_threads=cores, num_workers=workers, crops=crops
    )
    steps = itertools.count()

    def read():
        for _ in range(AHEAD if workers else 0):
            loader.batch(next(steps))
        start = time.perf_counter()
        for _ in range(loader.steps_per_epoch):
            loader.batch(next(steps))
        rate = loader.steps_per_epoch * BATCH / (time.perf_counter() - start)
        if not workers:
            loader.close()  # threads begin in no time
        return rate

    return read


def torch_loader(folder, options, cores):
    """The same by what torchvision's transform comes to, in worker processes that stay."""
    import torch
    from PIL import Image

    paths = sorted(Path(folder).iterdir())
    side = options.side

    class Files(torch.utils.data.Dataset):
        def __len__(self):
            return len(paths)

        def __getitem__(self, index):
            with Image.open(paths[index]) as image:
                image = image.convert("RGB")
            draws = torch.rand(cropping.NUM_DRAWS).numpy()
            box = cropping.box(
                draws, image.height, image.width, scale=(0.08, 1), ratio=(3 / 4, 4 / 3)
            )
            top, left, height, width = map(int, box)
            part = image.crop((left, top, left + width, top + height))
            return np.asarray(part.resize((side, side), Image.Resampling.BILINEAR))

    loader = torch.utils.data.DataLoader(
        Files(), batch_size=BATCH, shuffle=True, num_workers=cores, drop_last=True,
        persistent_workers=True,
    )  # fmt: skip

    def read():
        start = time.perf_counter()
        return sum(len(batch) for batch in loader) / (time.perf_counter() - start)

    return read


if __name__ == "__main__":
    main()
