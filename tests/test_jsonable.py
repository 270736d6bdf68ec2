import dataclasses
import json

import pytest

from jaxssl import jsonable


@dataclasses.dataclass(frozen=True)
class Inner:
    scale: tuple[float, ...] = (0.5, 1.0)


@dataclasses.dataclass(frozen=True)
class Outer:
    inner: Inner = Inner()
    width: int | None = None
    rate: float = 1.0
    name: str = "a"
    rows: tuple[tuple[int, ...], ...] = ()


@pytest.mark.parametrize(
    "value",
    [Outer(), Outer(Inner((0.1,)), width=3, rate=2.5, name="b", rows=((1, 0), (0, 1)))],
    ids=str,
)
def test_round_trip_through_json(value):
    text = json.dumps(jsonable.to_json(value))
    found = jsonable.from_json(Outer, json.loads(text))
    assert found == value
    assert hash(found) == hash(value)


def test_whole_numbers_of_float_fields_come_back_as_floats():
    assert isinstance(jsonable.from_json(Outer, {"rate": 2}).rate, float)


def test_missing_fields_take_their_defaults():
    assert jsonable.from_json(Outer, {}) == Outer()


def test_records_from_before_a_field_get_what_was_so_then():
    @dataclasses.dataclass(frozen=True)
    class Grown:
        width: int = 1
        activated: bool = jsonable.added(True, before=False)

    assert Grown().activated
    assert jsonable.from_json(Grown, {"width": 2}) == Grown(2, activated=False)
    assert jsonable.from_json(Grown, jsonable.to_json(Grown(2))) == Grown(2)


def test_unknown_field_names_the_nearest():
    with pytest.raises(
        ValueError, match=r"""Outer: a field must be .*got 'widht'. Did you mean "width"\?"""
    ):
        jsonable.from_json(Outer, {"widht": 3})
