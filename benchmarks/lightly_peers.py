"""SimCLR, BYOL and Barlow Twins by lightly in PyTorch, with the settings of jaxssl's recipes.

    python benchmarks/lightly_peers.py --out runs/table --threads 1
    taskset -c 0 python benchmarks/lightly_peers.py --methods simclr --seeds 0 1 2

Needs jaxssl, torch and lightly in one environment; ``bash launch/peers.sh`` makes one. Trains what
OUT lacks, then evaluates it with jaxssl's probes as ``jaxssl linear-eval`` and ``knn-eval`` do, and
prints a table. Runs lie in OUT as those of benchmarks/table.py do (lightly_simclr-0 ...): with the
same OUT, ``benchmarks/table.py --only-table`` shows both. OUT/RUN/peer.json has the numbers, times,
versions and settings of one run.

Numbers come from the shipped recipes: data, batch size, epochs, views, widths, temperature,
momentum, optimizer. Losses, heads, transforms and the moving average are lightly's, the ResNet is
torchvision's with a quarter of the channels, batches are made in DataLoader worker processes.
Equal to jaxssl: architecture, zero scales, standardisation, AdamW with decay on kernels alone,
learning rate of every step, batch norm over both views (SimCLR) or over each (the others), targets
in training mode with statistics of their own. What differs:

* views are made by Pillow and torchvision, in uint8, of one image after the other: brightness and
  contrast in random order with a clip after each, boxes of whole pixels (jaxssl: float32, fixed
  order, one clip);
* linear layers start as PyTorch's do, uniform within 1/sqrt(fan-in), and running variances are
  unbiased;
* the last layers of BYOL's and Barlow Twins' heads have a bias;
* lightly's BYOL loss is a quarter of jaxssl's up to a constant, which AdamW does not feel, and its
  cosine of the momentum ends one step earlier;
* the order of the examples and all other random numbers.

Seconds are wall time of training alone, start of the workers included, imports and data excluded;
jaxssl's in the same table include start and compilation. Workers take cores besides --threads, so
pin the whole process to compare times.
"""

import argparse
import copy
import importlib.metadata
import json
import math
import platform
import runpy
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import table
import torch

from jaxssl import files, inputs
from jaxssl.evaluation import evaluate, features, knn, linear, preparation, splits
from jaxssl.evaluation import subject as subjects
from jaxssl.runs import recipe, record
from jaxssl.training import optimizers

ROOT = Path(__file__).resolve().parent.parent
# Kept: what it declares would go with it.
declared = runpy.run_path(str(ROOT / "tests" / "peers" / "conftest.py"))

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torchvision
    from lightly import loss as lightly_losses
    from lightly.models import utils as lightly_models
    from lightly.models.modules import heads
    from lightly.transforms import SimCLRTransform
    from lightly.utils import scheduler
    from PIL import Image

METHODS = ("simclr", "byol", "barlow_twins")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2))
    parser.add_argument("--out", type=Path, default=Path("runs/table"))
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch")
    parser.add_argument("--workers", type=int, default=1, help="processes that make views")
    parser.add_argument("--steps", type=int, help="stop after so many, to try it out")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    runs = [
        (method, seed, options.out / f"lightly_{method}-{seed}")
        for method in options.methods
        for seed in options.seeds
    ]
    # Training first: workers are forked, and JAX must not have started its threads by then.
    for method, seed, run in runs:
        if not (run / "seconds.json").exists():
            train(method, seed, run, options)
    for method, seed, run in runs:
        if not (run / "peer.json").exists():
            measure(method, seed, run, options)
    print(table.markdown({"rows": table.collect(options.out)}))


class Views(torch.utils.data.Dataset):
    """Pairs of views of the images of a source."""

    def __init__(self, source, transform):
        self.images, self.transform = source.columns["image"], transform

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.transform(Image.fromarray(self.images[index, :, :, 0]))


class QuarterResNet18(torchvision.models.ResNet):
    """torchvision's ResNet-18 with a quarter of the channels, of grey images, without classifier.

    Its own initialisation is the one of jaxssl: He's normal over the fan-out.
    """

    def __init__(self):
        block = torchvision.models.resnet.BasicBlock
        super().__init__(block, [2, 2, 2, 2], zero_init_residual=True)
        self.conv1 = torch.nn.Conv2d(1, 16, 7, stride=2, padding=3, bias=False)
        torch.nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.bn1 = torch.nn.BatchNorm2d(16)
        self.fc = torch.nn.Identity()

    def _make_layer(self, block, planes, *arguments, **options):
        if planes == 64:  # the first stage follows a stem that is narrower too
            self.inplanes = 16
        return super()._make_layer(block, planes // 4, *arguments, **options)


class SimCLR(torch.nn.Module):
    """Both views in one batch, as jaxssl and the paper's code have it."""

    def __init__(self, encoder, config, *, num_features=128):
        super().__init__()
        self.encoder = encoder
        self.projector = heads.SimCLRProjectionHead(
            num_features, config.projector_width, config.projector_dim
        )
        # The last batch norm has a scale and no shift, as in the paper's code.
        self.projector.layers[-1].register_parameter("bias", None)
        self.criterion = lightly_losses.NTXentLoss(temperature=config.temperature)

    def forward(self, view_a, view_b):
        """The loss of a batch."""
        return self.criterion(*self.projector(self.encoder(torch.cat([view_a, view_b]))).chunk(2))


class BYOL(torch.nn.Module):
    """Online and target network; ``follow`` after every step of the optimizer."""

    def __init__(self, encoder, config):
        super().__init__()
        width, dim = config.projector_width, config.projector_dim
        self.encoder, self.projector = encoder, heads.BYOLProjectionHead(128, width, dim)
        self.online = torch.nn.Sequential(self.encoder, self.projector)
        self.predictor = heads.BYOLPredictionHead(dim, config.predictor_width, dim)
        self.target = copy.deepcopy(self.online)
        lightly_models.deactivate_requires_grad(self.target)
        self.start = config.target_momentum
        self.criterion = lightly_losses.NegativeCosineSimilarity()

    def forward(self, view_a, view_b):
        """The loss of a batch."""
        with torch.no_grad():
            target_a, target_b = self.target(view_a), self.target(view_b)
        first = self.criterion(self.predictor(self.online(view_a)), target_b)
        second = self.criterion(self.predictor(self.online(view_b)), target_a)
        return 0.5 * (first + second)

    def follow(self, step, total_steps):
        """Moves the target towards the online network."""
        momentum = scheduler.cosine_schedule(step, total_steps, self.start, 1.0)
        lightly_models.update_momentum(self.online, self.target, m=momentum)


class BarlowTwins(torch.nn.Module):
    """One network, one view after the other."""

    def __init__(self, encoder, config):
        super().__init__()
        self.encoder = encoder
        self.projector = heads.BarlowTwinsProjectionHead(
            128, config.projector_width, config.projector_dim
        )
        self.criterion = lightly_losses.BarlowTwinsLoss(lambda_param=config.redundancy_weight)

    def forward(self, view_a, view_b):
        """The loss of a batch."""
        return self.criterion(*(self.projector(self.encoder(view)) for view in (view_a, view_b)))


NETWORKS = {"simclr": SimCLR, "byol": BYOL, "barlow_twins": BarlowTwins}


def train(method, seed, run, options):
    """Trains one network and writes the features of both splits and the seconds that it took."""
    config = recipe.load(f"{method}_fashion_mnist")
    train_source, test_source = open_splits(config)
    batch_size = config.training.batch_size
    torch.manual_seed(seed)
    network = NETWORKS[method](QuarterResNet18(), config.method)
    loader = torch.utils.data.DataLoader(
        Views(train_source, transform_of(config)),
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=options.workers,
        persistent_workers=options.workers > 0,
    )
    total_steps = round(config.training.epochs * len(loader))
    optimizer, schedule = optimizer_of(
        network, config.optimizer, batch_size, len(loader), total_steps
    )
    last_step = min(options.steps or total_steps, total_steps)
    start = time.monotonic()
    network.train()
    step, losses = 0, []
    while step < last_step:
        for view_a, view_b in loader:
            loss = network(view_a, view_b)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            if hasattr(network, "follow"):
                network.follow(step, total_steps)
            losses.append(loss.item())
            step += 1
            if step == last_step:
                break
    seconds = time.monotonic() - start
    print(f"{run.name}: {step} steps, loss {losses[0]:.3f} to {losses[-1]:.3f}, {seconds:.0f} s")
    run.mkdir(parents=True, exist_ok=True)
    encoder = network.encoder.eval()
    np.savez(
        run / "features.npz",
        train=extract(encoder, train_source, config),
        test=extract(encoder, test_source, config),
        steps=step,
    )
    files.write_whole(run / "seconds.json", json.dumps(seconds))


def open_splits(config):
    splits = config.data.train_split, config.data.test_split
    return tuple(config.data.open(split) for split in splits)


def transform_of(config):
    """The recipe's views by lightly; those that its transform cannot make are refused."""
    pair, encoder = config.method.augment, config.encoder
    views = pair.first
    assert pair.second in (None, views) and views.solarize_prob == 0
    assert views.crop_ratio == (3 / 4, 4 / 3) and views.crop_scale[1] == 1
    assert views.interpolation == "linear"
    brightness, contrast, saturation, hue = views.jitter
    return SimCLRTransform(
        input_size=views.size,
        cj_prob=views.jitter_prob,
        cj_strength=views.jitter_strength,
        cj_bright=brightness,
        cj_contrast=contrast,
        cj_sat=saturation,
        cj_hue=hue,
        min_scale=views.crop_scale[0],
        random_gray_scale=0.0,  # of grey images
        gaussian_blur=views.blur_prob,
        hf_prob=views.flip_prob,
        normalize={"mean": list(encoder.mean), "std": list(encoder.std)},
    )


def optimizer_of(network, config, batch_size, steps_per_epoch, total_steps):
    """AdamW and the learning rate of ``jaxssl.training.optimizers``, without starting JAX."""
    assert config.name == "adamw" and not (config.clip_norm or config.clip_each)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        # Kernels of convolutions and linear layers are the parameters of more than one axis.
        {"params": [each for each in trained if each.ndim > 1]},
        {"params": [each for each in trained if each.ndim < 2], "weight_decay": 0.0},
    ]
    peak = optimizers.peak_learning_rate(config, batch_size)
    betas = config.beta1, config.beta2
    optimizer = torch.optim.AdamW(groups, lr=peak, betas=betas, weight_decay=config.weight_decay)
    warmup_steps = round(config.warmup_epochs * steps_per_epoch)

    def fraction(step):
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        progress = min((step - warmup_steps) / (total_steps - warmup_steps), 1.0)
        final = config.final_fraction
        return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, fraction)


@torch.no_grad()
def extract(encoder, source, config):
    """Pooled features [N, 128] of the images as they are, by running statistics."""
    mean, std = config.encoder.mean[0], config.encoder.std[0]
    parts = []
    for start in range(0, len(source), 500):
        images = torch.tensor(source.columns["image"][start : start + 500]).permute(0, 3, 1, 2)
        parts.append(encoder((images.float() / 255 - mean) / std).numpy())
    return np.concatenate(parts)


def measure(method, seed, run, options):
    """Writes the result files that ``jaxssl linear-eval`` and ``knn-eval`` would, and peer.json."""
    config = recipe.load(f"{method}_fashion_mnist")
    opened = splits.choose(config.data)
    stored = np.load(run / "features.npz")
    packages = ("torch", "torchvision", "lightly", "jaxssl", "jax", "numpy")
    subject = subjects.Subject("trained", stages=False)
    described = {
        "encoder": "trained",
        "method": f"lightly {method}",
        "architecture": {"name": "torchvision ResNet-18, quarter width"},
        "step": int(stored["steps"]),
        "pretraining_seed": seed,
        "num_features": stored["train"].shape[1],
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }
    prepared = preparation.Prepared(
        *(
            features.FeatureSet({"pooled": stored[split]}, source.labels)
            for split, source in zip(("train", "test"), (opened.train, opened.test))
        ),
        main="pooled",
        stages=(),
        protocol=preparation.protocol_of(
            opened,
            inputs.of_image(config.data.image_size, config.data.channels),
            subject=subject,
        ),
        subject=described,
    )
    probe = evaluate.linear_eval(run, subject, linear.LinearConfig(), prepared)
    votes = evaluate.knn_eval(run, subject, knn.KnnConfig(), prepared)
    result = {
        "method": method,
        "seed": seed,
        "linear": probe["results"]["test_accuracy"],
        "knn": votes["results"]["k=20"]["accuracy"],
        "seconds": table.read(run / "seconds.json"),
        "steps": described["step"],
        "threads": options.threads,
        "workers": options.workers,
        "versions": described["versions"] | {"python": platform.python_version()},
        "command": f"python benchmarks/lightly_peers.py {' '.join(sys.argv[1:])}",
        "recipe": record.to_json(config),
    }
    files.write_whole(run / "peer.json", json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
