"""A run beside the golden curve of its recipe, as text."""

from jaxssl import words
from jaxssl.runs.golden import LEVEL, Verdict


def as_text(verdict: Verdict) -> str:
    """Every number beside what was recorded, and below them whether the run is as it should be."""
    golden = verdict.golden
    rows = [
        (
            point.metric,
            f"{point.step:,}",
            f"{point.value:.4g}",
            f"{point.mean:.4g}",
            f"{point.low:.4g} to {point.high:.4g}",
            "" if point.is_inside else "outside",
        )
        for point in verdict.points
    ]
    said = [
        f"Recorded: {golden.recipe}, {len(golden.seeds)} seeds, {golden.about}; another "
        f"seed lies in these intervals {100 * LEVEL:g} % of the time."
    ]
    if verdict.differing:
        said.append(f"The run differs from it in {', '.join(verdict.differing)}.")
    shown = words.table([("", "step", "this run", "recorded", "another seed", ""), *rows])
    return "\n".join([shown, "", *said, _judgement(verdict)])


def _judgement(verdict: Verdict) -> str:
    count = len(verdict.points)
    if not verdict.outside:
        return f"As recorded: all {count} numbers lie where another seed's would."
    first = verdict.outside[0]
    return (
        f"Not as recorded: {len(verdict.outside)} of {count} numbers lie outside, first "
        f"{first.metric} at step {first.step:,}, {first.value:.4g} where {first.low:.4g} to "
        f"{first.high:.4g} is expected."
    )
