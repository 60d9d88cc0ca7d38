"""Properties of the order: nothing is lost, nobody starves, room is bounded and shared."""

import math
from collections import Counter, deque
from collections.abc import Iterator
from itertools import count, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.turn import PRIORITIES, Priority, Turn
from app.waiting import Waiting

TURNS = [Turn(tenant, priority) for tenant in "abc" for priority in PRIORITIES]
turns = st.sampled_from(TURNS)
# What happens: somebody comes, somebody leaves, so many are taken.
events = st.lists(
    st.one_of(
        st.tuples(st.just("come"), turns),
        st.tuples(st.just("leave"), st.integers(0, 99)),
        st.tuples(st.just("take"), st.integers(1, 4)),
    ),
    max_size=60,
)


def fill(waiting: Waiting[int], *groups: tuple[Turn, int]) -> list[int | None]:
    """Let so many come per turn, one group after the other; gives who was displaced."""
    items = count(len(waiting))
    return [waiting.add(next(items), turn) for turn, number in groups for _ in range(number)]


def served(waiting: Waiting[int]) -> Iterator[int]:
    while waiting:
        item = next(waiting.in_turn())
        waiting.take([item])
        yield item


@given(st.lists(turns, max_size=30), st.integers(0, 5), st.integers(1, 4), turns)
def test_who_is_ahead_is_known_before_one_comes(
    arrivals: list[Turn], gone: int, per_bulk: int, turn: Turn
) -> None:
    waiting: Waiting[int] = Waiting(100, per_bulk)
    fill(waiting, *((arrival, 1) for arrival in arrivals))
    list(islice(served(waiting), gone))
    tenants = {t.tenant for t in waiting._turns.values() if t.priority == turn.priority}
    ahead = waiting.ahead(turn)
    waiting.add(-1, turn)
    place = list(waiting.in_turn()).index(-1)
    if turn.tenant not in tenants:
        assert place == ahead
    # Of each other tenant one more may be counted, and what may go between those.
    others = len(tenants - {turn.tenant})
    assert place <= ahead <= place + others * (1 + per_bulk)


@given(events, st.integers(1, 8), st.integers(1, 4))
def test_nothing_is_lost_or_doubled_and_the_bound_holds(
    events: list[tuple[str, object]], max_queue: int, interactive_per_bulk: int
) -> None:
    waiting: Waiting[int] = Waiting(max_queue, interactive_per_bulk)
    inside: dict[int, Turn] = {}
    for number, (what, value) in enumerate(events):
        if what == "come":
            assert isinstance(value, Turn)
            if waiting.has_room(value):
                displaced = waiting.add(number, value)
                assert (displaced is None) == (len(inside) < max_queue)
                if displaced is not None:
                    assert inside.pop(displaced) != value
                inside[number] = value
            else:
                assert len(inside) == max_queue
        elif what == "leave" and inside:
            assert isinstance(value, int)
            item = list(inside)[value % len(inside)]
            waiting.remove(item)
            del inside[item]
        elif what == "take":
            assert isinstance(value, int)
            group = list(islice(waiting.in_turn(), value))
            waiting.take(group)
            for item in group:
                del inside[item]
        assert list(waiting) == list(inside)
        assert len(waiting) == len(inside) <= max_queue
        assert sorted(waiting.in_turn()) == sorted(inside)


@given(st.lists(turns, min_size=1, max_size=40), st.integers(1, 4))
def test_what_is_announced_is_what_happens(arrivals: list[Turn], per_bulk: int) -> None:
    waiting: Waiting[int] = Waiting(64, per_bulk)
    for item, turn in enumerate(arrivals):
        waiting.add(item, turn)
    assert list(waiting.in_turn()) == list(served(waiting))


@given(st.lists(turns, min_size=1, max_size=40), st.integers(1, 4))
def test_each_tenant_s_pictures_keep_their_order(arrivals: list[Turn], per_bulk: int) -> None:
    waiting: Waiting[int] = Waiting(64, per_bulk)
    for item, turn in enumerate(arrivals):
        waiting.add(item, turn)
    order = list(served(waiting))
    for turn in TURNS:
        own = [item for item in order if arrivals[item] == turn]
        assert own == sorted(own)


@given(
    st.lists(turns, min_size=1, max_size=30),
    turns,
    st.lists(turns, min_size=200, max_size=200),
    st.integers(1, 4),
    st.integers(1, 3),
)
def test_nobody_starves_whoever_else_comes(
    before: list[Turn], mine: Turn, after: list[Turn], per_bulk: int, batch: int
) -> None:
    """One comes after each batch, and still my picture goes within a known number of pictures."""
    waiting: Waiting[int] = Waiting(1000, per_bulk)
    for item, turn in enumerate([*before, mine]):
        waiting.add(item, turn)
    my_item, own = len(before), before.count(mine) + 1
    tenants, share = 3, (per_bulk if mine.priority == "interactive" else 1) / (per_bulk + 1)
    bound = math.ceil((own * tenants + batch) / share) + batch * (per_bulk + 1)
    taken = 0
    for item, turn in enumerate(after, my_item + 1):
        group = list(islice(waiting.in_turn(), batch))
        waiting.take(group)
        taken += len(group)
        if my_item in group:
            break
        for extra in range(batch):
            waiting.add((item, extra), turn)  # type: ignore[arg-type]
    assert my_item not in waiting
    assert taken <= bound


@pytest.mark.parametrize("per_bulk", [1, 3])
def test_bulk_gets_its_share_while_both_wait(per_bulk: int) -> None:
    waiting: Waiting[int] = Waiting(64, per_bulk)
    fill(waiting, (Turn(priority="bulk"), 8), (Turn(), 8 * per_bulk))
    kinds = ["bulk" if item < 8 else "interactive" for item in served(waiting)]
    assert kinds == [*["interactive"] * per_bulk, "bulk"] * 8


def test_interactive_goes_first_when_bulk_has_had_its_share() -> None:
    waiting: Waiting[int] = Waiting(64, 3)
    fill(waiting, (Turn(priority="bulk"), 10))
    waiting.take(list(islice(waiting.in_turn(), 5)))
    waiting.add(99, Turn())
    assert next(waiting.in_turn()) == 99


def test_tenants_take_turns_and_a_batch_counts_for_each_of_its_pictures() -> None:
    waiting: Waiting[int] = Waiting(64, 3)
    fill(waiting, (Turn("a"), 4), (Turn("b"), 2), (Turn("c"), 1))
    assert list(waiting.in_turn()) == [0, 4, 6, 1, 5, 2, 3]
    waiting.take([0, 1])  # of one size, for example
    assert list(waiting.in_turn()) == [4, 6, 2, 5, 3]


def test_who_is_alone_may_fill_the_queue_and_gives_way_to_others() -> None:
    waiting: Waiting[int] = Waiting(8, 3)
    assert fill(waiting, (Turn("a"), 8)) == [None] * 8
    assert not waiting.has_room(Turn("a"))
    assert waiting.limit("interactive") == 7
    assert [waiting.add(100 + i, Turn("b")) for i in range(4)] == [7, 6, 5, 4]
    assert not waiting.has_room(Turn("b"))
    assert not waiting.has_room(Turn("a"))
    assert waiting.has_room(Turn("c"))


def test_each_priority_has_its_part_of_the_places() -> None:
    waiting: Waiting[int] = Waiting(8, 3)
    fill(waiting, (Turn("a"), 8))
    bulk = Turn("a", "bulk")
    assert waiting.limit("bulk") == math.inf
    assert [waiting.add(100 + i, bulk) for i in range(2)] == [7, 6]
    assert not waiting.has_room(bulk)
    waiting.take(list(waiting))
    fill(waiting, (bulk, 8))
    assert [waiting.add(200 + i, Turn("b")) for i in range(6)] == [7, 6, 5, 4, 3, 2]
    assert not waiting.has_room(Turn("b"))


def test_a_queue_of_one_place_prefers_interactive() -> None:
    waiting: Waiting[int] = Waiting(1, 3)
    waiting.add(0, Turn(priority="bulk"))
    assert not waiting.has_room(Turn("b", "bulk"))
    assert waiting.add(1, Turn()) == 0
    assert not waiting.has_room(Turn("b", "bulk"))
    assert list(waiting) == [1]


def test_ten_tenants_of_very_different_eagerness_are_served_alike() -> None:
    """A loop of overload: tenant i tries i + 1 times between two pictures."""
    waiting: Waiting[int] = Waiting(40, 3)
    items, owner = count(), {}
    answered: Counter[str] = Counter()
    for _ in range(1000):
        for tenant in range(10):
            for _ in range(tenant + 1):
                turn = Turn(str(tenant))
                if waiting.has_room(turn):
                    item = next(items)
                    owner[item] = turn.tenant
                    waiting.add(item, turn)
        item = next(waiting.in_turn())
        waiting.take([item])
        answered[owner[item]] += 1
    assert set(answered) == {str(tenant) for tenant in range(10)}
    assert max(answered.values()) - min(answered.values()) <= 1


@pytest.mark.parametrize("priority", PRIORITIES)
def test_what_waits_when_one_is_refused_is_through_when_it_was_told_to_return(
    priority: Priority,
) -> None:
    """`Retry-After` counts on `max_queue` pictures, however many others come meanwhile."""
    waiting: Waiting[int] = Waiting(40, 3)
    items, kinds = count(), deque(PRIORITIES)
    owner: dict[int, Priority] = {}

    def come(kind: Priority) -> None:
        while waiting.has_room(Turn(priority=kind)):
            item = next(items)
            owner[item] = kind
            waiting.add(item, Turn(priority=kind))

    for kind in kinds:
        come(kind)
    assert not waiting.has_room(Turn(priority=priority))
    ahead = {item for item in waiting if owner[item] == priority}
    for _ in range(40):
        waiting.take([next(waiting.in_turn())])
        for kind in kinds:
            come(kind)
    assert not ahead & set(waiting)
