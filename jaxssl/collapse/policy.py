"""When measurements mean that a run has collapsed, and what its config wants done about it."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal, NamedTuple, get_args

from jaxssl import checks
from jaxssl.collapse import measures

Action = Literal["ignore", "warn", "stop", "rewind"]

_SCALE = f"{measures.PREFIX}embedding_scale"
_EMBEDDING_FIX = (
    "Likely: a stop-gradient, predictor, centring or variance term that is missing or too weak, "
    "or too high a rate: lower optimizer.base_learning_rate or lengthen the warm-up"
)
_FEATURE_FIX = "Likely: too high a rate: lower optimizer.base_learning_rate or lengthen the warm-up"


class CollapsedError(RuntimeError):
    """The run collapsed, and its config says that it must not go on."""


@dataclasses.dataclass(frozen=True)
class CollapseConfig:
    """When a run counts as collapsed, and what happens then; changes no number of the run.

    A run is suspected while its last measurement lies below one of the thresholds, and collapsed
    after ``patience`` such rows in succession, or if it is suspected at its last step. The
    encoder's features are judged, and the embeddings of a method that compares views.

    Attributes:
        action: what a collapse does. ignore: nothing; warn: prints one line; stop: ends the run,
            which saves no checkpoint while it is suspected; rewind: the same, and what was saved
            and logged since the first of those rows is removed, so that evaluation reads the
            newest healthy checkpoint.
        min_spread: lowest collapse/embedding_spread; at 0.1 a hundredth of the mean square of unit
            rows lies in their differences.
        min_feature_spread: lowest collapse/feature_spread; lower, since healthy features, which
            are no less than 0, share much of their direction.
        min_rank: lowest collapse/embedding_rank and feature_rank; one direction has rank 1.
        min_scale: lowest collapse/embedding_scale, as a part of the largest so far in the run; for
            embeddings that shrink to nothing in all directions at once.
        min_prototypes: lowest collapse/prototypes_used, where a method has prototypes.
        patience: rows in succession.
        grace_steps: first steps that are not judged: a network that has just begun may look alike.
    """

    OPTION: ClassVar[str] = "run.collapse"

    action: Action = "warn"
    min_spread: float = 0.1
    min_feature_spread: float = 0.02
    min_rank: float = 1.5
    min_scale: float = 0.05
    min_prototypes: float = 1.5
    patience: int = 3
    grace_steps: int = 100

    def __post_init__(self):
        checks.choice(self, get_args(Action), "action")
        checks.at_least(self, 1, "patience")
        checks.at_least(self, 0, "min_spread", "min_feature_spread", "min_rank", "min_scale")
        checks.at_least(self, 0, "min_prototypes", "grace_steps")

    @property
    def ends_run(self) -> bool:
        """Whether a collapse ends the run, and a suspected state is not saved."""
        return self.action in ("stop", "rewind")


class Finding(NamedTuple):
    """A measurement below its threshold."""

    name: str
    value: float
    threshold: float

    def __str__(self) -> str:
        return f"{self.name} is {self.value:.3g}, below {self.threshold:g}"


class Collapse(NamedTuple):
    """A run that counts as collapsed.

    Attributes:
        finding: the measurement that lies below its threshold.
        first_step: the first of the rows in succession at which one did.
        step: the row at which the run came to count as collapsed.
    """

    finding: Finding
    first_step: int
    step: int

    def __str__(self) -> str:
        rows = f"at step {self.step}"
        if self.first_step != self.step:
            rows += f" (suspected in every row since step {self.first_step})"
        return f"the run has collapsed: {self.finding} {rows}"

    @property
    def likely_fix(self) -> str:
        """What most often helps, a sentence without its end."""
        of_features = self.finding.name.startswith(f"{measures.PREFIX}feature_")
        return _FEATURE_FIX if of_features else _EMBEDDING_FIX


def warning(collapse: Collapse) -> str:
    """What a run that goes on prints, once."""
    return (
        f"warning: {collapse}. {collapse.likely_fix}. It goes on; --run.collapse.action stop or "
        "rewind would end it."
    )


def ending(collapse: Collapse, action: Action, *, healthy: int | None, newest: int | None) -> str:
    """What a run says that its policy ends.

    Args:
        collapse: what was found.
        action: "stop" or "rewind".
        healthy: the newest checkpoint before the first row that was suspected, or None.
        newest: the newest checkpoint of all when the run ended, or None.
    """
    if action == "rewind":
        to = "its beginning, since no" if healthy is None else f"step {healthy}, the newest"
        done = f"It stopped and went back to {to} healthy checkpoint"
    else:
        done = f"It stopped; {'no' if healthy is None else 'the newest'} healthy checkpoint"
        done += " was saved" if healthy is None else f" is step {healthy}"
        if newest != healthy:
            done += f" (later ones, to {newest}, are not: evaluate with --step)"
    return (
        f"{collapse}. {done}. The same command would collapse again. {collapse.likely_fix}, and "
        "start afresh with another --out."
    )


class Guard:
    """Judges the rows of a run one after the other; the same rows give the same judgement."""

    def __init__(self, config: CollapseConfig, *, last_step: int):
        self._config, self._last_step = config, last_step
        self._since: int | None = None  # first step of the rows in succession below a threshold
        self._judged = 0  # of these rows, how many lie after the grace period
        self._largest_scale = 0.0
        self.step = 0  # of the last row that was seen
        self.collapse: Collapse | None = None

    @property
    def suspected(self) -> bool:
        """Whether the last row lay below a threshold, after the grace period."""
        return self._judged > 0

    def see(self, step: int, row: Mapping[str, float]) -> None:
        """Takes the row of a step; ``collapse`` is set from the row on that made it one."""
        self.step = step
        self._largest_scale = max(self._largest_scale, row.get(_SCALE, 0.0))
        found = self.below(row)
        if found is None:
            self._since, self._judged, self.collapse = None, 0, None
            return
        self._since = step if self._since is None else self._since
        self._judged += self.is_judged(step)
        # After the last row no other can clear the suspicion.
        enough = self._judged >= self._config.patience or step == self._last_step
        if self.suspected and enough and self.collapse is None:
            self.collapse = Collapse(found, self._since, step)

    def is_judged(self, step: int) -> bool:
        """Whether a step lies after the grace period."""
        return step > self._config.grace_steps

    def replay(self, rows: Iterable[Mapping[str, float]]) -> None:
        """Takes the rows that a run wrote before it was resumed."""
        for row in rows:
            self.see(int(row["step"]), row)

    def below(self, row: Mapping[str, float]) -> Finding | None:
        """The first measurement of a row that lies below its threshold, grace or not."""
        config = self._config
        # Embeddings come first: where both have fallen, theirs is the nearer cause.
        thresholds = {
            "embedding_spread": config.min_spread,
            "embedding_rank": config.min_rank,
            "embedding_scale": config.min_scale * self._largest_scale,
            "prototypes_used": config.min_prototypes,
            "feature_spread": config.min_feature_spread,
            "feature_rank": config.min_rank,
        }
        for name, threshold in thresholds.items():
            value = row.get(measures.PREFIX + name)
            if value is not None and value < threshold:
                return Finding(measures.PREFIX + name, value, threshold)
        return None
