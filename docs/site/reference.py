"""The pages of the reference: which public names stand on which, for mkdocstrings to fill."""

import importlib

# A package shows what it exports, a module all that is public in it.
PAGES = {
    "jaxssl": ("What `import jaxssl` gives.", ["jaxssl"]),
    "Losses": ("Pure functions: arrays in, one value per example out.", ["jaxssl.losses"]),
    "Augmentation": (
        "Random views of one image, on the device.",
        [f"jaxssl.augment.{name}" for name in ("policies", "geometry", "color", "exact")],
    ),
    "Pretext labels": (
        "Functions that make a label from the example itself.",
        [
            f"jaxssl.pretext.{name}"
            for name in ("rotation", "patches", "permutations", "masking", "block_masking",
                         "holes", "corruption", "color", "palette", "hog", "cpc", "temporal",
                         "tokens")
        ],
    ),
    "Models": ("Encoders, heads and decoders: linen modules.", ["jaxssl.models"]),
    "Recipes and runs": (
        "What a recipe is made of, and what watches a run.",
        ["jaxssl.runs.recipe", "jaxssl.training.config", "jaxssl.training.optimizers",
         "jaxssl.watching"],
    ),
    "Data": ("Where images and texts come from.", ["jaxssl.data"]),
    "Evaluation": (
        "What an encoder learned, on arrays of frozen features.",
        [
            f"jaxssl.evaluation.{name}"
            for name in ("subject", "preparation", "features", "linear", "knn", "few_label",
                         "kept_probe", "retrieval", "clustering", "robustness", "segmentation",
                         "zero_shot", "cka", "lidar", "paired")
        ],
    ),
    "Collapse": ("Whether a representation still tells its inputs apart.", ["jaxssl.collapse"]),
    "Weights in and out": ("Published weights in, weights for others out.", ["jaxssl.interop"]),
    "Types": ("The tuples and protocols that all parts agree on.", ["jaxssl.types"]),
}  # fmt: skip


def path(title: str) -> str:
    """Where the page lies, below docs/."""
    return f"reference/{title.lower().replace(' ', '_')}.md"


def page(title: str) -> str:
    """The page in Markdown, with a line of mkdocstrings for each name."""
    said, modules = PAGES[title]
    lines = [f"# {title}", said]
    for name in modules:
        exported = getattr(importlib.import_module(name), "__all__", None)
        if exported is None:
            lines.append(f"::: {name}\n    options:\n      show_root_full_path: true")
            continue
        for each in exported:
            if f"{name}.{each}" not in (m for _, others in PAGES.values() for m in others):
                lines.append(f"::: {name}.{each}")
    return "\n\n".join(lines) + "\n"
