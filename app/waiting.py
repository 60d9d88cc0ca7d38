"""Who waits for an engine, whose turn is next, and who gives way when there is no more room.

Interactive pictures go first, but while both kinds wait, one bulk picture goes for every so many
interactive ones. Within a priority tenants take turns, and each one's pictures keep their order.

Room is divided as turns are. A full queue takes one more picture of a priority that has less than
its part of the places, or of a tenant that has less than another of the same priority, and gives
up the newest picture of whoever has most (McKenney, Stochastic fairness queueing, 1990). Who is
alone may fill the whole queue.
"""

import math
from collections import deque
from collections.abc import Collection, Hashable, Iterable, Iterator
from itertools import zip_longest
from typing import TypeVar

from app.turn import Priority, Turn

T = TypeVar("T", bound=Hashable)


class Waiting(Collection[T]):
    """At most `max_queue` items, each once; belongs to one thread at a time.

    Iterating gives them in the order in which they came.

    Args:
        max_queue: places.
        interactive_per_bulk: interactive items that are taken for each bulk one while both wait.
    """

    def __init__(self, max_queue: int, interactive_per_bulk: int) -> None:
        self._max_queue, self._interactive_per_bulk = max_queue, interactive_per_bulk
        bulk = min(math.ceil(max_queue / (interactive_per_bulk + 1)), max_queue - 1)
        self._places: dict[Priority, int] = {"interactive": max_queue - bulk, "bulk": bulk}
        self._turns: dict[T, Turn] = {}
        # Tenants stand in the order of their turns.
        self._lanes: dict[Priority, dict[str, deque[T]]] = {"interactive": {}, "bulk": {}}
        self._since_bulk = 0

    def __len__(self) -> int:
        return len(self._turns)

    def __iter__(self) -> Iterator[T]:
        return iter(self._turns)

    def __contains__(self, item: object) -> bool:
        return item in self._turns

    def has_room(self, turn: Turn) -> bool:
        """Whether one more would be taken."""
        own = self._lanes[turn.priority].get(turn.tenant, ())
        return len(own) < self.limit(turn.priority)

    def ahead(self, turn: Turn) -> int:
        """How many are due before one more, if nobody else comes.

        Where its tenant waits already, of each other tenant one more may be counted, with those of
        the other priority that go between.
        """
        lane = self._lanes[turn.priority]
        own = len(lane.get(turn.tenant, ()))
        others = (min(len(lane[tenant]), own + 1) for tenant in lane if tenant != turn.tenant)
        rank = own + sum(others)
        if turn.priority == "interactive":
            patient = (self._since_bulk + rank) // self._interactive_per_bulk
            return rank + min(_count(self._lanes["bulk"]), patient)
        urgent = (rank + 1) * self._interactive_per_bulk - self._since_bulk
        return rank + min(_count(self._lanes["interactive"]), max(0, urgent))

    def limit(self, priority: Priority) -> float:
        """From how many waiting items on a tenant is refused; infinite for as long as all fit."""
        lane = self._lanes[priority]
        if len(self) < self._max_queue or _count(lane) < self._places[priority]:
            return math.inf
        return len(_most(lane)) - 1

    def add(self, item: T, turn: Turn) -> T | None:
        """Let an item wait for which there is room.

        Returns:
            the item that had to give way.
        """
        displaced = None
        if len(self) >= self._max_queue:
            displaced = self._newest_of_most(turn.priority)
            self.remove(displaced)
        self._turns[item] = turn
        self._lanes[turn.priority].setdefault(turn.tenant, deque()).append(item)
        return displaced

    def remove(self, item: T) -> None:
        """Forget an item without its turn; its tenant keeps it."""
        turn = self._turns.pop(item)
        lane = self._lanes[turn.priority]
        lane[turn.tenant].remove(item)
        if not lane[turn.tenant]:
            del lane[turn.tenant]

    def take(self, items: Iterable[T]) -> None:
        """Remove items that have had their turn."""
        for item in items:
            turn = self._turns[item]
            self.remove(item)
            lane = self._lanes[turn.priority]
            if turn.tenant in lane:
                lane[turn.tenant] = lane.pop(turn.tenant)
            took_from_bulk = turn.priority == "interactive" and self._lanes["bulk"]
            self._since_bulk = self._since_bulk + 1 if took_from_bulk else 0

    def in_turn(self) -> Iterator[T]:
        """All items in the order in which they are due, if nobody else comes."""
        urgent, patient = (_alternating(lane.values()) for lane in self._lanes.values())
        since_bulk = self._since_bulk
        first, bulk = next(urgent, None), next(patient, None)
        while first is not None or bulk is not None:
            if bulk is not None and (first is None or since_bulk >= self._interactive_per_bulk):
                yield bulk
                bulk, since_bulk = next(patient, None), 0
            elif first is not None:
                yield first
                first, since_bulk = next(urgent, None), since_bulk + 1

    def _newest_of_most(self, priority: Priority) -> T:
        """What gives way to one more of a priority."""
        lane = self._lanes[priority]
        if _count(lane) < self._places[priority]:
            lane = self._lanes["bulk" if priority == "interactive" else "interactive"]
        return _most(lane)[-1]


def _count(lane: dict[str, deque[T]]) -> int:
    return sum(map(len, lane.values()))


def _most(lane: dict[str, deque[T]]) -> deque[T]:
    """The items of the tenant who has most; empty where nobody waits."""
    return max(lane.values(), key=len, default=deque())


def _alternating(queues: Iterable[deque[T]]) -> Iterator[T]:
    """The first of each, the second of each..."""
    for row in zip_longest(*queues):
        yield from (item for item in row if item is not None)
