"""Who is decoded next, whatever is asked and left: with rows that count."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t2t.decode.batching import Batcher, Ticket, Written


class Counting:
    """Rows that write 0, 1, … up to their prompt, one a step; negative ones fail."""

    def __init__(self, rows: int) -> None:
        self.rows, self.most, self.count = rows, 0, 0
        self.live: dict[int, tuple[int, int]] = {}  # handle -> (written, wanted)
        self.begun: list[int] = []

    @property
    def free(self) -> int:
        return self.rows - len(self.live)

    def join(self, prompt: int) -> int:
        if prompt < 0:
            raise ValueError("negative")
        assert self.free, "more rows than there are"
        self.count += 1
        self.live[self.count] = (0, prompt)
        self.begun.append(prompt)
        self.most = max(self.most, len(self.live))
        return self.count

    def leave(self, handle: int) -> None:
        del self.live[handle]

    def step(self) -> dict[int, Written]:
        found = {}
        for handle, (written, wanted) in list(self.live.items()):
            tokens = list(range(min(written + 1, wanted)))
            self.live[handle] = (len(tokens), wanted)
            done = len(tokens) == wanted
            found[handle] = Written(tokens, [(tokens, -1.0)] if done else None)
            if done:
                self.leave(handle)
        return found


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(-1, 6), st.sampled_from("abc")),
        st.tuples(st.just("advance"), st.integers(1, 3), st.just("")),
        st.tuples(st.just("leave"), st.integers(0, 30), st.just("")),
    ),
    max_size=40,
)


@settings(deadline=None)
@given(rows=st.integers(1, 4), actions=ACTIONS)
def test_all_that_is_wanted_is_written_and_rows_come_free(
    rows: int, actions: list[tuple[str, int, str]]
) -> None:
    counting = Counting(rows)
    batcher, tickets, left = Batcher(counting), list[Ticket](), set[int]()
    for action, number, lane in actions:
        if action == "submit":
            tickets.append(batcher.submit(number, lane))
        elif action == "leave" and number < len(tickets):
            batcher.leave(tickets[number])
            left.add(number)
        elif action == "advance":
            for _ in range(number):
                batcher.advance()
    # No more steps than the work takes: a row that is free is filled at once.
    work = sum(max(t.prompt, 1) for t in tickets if t.prompt >= 0)
    for _ in range(work + 1):
        batcher.advance()
    assert batcher.waiting == batcher.taken == 0 and counting.free == rows
    assert counting.most <= rows
    for number, ticket in enumerate(tickets):
        if number in left:
            continue
        if ticket.prompt < 0:
            with pytest.raises(ValueError, match="negative"):
                ticket.look()
        else:
            assert ticket.look().outputs == [(list(range(ticket.prompt)), -1.0)]


@given(rows=st.integers(1, 3), many=st.integers(2, 12))
def test_one_lanes_many_do_not_keep_out_another(rows: int, many: int) -> None:
    counting = Counting(rows)
    batcher = Batcher(counting)
    for _ in range(many):
        batcher.submit(2, "greedy")
    last = batcher.submit(1, "modest")
    batcher.advance()
    batcher.advance()
    batcher.advance()
    assert last.done, "it waits for the rows that are taken, and for no more"


def test_a_waiting_ticket_may_be_left_and_news_are_told_once() -> None:
    batcher = Batcher(Counting(1))
    first, second = batcher.submit(3), batcher.submit(3)
    batcher.advance()
    assert first.news and first.look().tokens == [0] and not first.news
    batcher.leave(second)
    assert batcher.waiting == 0
    batcher.leave(first)
    batcher.leave(first)
    assert batcher.rows.free == 1 and batcher.taken == 0
