"""Makes torchvision, which lightly imports, usable beside a PyTorch it was not compiled for.

torchvision from the package index is compiled for PyTorch with CUDA. Beside a CPU build its
operators do not load, and importing it fails where it adds to the two that it only has compiled.
Nothing here calls them, so it is enough that they are declared.
"""

import importlib.util
import warnings

if importlib.util.find_spec("torch") and importlib.util.find_spec("torchvision"):
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs, not ours
        try:
            import torchvision
        except RuntimeError:
            # Kept by name: a library takes its declarations along when it is collected.
            operators = torch.library.Library("torchvision", "DEF")
            for name in ("nms", "qnms"):
                operators.define(f"{name}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
            import torchvision  # noqa: F401
