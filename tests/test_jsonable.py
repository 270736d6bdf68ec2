import dataclasses
import json
from typing import Literal, NamedTuple, NotRequired, TypedDict

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


@dataclasses.dataclass(frozen=True)
class Typed(Outer):
    on: bool = False
    kind: Literal["a", 1] = "a"
    pair: tuple[int, float] = (1, 2.0)
    either: int | str = 1


@dataclasses.dataclass(frozen=True)
class Needed:
    width: int


@dataclasses.dataclass(frozen=True)
class Upgraded:
    new: int = 1

    @classmethod
    def upgrade(cls, fields):
        return {"new": fields["old"]}


class At(NamedTuple):
    x: int
    y: int = 0


class Place(TypedDict):
    name: str
    at: At
    why: NotRequired[str]


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


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"width": "3"}, "width must be a whole number of less than 64 bits; got '3'"),
        ({"width": True}, "width must be a whole number .*; got True"),
        ({"width": 2.0}, "width must be a whole number .*; got 2.0"),
        ({"width": 2**63}, "width must be a whole number .*; got 9223"),
        ({"rate": "fast"}, "rate must be a number; got 'fast'"),
        ({"rate": None}, "rate must be a number; got None"),
        ({"rate": 10**400}, r"rate must be a number; got 10{76}\.\.\."),
        ({"on": 1}, "on must be true or false; got 1"),
        ({"name": ["a"]}, r"name must be text; got \['a'\]"),
        ({"kind": "c"}, "kind must be one of 'a', 1; got 'c'"),
        ({"kind": True}, "kind must be one of 'a', 1; got True"),
        ({"rows": 3}, "rows must be a list; got 3"),
        ({"rows": [[1, "x"]]}, "rows must be a whole number .*; got 'x'"),
        ({"pair": [1]}, r"pair must be a list of 2; got \[1\]"),
        ({"inner": []}, r"inner must be an object, name to value; got \[\]"),
        ({"either": 1.5}, "either must be text; got 1.5"),
    ],
    ids=str,
)
def test_values_of_another_type_name_their_field(fields, told):
    with pytest.raises(ValueError, match=f"^Typed: {told}"):
        jsonable.from_json(Typed, fields)


def test_a_field_without_a_default_must_be_there():
    with pytest.raises(ValueError, match=r"^Needed: width must be there; got none"):
        jsonable.from_json(Needed, {})


def test_fields_that_an_upgrade_misses_are_named():
    with pytest.raises(ValueError, match=r"^Upgraded: old must be there; got none"):
        jsonable.from_json(Upgraded, {})


def test_what_could_not_be_read_back_is_not_written():
    with pytest.raises(ValueError, match=r"^Typed: on must be true or false; got 'yes'"):
        jsonable.to_json(Typed(on="yes"))


def test_objects_of_named_entries():
    found = jsonable.read(Place, {"name": "a", "at": {"x": 1}, "more": 2}, "place")
    assert found == {"name": "a", "at": At(1), "more": 2}
    with pytest.raises(ValueError, match=r"^place: at\.x must be there; got none"):
        jsonable.read(Place, {"name": "a", "at": {}}, "place")
    with pytest.raises(ValueError, match=r"^place must be an object, name to value; got None"):
        jsonable.read(Place, None, "place")
