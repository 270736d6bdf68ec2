"""Which layout a file's tensors are of, and which of several networks in it is meant."""

from typing import NamedTuple

from jaxssl import named, words
from jaxssl.interop import layouts
from jaxssl.interop.layout import Guess, Layout, Tensors

MAX_NAMED = 5
# Of two networks in one file, the one that its authors evaluate.
PREFERRED = ("teacher", "target_encoder", "base_encoder", "encoder_q")


class Recognised(NamedTuple):
    """What a file holds.

    Attributes:
        layout: how its tensors are named.
        prefix: what stands before the names, "module.base_encoder." or nothing.
        guess: what the shapes say.
        tensors: the encoder's, without the prefix.
        others: names that are none of its: heads, decoders, other networks.
    """

    layout: Layout
    prefix: str
    guess: Guess
    tensors: dict
    others: tuple[str, ...]


class _Attempt(NamedTuple):
    layout: Layout
    prefix: str
    guess: Guess | None
    differing: list[str]
    used: int

    @property
    def rank(self) -> tuple[int, bool]:
        """How much of the file it names, and whether it can be written."""
        return self.used, bool(self.layout.programs)

    @property
    def distance(self) -> tuple[bool, int, bool]:
        """How far the file is from it."""
        return self.guess is None, len(self.differing), not self.layout.programs


def all_layouts() -> dict[str, Layout]:
    """Every layout by its name; a new file in ``layouts/`` is found by walking."""
    found: dict[str, Layout] = {}
    for module in named.modules_of(layouts.__name__):
        found |= {each.name: each for each in module.LAYOUTS}
    return found


def recognise(tensors: Tensors, *, where: str, prefix: str | None = None) -> Recognised:
    """The layout of a file's tensors.

    Args:
        tensors: by name.
        where: the file, for messages.
        prefix: what stands before the names of the network that is meant; None finds it.

    Raises:
        ValueError: tensors of no layout (names the nearest, and up to five leaves that differ), or
            of several networks of which none is known to be meant.
    """
    attempts = [
        _attempt(layout, tensors, found)
        for layout in all_layouts().values()
        for found in _prefixes(layout, tensors)
        if prefix in (None, found)
    ]
    if not attempts:
        raise ValueError(_nothing(tensors, where, prefix))
    fitting = [each for each in attempts if not each.differing]
    if not fitting:
        nearest = min(attempts, key=lambda each: each.distance)
        raise ValueError(
            f"{where}: its tensors must be those of a known layout; the nearest is "
            f"{nearest.layout.name}; differing: {_shown(nearest.differing)}."
        )
    chosen = _chosen(fitting, where)
    assert chosen.guess is not None  # else something would differ
    own = {name: tensors[chosen.prefix + name] for name in chosen.layout.shapes(chosen.guess)}
    named = {chosen.prefix + name for name in own}
    others = tuple(name for name in tensors if name not in named)
    return Recognised(chosen.layout, chosen.prefix, chosen.guess, own, others)


def _prefixes(layout: Layout, tensors: Tensors) -> list[str]:
    """What stands before the layout's anchor, wherever that is among the names."""
    ends = [name.removesuffix(layout.anchor) for name in tensors if name.endswith(layout.anchor)]
    return [end for end in ends if not end or end.endswith(".")]


def _attempt(layout: Layout, tensors: Tensors, prefix: str) -> _Attempt:
    inside = {
        name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)
    }
    try:
        guess = layout.guess(inside)
        differing = layout.differences(inside, guess)
        used = len(layout.shapes(guess)) if not differing else 0
    except KeyError as error:
        return _Attempt(layout, prefix, None, [f"{error.args[0]}: nothing there"], 0)
    except (ValueError, IndexError, TypeError) as error:  # sizes that no such encoder can have
        return _Attempt(layout, prefix, None, [" ".join(str(error).split()).rstrip(".")], 0)
    return _Attempt(layout, prefix, guess, differing, used)


def _chosen(fitting: list[_Attempt], where: str) -> _Attempt:
    """The one that is meant; of several layouts of one network the one that names more of it."""
    by_prefix: dict[str, _Attempt] = {}
    for each in fitting:
        best = by_prefix.get(each.prefix)
        if best is None or each.rank > best.rank:
            by_prefix[each.prefix] = each
    for word in PREFERRED:
        meant = [each for prefix, each in by_prefix.items() if word in prefix.split(".")]
        if len(meant) == 1:
            return meant[0]
    if len(by_prefix) > 1:
        raise ValueError(
            f"{where}: must hold one network, or --prefix must say which; got those of "
            f"{', '.join(repr(prefix) for prefix in by_prefix)}."
        )
    return next(iter(by_prefix.values()))


def _nothing(tensors: Tensors, where: str, prefix: str | None) -> str:
    """What to say where no anchor is there."""
    known = all_layouts()
    if prefix is not None:
        found = {each for layout in known.values() for each in _prefixes(layout, tensors)}
        if found:
            return (
                f"{where}: --prefix must be one of {', '.join(map(repr, sorted(found)))}; got "
                f"{prefix!r}.{words.nearest(prefix, found)}"
            )
    anchors: dict[str, Layout] = {}
    for layout in sorted(known.values(), key=lambda layout: not layout.programs):
        anchors.setdefault(layout.anchor, layout)
    near = next(
        (each for name in tensors if (each := words.find_nearest(name, anchors)) is not None), None
    )
    first = ", ".join(list(tensors)[:MAX_NAMED])
    hint = f" The nearest is {anchors[near].name}, which has {near}." if near else ""
    return (
        f"{where}: its tensors must be those of a known layout: {', '.join(known)}; got {first}"
        f"{' and others' * (len(tensors) > MAX_NAMED)}.{hint}"
    )


def _shown(differing: list[str]) -> str:
    more = len(differing) - MAX_NAMED
    return "; ".join(differing[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
