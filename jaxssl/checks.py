"""What the numbers and words of a config, or of a call, must hold; one clear ValueError otherwise.

The owner is a dataclass, whose fields are named, or what a function is called, whose arguments
follow under their names. The first that does not hold is refused:

    BYOL: target_momentum must be in [0, 1]; got 1.5. <the likely fix>

A dataclass that is always the same option says so, ``OPTION = "optimizer"``, and its fields are
then named as they are typed: "optimizer.momentum: must be …". Of a tuple every number must hold.
None, a number that is left out, always holds.
"""

import math
import operator
from collections.abc import Callable, Collection


def at_least(owner: object, low: float, /, *fields: str, fix: str = "", **values: object) -> None:
    """Raises a ValueError unless all are ``low`` or more."""
    numbers = _named(owner, fields, values)
    _check(owner, numbers, lambda value: value >= low, f"at least {low}", fix)


def above(owner: object, low: float, /, *fields: str, fix: str = "", **values: object) -> None:
    """Raises a ValueError unless all are finite and more than ``low``."""
    numbers = _named(owner, fields, values)
    _check(owner, numbers, lambda value: low < value < math.inf, f"finite and above {low}", fix)


def in_range(
    owner: object,
    low: float,
    high: float,
    /,
    *fields: str,
    open_left: bool = False,
    open_right: bool = False,
    fix: str = "",
    **values: object,
) -> None:
    """Raises a ValueError unless all lie between ``low`` and ``high``.

    ``open_left`` and ``open_right`` exclude the ends, as the brackets of the message say.
    """

    after = operator.lt if open_left else operator.le
    before = operator.lt if open_right else operator.le

    def holds(value: float) -> bool:
        return after(low, value) and before(value, high)

    interval = f"{'(' if open_left else '['}{low}, {high}{')' if open_right else ']'}"
    _check(owner, _named(owner, fields, values), holds, f"in {interval}", fix)


def choice(
    owner: object,
    choices: Collection[object],
    /,
    *fields: str,
    fix: str = "",
    **values: object,
) -> None:
    """Raises a ValueError that lists the choices unless all are among them."""
    for field, value in _named(owner, fields, values).items():
        if value not in tuple(choices):  # of a dict's names a list could not be sought
            names = ", ".join(map(repr, choices))
            raise ValueError(_message(owner, field, f"one of {names}", repr(value), fix))


def _named(owner: object, fields: tuple[str, ...], values: dict[str, object]) -> dict[str, object]:
    return {field: getattr(owner, field) for field in fields} | values


def _check(
    owner: object,
    numbers: dict[str, object],
    holds: Callable[[float], bool],
    must: str,
    fix: str,
) -> None:
    for field, value in numbers.items():
        every = value if isinstance(value, tuple) else () if value is None else (value,)
        if not all(map(holds, every)):
            raise ValueError(_message(owner, field, must, value, fix))


def _message(owner: object, field: str, must: str, got: object, fix: str) -> str:
    name = owner if isinstance(owner, str) else type(owner).__name__
    option = getattr(owner, "OPTION", None)
    subject = f"{name}: {field}" if option is None else f"{option}.{field}:"
    return f"{subject} must be {must}; got {got}. {fix}".rstrip()
