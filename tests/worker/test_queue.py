"""The worker's queue: fair between clients, in order within one, nothing lost."""

from __future__ import annotations

import threading

from hypothesis import given, strategies as st

from assistant.values.prompt import Prompt
from assistant.values.sampling import Sampling
from assistant.worker.queue import FairQueue, Request
from tests.wait import wait_until


def request(client: str, number: int) -> Request:
    return Request(client, number, Prompt(((1,),)), Sampling())


def names(queue: FairQueue) -> list[tuple[object, int]]:
    return [(request.client, request.number) for request, _ in queue.order()]


def test_one_of_each_client_in_turn() -> None:
    queue = FairQueue()
    for client, number in [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("c", 1), ("c", 2)]:
        queue.put(request(client, number))
    order = [("a", 1), ("b", 1), ("c", 1), ("a", 2), ("c", 2), ("a", 3)]
    assert names(queue) == order
    taken = []
    for _ in order:
        one = queue.take()
        taken.append((one.client, one.number))
        queue.finish()
    assert taken == order


def test_the_running_request_counts_as_before_the_others() -> None:
    queue = FairQueue()
    queue.put(request("a", 1))
    assert [ahead for _, ahead in queue.order()] == [0]
    queue.take()
    queue.put(request("b", 1))
    queue.put(request("c", 1))
    assert [ahead for _, ahead in queue.order()] == [1, 2]
    queue.finish()
    assert [ahead for _, ahead in queue.order()] == [0, 1]


def test_a_chat_is_forgotten_before_the_next_request() -> None:
    queue, forgotten = FairQueue(), list[str]()
    queue.put(request("a", 1))
    queue.forget("old")
    assert queue.take(forgotten.append).number == 1
    assert forgotten == ["old"]
    queue.finish()
    taker = threading.Thread(target=queue.take, args=(forgotten.append,))
    taker.start()
    queue.forget("older")
    wait_until(lambda: forgotten == ["old", "older"], "it needs no request")
    queue.put(request("a", 2))
    taker.join()


def test_a_stop_is_for_ones_own_request_only() -> None:
    queue = FairQueue()
    queue.put(request("a", 1))
    running = queue.take()
    queue.put(request("b", 1))
    queue.put(request("b", 2))
    assert queue.stop("b", 7) is None
    assert queue.stop("c", 1) is None
    stopped = queue.stop("b", 1)
    assert stopped is not None
    assert names(queue) == [("b", 2)]
    assert not running.stopped.is_set()
    assert queue.stop("a", 1) is None
    assert running.stopped.is_set()


def test_who_leaves_is_forgotten_at_once() -> None:
    queue = FairQueue()
    for client in ("a", "b", "c"):
        queue.put(request(client, 1))
    running = queue.take()
    queue.drop("b")
    assert names(queue) == [("c", 1)]
    assert not running.stopped.is_set()
    queue.drop("a")
    assert running.stopped.is_set()


@given(st.lists(st.sampled_from("abcd"), max_size=30))
def test_everyones_first_then_everyones_second(clients: list[str]) -> None:
    queue = FairQueue()
    for number, client in enumerate(clients):
        queue.put(request(client, number))
    announced, taken = names(queue), []
    for _ in clients:
        one = queue.take()
        taken.append((one.client, one.number))
        queue.finish()
    arrived = list(enumerate(clients))
    arrived.sort(key=lambda one: (clients[: one[0]].count(one[1]), clients.index(one[1])))
    assert taken == announced == [(client, number) for number, client in arrived]


def ahead(client: str, number: int, *ids: int) -> Request:
    return Request(client, number, Prompt((ids or (1,),)), following=5)


def test_prompts_are_read_ahead_when_no_reply_is_wanted() -> None:
    queue = FairQueue()
    queue.put(ahead("a", 1))
    queue.put(ahead("b", 1))
    queue.put(request("c", 1))
    assert queue.take().client == "c"
    queue.finish()
    assert [queue.take().client, queue.take().client] == ["a", "b"]


def test_the_next_prompt_and_the_reply_take_the_place_of_the_one_read_ahead() -> None:
    queue = FairQueue()
    old = ahead("a", 1)
    assert queue.put(old) is None
    assert queue.put(ahead("a", 2)) is old
    replaced = queue.put(request("a", 3))
    assert replaced is not None
    assert replaced.number == 2
    assert queue.take().number == 3


def test_reading_ahead_gives_way_and_goes_on_after_anothers_reply() -> None:
    queue = FairQueue()
    queue.put(ahead("a", 1))
    running = queue.take()
    assert not queue.is_running
    queue.put(Request("b", 1, Prompt(((7, 8),))))
    assert running.stopped.is_set(), "the reply needs nothing of it"
    assert running.pixels.get_nowait() is None, "it waits for no picture"
    assert not queue.finish_ahead(running, whole=False)
    assert queue.take().client == "b"
    queue.finish()
    assert queue.take() is running
    assert not running.stopped.is_set()
    assert queue.finish_ahead(running, whole=True)


def test_what_the_reply_reads_too_is_completed_first() -> None:
    queue = FairQueue()
    queue.put(ahead("a", 1, 1, 2))
    running = queue.take()
    queue.put(Request("a", 2, Prompt(((1, 2, 3),))))
    assert running.paused.is_set()
    assert not running.stopped.is_set()
    assert queue.finish_ahead(running, whole=False), "its client waits for the reply now"
    assert queue.take().number == 2


def test_stop_and_drop_end_what_is_read_ahead() -> None:
    queue = FairQueue()
    waiting = ahead("b", 1)
    queue.put(ahead("a", 1))
    queue.put(waiting)
    running = queue.take()
    assert queue.stop("b", 1) is waiting
    assert queue.stop("a", 1) is None
    assert running.stopped.is_set()
    assert queue.finish_ahead(running, whole=False), "it does not come again"
    queue.put(ahead("a", 2))
    running = queue.take()
    queue.drop("a")
    assert queue.finish_ahead(running, whole=False)
    queue.put(request("c", 1))
    assert queue.take().client == "c"
