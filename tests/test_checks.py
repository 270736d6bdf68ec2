"""One message for each kind of check: who, which field, what must hold, what came, the fix."""

import dataclasses
import math
import re

import pytest

from jaxssl import checks
from jaxssl.training.optimizers import OptimizerConfig


@dataclasses.dataclass(frozen=True)
class Owner:
    """Whose fields are checked."""

    count: int = 1
    rate: float = 0.5
    grid: tuple[float, ...] = (0.5, 1.0)
    mode: str = "mean"
    left_out: None = None


def refused(check, *args, **kwargs):
    with pytest.raises(ValueError) as caught:
        check(*args, **kwargs)
    return str(caught.value)


def test_what_holds_passes():
    owner = Owner()
    checks.at_least(owner, 1, "count", "left_out")
    checks.at_least(owner, 0.5, "rate", "grid")
    checks.above(owner, 0, "count", "rate", "grid", "left_out")
    checks.in_range(owner, 0.5, 1, "count", "rate", "grid", "left_out")
    checks.in_range(owner, 0, 1, "rate", open_left=True, open_right=True)
    checks.choice(owner, ("mean", "max"), "mode")


@pytest.mark.parametrize(
    ("check", "bounds", "values", "message"),
    [
        (checks.at_least, (1,), {"count": 0}, "f: count must be at least 1; got 0."),
        (checks.at_least, (1,), {"a": 1, "b": -2}, "f: b must be at least 1; got -2."),
        (checks.at_least, (1,), {"a": (2, 0)}, "f: a must be at least 1; got (2, 0)."),
        (checks.above, (0,), {"a": 0.0}, "f: a must be finite and above 0; got 0.0."),
        (checks.above, (0,), {"a": math.inf}, "f: a must be finite and above 0; got inf."),
        (checks.in_range, (0, 1), {"a": -0.1}, "f: a must be in [0, 1]; got -0.1."),
        (checks.in_range, (0, 1), {"a": 1.5}, "f: a must be in [0, 1]; got 1.5."),
        (checks.choice, ((1, 4),), {"a": 2}, "f: a must be one of 1, 4; got 2."),
        (checks.choice, (("x", "y"),), {"a": None}, "f: a must be one of 'x', 'y'; got None."),
        (checks.choice, ({"x": 1},), {"a": []}, "f: a must be one of 'x'; got []."),
    ],
)
def test_what_does_not_hold_is_named_with_what_came(check, bounds, values, message):
    assert refused(check, "f", *bounds, **values) == message
    assert refused(check, "f", *bounds, **values, fix="Try 1.") == f"{message} Try 1."


@pytest.mark.parametrize("check", [checks.at_least, checks.above])
def test_what_is_no_number_never_holds(check):
    assert refused(check, "f", 0, a=math.nan).endswith("got nan.")
    assert refused(checks.in_range, "f", 0, 1, a=math.nan).endswith("got nan.")


@pytest.mark.parametrize(
    ("ends", "outside", "interval"),
    [
        ({"open_left": True}, 0, "(0, 1]"),
        ({"open_right": True}, 1, "[0, 1)"),
        ({"open_left": True, "open_right": True}, 1, "(0, 1)"),
    ],
)
def test_an_open_end_is_outside(ends, outside, interval):
    assert f"must be in {interval}; got {outside}" in refused(
        checks.in_range, "f", 0, 1, a=outside, **ends
    )
    checks.in_range("f", 0, 1, a=1 - outside if len(ends) == 1 else 0.5, **ends)


def test_a_dataclass_is_named_by_its_class():
    assert re.match("Owner: rate must be", refused(checks.at_least, Owner(), 1, "count", "rate"))
    assert re.match("Owner: mode must be", refused(checks.choice, Owner(), ("max",), "mode"))


def test_a_config_that_is_always_the_same_option_is_named_as_it_is_typed():
    with pytest.raises(ValueError, match=r"^optimizer.momentum: must be in \[0, 1\); got 1.0\.$"):
        OptimizerConfig(momentum=1.0)
