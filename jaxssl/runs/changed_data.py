"""A run that goes on although its data set has changed: when it may, and what that changes."""

from collections.abc import Mapping

from jaxssl import checkpoints, named
from jaxssl.runs import directory as directories
from jaxssl.runs import record
from jaxssl.runs.directory import RunDirectory
from jaxssl.runs.recipe import Recipe
from jaxssl.types import Plan


def accept(directory: RunDirectory, identity: Mapping, recipe: Recipe, plan: Plan) -> str:
    """What changes where the run in a directory goes on with other data; nothing where it does not.

    Args:
        directory: of the run.
        identity: what config.json would record now.
        recipe: with its method as the run began with it.
        plan: the steps of the run on the data as they are now.

    Returns:
        Words for the user; none where the directory holds no checkpoint, where the data are the
        same, or where more than they differs, so that it is another run.

    Raises:
        ValueError: a method that keeps something for each image, by its row.
    """
    found = directories.read_identity(directory)
    if found is None or not checkpoints.complete_steps(directory.path):
        return ""
    is_same = not record.differences(identity, found)
    if is_same or record.differences(identity, found, any_data=True):
        return ""
    before, now = found["dataset"], identity["dataset"]
    unit = recipe.data.unit
    if getattr(recipe.method, "num_examples", 0):
        raise ValueError(
            f"--run.accept-changed-data: the method must keep nothing for each of the {unit}; got "
            f"{named.short(recipe.method)}, whose memory goes by their rows, and {now['size']:,} "
            f"instead of {before['size']:,}. Begin a new run with --init-from {directory.path}."
        )
    meta = checkpoints.read_meta(directory.path)
    planned = Plan(**meta["plan"])
    return (
        f"the data changed from {before['size']:,} {unit} of {before['name']} to {now['size']:,} "
        f"of {now['name']} (fingerprint {before['fingerprint'][:12]}, now "
        f"{now['fingerprint'][:12]}). From step {meta['step']} on their order is that of the new "
        f"set; an epoch has {plan.steps_per_epoch} steps and had {planned.steps_per_epoch}, the "
        f"run {plan.total_steps} and had {planned.total_steps}. Where train and test are parts of "
        f"one set they are divided anew: what was trained on may be tested on"
    )
