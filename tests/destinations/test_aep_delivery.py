"""Which requests a `send` makes, against a model of Adobe that can be told what to answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from streamer.core.limits import FAILURES_MAX
from streamer.core.outcome import ACCEPTED, Outcome, Verdict, deferred, held, rejected
from streamer.destinations.aep_answer import FAILED, UNRESOLVED
from streamer.destinations.aep_delivery import Delivery, Part
from streamer.destinations.aep_messages import Message
from streamer.destinations.aep_patience import Patience

pytestmark = pytest.mark.anyio

BROKEN = deferred(FAILED, "Adobe answered 500")
UNSAID = deferred(UNRESOLVED, "nothing was said")
LATER = deferred("http_503")
BAD = rejected("http_400")

Answering = Callable[[list[int]], Sequence[Outcome]]


class Trial:
    """Sends made of numbered messages, and what Adobe saw of them."""

    def __init__(self, answering: Answering, *, requests_max: int = 1_000) -> None:
        self.requests: list[list[int]] = []
        self.patience = Patience()
        self.resent = 0
        self._answering = answering
        self._requests_max = requests_max

    async def send(self, *parts: Sequence[int]) -> dict[int, str]:
        """Send; return the reason for each message that was attempted, empty if accepted."""
        begun = len(self.requests)

        async def offer(part: Part) -> list[Outcome]:
            positions = [message.position for message in part]
            self.requests.append(positions)
            return list(self._answering(positions))

        delivery = Delivery(
            [[Message(position, b"{}") for position in part] for part in parts],
            offer=offer,
            may_go_on=lambda: len(self.requests) - begun < self._requests_max,
            patience=self.patience,
        )
        await delivery.run()
        self.resent = delivery.resent
        return {at: self.word(said) for at, said in sorted(delivery.outcomes.items())}

    @staticmethod
    def word(said: Outcome) -> str:
        return "" if said.verdict is Verdict.ACCEPTED else f"{said.verdict.value} {said.reason}"


def all_of(outcome: Outcome) -> Answering:
    return lambda positions: [outcome] * len(positions)


def each(outcomes: dict[int, Outcome]) -> Answering:
    """Answer some messages like this and accept all others."""
    return lambda positions: [outcomes.get(at, ACCEPTED) for at in positions]


def stumbling_over(*poisoned: int) -> Answering:
    """Answer 500 to every request that holds one of these."""
    return lambda positions: (
        [BROKEN if set(poisoned) & set(positions) else ACCEPTED] * len(positions)
    )


def in_turn(*answerings: Answering) -> Answering:
    """Answer one request after the other by the next of these; the last one stays."""
    left = list(answerings)

    def answer(positions: list[int]) -> Sequence[Outcome]:
        return (left.pop(0) if len(left) > 1 else left[0])(positions)

    return answer


# The ordinary course


async def test_requests_go_one_after_the_other_and_all_is_accepted() -> None:
    trial = Trial(all_of(ACCEPTED))
    assert await trial.send([1, 2], [3], [4, 5]) == dict.fromkeys(range(1, 6), "")
    assert trial.requests == [[1, 2], [3], [4, 5]]


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (LATER, "deferred http_503"),
        (BAD, "rejected http_400"),
        (held("credentials"), "held credentials"),
        (UNSAID, "deferred unresolved"),
    ],
)
async def test_nothing_goes_out_behind_a_message_that_was_not_accepted(
    outcome: Outcome, word: str
) -> None:
    trial = Trial(each({3: outcome}))
    assert await trial.send([1, 2], [3], [4, 5]) == {1: "", 2: "", 3: word}
    assert trial.requests == [[1, 2], [3]]


async def test_what_is_said_of_single_messages_is_kept_and_the_next_request_waits() -> None:
    trial = Trial(each({1: BAD, 3: LATER}))
    assert await trial.send([1, 2, 3], [4]) == {
        1: "rejected http_400",
        2: "",
        3: "deferred http_503",
    }


async def test_without_time_one_request_is_made_all_the_same() -> None:
    trial = Trial(all_of(ACCEPTED), requests_max=0)
    assert await trial.send([1, 2], [3]) == {1: "", 2: ""}


# Answers that leave messages out


def silent_above(count: int) -> Answering:
    """Say nothing of any message when a request has more than so many."""
    return lambda positions: [UNSAID if len(positions) > count else ACCEPTED] * len(positions)


async def test_what_nothing_is_said_of_is_sent_again_in_halves_until_something_is() -> None:
    trial = Trial(silent_above(2))
    assert await trial.send([1, 2, 3, 4, 5], [6]) == dict.fromkeys(range(1, 7), "")
    assert trial.requests == [[1, 2, 3, 4, 5], [1, 2, 3], [1, 2], [3], [4, 5], [6]]
    assert trial.resent == 8


async def test_of_an_answer_that_says_something_only_the_rest_is_sent_again() -> None:
    trial = Trial(in_turn(each({2: UNSAID, 4: UNSAID}), all_of(ACCEPTED)))
    assert await trial.send([1, 2, 3, 4], [5]) == dict.fromkeys(range(1, 6), "")
    assert trial.requests == [[1, 2, 3, 4], [2, 4], [5]]
    assert trial.resent == 2


async def test_a_rejection_beside_the_silence_stands_and_ends_the_send_after_it() -> None:
    trial = Trial(in_turn(each({1: BAD, 2: UNSAID}), all_of(ACCEPTED)))
    assert await trial.send([1, 2, 3], [4]) == {1: "rejected http_400", 2: "", 3: ""}
    assert trial.requests == [[1, 2, 3], [2]]


async def test_a_deferral_beside_the_silence_leaves_all_to_the_next_send() -> None:
    trial = Trial(each({1: LATER, 2: UNSAID}))
    assert await trial.send([1, 2, 3]) == {
        1: "deferred http_503", 2: "deferred unresolved", 3: ""
    }  # fmt: skip
    assert trial.requests == [[1, 2, 3]]


async def test_a_message_of_which_nothing_is_said_even_alone_is_deferred() -> None:
    trial = Trial(lambda positions: [UNSAID if 3 in positions else ACCEPTED] * len(positions))
    assert await trial.send([1, 2, 3, 4]) == {1: "", 2: "", 3: "deferred unresolved"}
    assert trial.requests == [[1, 2, 3, 4], [1, 2], [3, 4], [3]]


async def test_without_time_for_halves_the_next_send_is_to_begin_with_one() -> None:
    trial = Trial(silent_above(2), requests_max=1)
    deferred_half = dict.fromkeys((1, 2, 3), "deferred unresolved")
    assert await trial.send([1, 2, 3, 4, 5]) == deferred_half
    assert trial.requests == [[1, 2, 3, 4, 5]]
    assert await trial.send([1, 2, 3]) == dict.fromkeys((1, 2), "deferred unresolved")
    assert await trial.send([1, 2]) == {1: "", 2: ""}


async def test_when_the_time_ends_among_the_halves_the_rest_counts_as_not_attempted() -> None:
    trial = Trial(silent_above(2), requests_max=3)
    assert await trial.send([1, 2, 3, 4, 5]) == {1: "", 2: ""}
    assert trial.requests == [[1, 2, 3, 4, 5], [1, 2, 3], [1, 2]]


# Failures that may be a message's fault


async def test_failures_are_waited_out_some_times_without_a_second_request() -> None:
    trial = Trial(stumbling_over(3))
    for _ in range(FAILURES_MAX):
        assert await trial.send([1, 2, 3, 4]) == dict.fromkeys(range(1, 5), f"deferred {FAILED}")
    assert trial.requests == [[1, 2, 3, 4]] * FAILURES_MAX


async def lose_patience(trial: Trial, *positions: int) -> None:
    for _ in range(FAILURES_MAX):
        await trial.send(positions)
    trial.requests.clear()


async def test_then_the_culprit_is_found_by_halves_and_refused_alone() -> None:
    trial = Trial(stumbling_over(6))
    await lose_patience(trial, *range(1, 9))
    assert await trial.send(range(1, 9)) == {
        **dict.fromkeys(range(1, 6), ""), 6: f"rejected {FAILED}"
    }  # fmt: skip
    assert trial.requests == [[*range(1, 9)], [1, 2, 3, 4], [5, 6, 7, 8], [5, 6], [5], [6]]


async def test_a_culprit_at_the_head_is_refused_with_nothing_accepted_before_it() -> None:
    """Whether it or Adobe is at fault is then for the drain to find out, with the next event."""
    trial = Trial(stumbling_over(1))
    await lose_patience(trial, 1, 2, 3, 4)
    assert await trial.send([1, 2, 3, 4]) == {1: f"rejected {FAILED}"}
    assert trial.requests == [[1, 2, 3, 4], [1, 2], [1]]
    assert await trial.send([1]) == {1: f"rejected {FAILED}"}, "also when it is tried once more"


async def test_an_event_that_comes_alone_is_refused_after_as_many_failures() -> None:
    trial = Trial(stumbling_over(1))
    for _ in range(FAILURES_MAX):
        assert await trial.send([1]) == {1: f"deferred {FAILED}"}
    assert await trial.send([1]) == {1: f"rejected {FAILED}"}


async def test_a_failure_that_an_answer_names_is_counted_for_the_message_it_names() -> None:
    trial = Trial(each({2: BROKEN}))
    for _ in range(FAILURES_MAX):
        assert await trial.send([1, 2, 3]) == {1: "", 2: f"deferred {FAILED}", 3: ""}
    assert await trial.send([2]) == {2: f"rejected {FAILED}"}


async def test_when_adobe_is_well_again_nobody_is_refused_and_the_count_begins_anew() -> None:
    trial = Trial(all_of(BROKEN))
    await lose_patience(trial, 1, 2)
    trial = resumed(trial, in_turn(all_of(ACCEPTED), all_of(BROKEN)))
    assert await trial.send([1, 2]) == {1: "", 2: ""}
    assert await trial.send([1]) == {1: f"deferred {FAILED}"}


async def test_a_search_that_runs_out_of_time_goes_on_in_the_next_send() -> None:
    trial = Trial(stumbling_over(7), requests_max=2)
    await lose_patience(trial, *range(1, 9))
    assert await trial.send(range(1, 9)) == dict.fromkeys(range(1, 5), "")
    assert await trial.send(range(5, 9)) == dict.fromkeys((5, 6), "")
    assert await trial.send((7, 8)) == {7: f"rejected {FAILED}"}


async def test_another_trouble_in_the_midst_of_a_search_ends_it_for_now() -> None:
    trial = Trial(all_of(BROKEN))
    await lose_patience(trial, 1, 2, 3, 4)
    trial = resumed(trial, in_turn(all_of(BROKEN), all_of(ACCEPTED), all_of(LATER)))
    assert await trial.send([1, 2, 3, 4]) == {
        1: "", 2: "", 3: "deferred http_503", 4: "deferred http_503"
    }  # fmt: skip


def resumed(trial: Trial, answering: Answering) -> Trial:
    """Go on with the same patience, and another Adobe."""
    other = Trial(answering)
    other.patience = trial.patience
    return other
