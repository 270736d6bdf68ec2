"""What is said of an evaluation whose data are not those of pretraining."""

from collections.abc import Mapping

from jaxssl.evaluation.subject import NETWORKS


def sentence(record: Mapping) -> str:
    """From which data set to which one, and what is done to its images; empty where it is the same.

    Args:
        record: a result file (``protocol.write``).
    """
    described, subject = record["protocol"], record["subject"]
    before, now = subject.get("pretraining_dataset"), described["dataset"]
    if before in (None, now):
        return ""
    said = f"transfer from {before} to {now}"
    if "image_size" not in described:
        return said
    size, channels = described["image_size"], described["channels"]
    said += (
        f": images resized by their short side and cropped to {size} x {size} pixels, of "
        f"{'1 channel' if channels == 1 else f'{channels} channels'}"
    )
    fields = subject["architecture"]["fields"]
    if subject["encoder"] in NETWORKS and "mean" in fields:
        mean, std = (" ".join(f"{each:g}" for each in fields[name]) for name in ("mean", "std"))
        said += f"; standardised by the run's own mean {mean} and deviation {std}"
    return said
