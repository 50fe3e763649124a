"""Pareto fronts: which of several points no other one beats. Points are losses, one for each objective: less is better in all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

Losses = tuple[float, ...]


def dominates(a: Losses, b: Losses) -> bool:
    """Whether ``a`` is nowhere worse than ``b`` and somewhere better."""
    return a != b and all(ours <= theirs for ours, theirs in zip(a, b, strict=True))


def front(points: Sequence[Losses]) -> list[int]:
    """The positions of the points that no other one dominates, ascending. Equal points stand or fall together."""
    found: list[int] = []
    for position in range(len(points)):
        found = with_one_more(points.__getitem__, found, position)
    return sorted(found)


def with_one_more(losses: Callable[[int], Losses], members: Sequence[int], newcomer: int) -> list[int]:
    """The front of ``members``, a front already, and a newcomer, by their numbers: it costs one look at each of them."""
    new = losses(newcomer)
    if any(dominates(losses(member), new) for member in members):
        return list(members)
    return [*(member for member in members if not dominates(new, losses(member))), newcomer]


def crowding(points: Sequence[Losses]) -> list[float]:
    """How lonely each point of a front is: the sum over the objectives of the distance between its two neighbours, as a share of the range.

    Infinite for the least and the greatest in any objective. Source: Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm:
    NSGA-II", IEEE Transactions on Evolutionary Computation 6 (2002), section III B.
    """
    distances = [0.0] * len(points)
    for values in zip(*points, strict=True):
        order = sorted(range(len(points)), key=values.__getitem__)
        span = values[order[-1]] - values[order[0]]
        distances[order[0]] = distances[order[-1]] = float("inf")
        for before, here, after in zip(order, order[1:], order[2:], strict=False):
            distances[here] += (values[after] - values[before]) / span if span > 0 else 0.0
    return distances


def hypervolume(points: Iterable[Losses], reference: Losses) -> float:
    """The volume of what is dominated by any of the points and dominates ``reference``: 0 for points that are nowhere better than it.

    By slices along the last objective, so for few objectives and points. Source: Zitzler and Thiele, IEEE Transactions on Evolutionary
    Computation 3 (1999).
    """
    inside = [point for point in points if all(value < limit for value, limit in zip(point, reference, strict=True))]
    if len(reference) == 1:
        return max((reference[0] - value for (value,) in inside), default=0.0)
    inside.sort(key=lambda point: point[-1])
    volume = 0.0
    for index, point in enumerate(inside):
        upper = inside[index + 1][-1] if index + 1 < len(inside) else reference[-1]
        if upper > point[-1]:
            volume += (upper - point[-1]) * hypervolume([each[:-1] for each in inside[: index + 1]], reference[:-1])
    return volume
