"""How the story of an event is told: what each destination made of it, for people and programs."""

from __future__ import annotations

from collections.abc import Iterator

from streamer.cli.wording import count, moment_text
from streamer.core.times import rfc3339
from streamer.store.story import Acceptance, DestinationStory, Fate


def story_as_json(one: DestinationStory) -> dict[str, object]:
    """Return what one destination made of an event as ``--json`` prints it."""
    letter = one.letter
    return {
        "fate": one.fate.value,
        "state": one.state,
        "cursor": one.cursor,
        "events_before": one.events_before,
        "attempt": one.attempt,
        "next_attempt_at": rfc3339(one.next_attempt_at),
        "last_error": one.last_error,
        "dead_letter": None
        if letter is None
        else {
            "id": letter.id,
            "state": letter.state,
            "reason": letter.reason,
            "detail": letter.detail,
            "attempts": letter.attempts,
            "buried_at": rfc3339(letter.buried_at),
            "closed_at": rfc3339(letter.closed_at),
        },
        "acceptances": [
            {
                "first_at": rfc3339(accepted.first_at),
                "last_at": rfc3339(accepted.last_at),
                "attempt": accepted.attempt,
                "replay": accepted.replay_id or None,
                "receipt": accepted.receipt,
                "certain": accepted.certain,
            }
            for accepted in one.acceptances
        ],
        "losses": [
            {
                "batch_id": loss.batch_id,
                "code": loss.code,
                "message": loss.message,
                "lost_at": rfc3339(loss.lost_at),
                "found_at": rfc3339(loss.found_at),
            }
            for loss in one.losses
        ],
        "reconciled_until": None if one.reconciled is None else rfc3339(one.reconciled.until),
        "replays": list(one.replays),
    }


_PLAIN = {
    Fate.FILTERED: "left out by its filter",
    Fate.PASSED: "passed without being sent: before it began, or left out by an earlier filter",
}


def tell_story(one: DestinationStory) -> Iterator[str]:
    """Tell one destination's story: the outcome in the first line, what led to it below."""
    letter = one.letter
    if one.fate is Fate.PENDING:
        before = f"{count(one.events_before, 'event')} before it" if one.events_before else "next"
        yield f"pending, {before} ({one.state})"
        if one.attempt:
            next_at = moment_text(rfc3339(one.next_attempt_at))
            yield f"{count(one.attempt, 'attempt')} so far, next {next_at}"
        if one.last_error:
            yield f"last error: {one.last_error}"
    elif letter is not None and one.fate is not Fate.ACCEPTED:
        yield f"{_letter_words(one)} {letter.id}: {letter.reason}"
    elif one.fate is Fate.ACCEPTED:
        yield "accepted"
    elif one.fate is Fate.LOST:
        yield f"lost: accepted, and dropped later by the destination itself: {one.losses[-1].code}"
    else:
        yield _PLAIN[one.fate]
    if letter is not None:
        yield (
            f"dead letter {letter.id} ({letter.state}) since "
            f"{moment_text(rfc3339(letter.buried_at))} after {count(letter.attempts, 'attempt')}"
            f": {letter.reason} {letter.detail}".rstrip()
        )
    for accepted in one.acceptances:
        yield _tell_acceptance(accepted)
    yield from _tell_losses(one)
    for replay in one.replays:
        again = " again" if one.acceptances else ""
        yield f"replay {replay} will send it{again}"


def _tell_losses(one: DestinationStory) -> Iterator[str]:
    """Tell what the destination's own books say, or how far they were read."""
    for loss in one.losses:
        lost, found = moment_text(rfc3339(loss.lost_at)), moment_text(rfc3339(loss.found_at))
        yield f"found {found} in failed batch {loss.batch_id} of {lost}: {loss.code} {loss.message}"
    if one.fate is Fate.LOST:
        again = f"`streamer replay start {one.destination} --event {one.losses[-1].event_id}`"
        yield f"once the cause is mended, {again} sends it again"
    if one.kind != "aep" or one.losses or not one.acceptances:
        return
    if one.reconciled is None:
        yield "its failed batches were never read: `streamer aep reconcile`"
    else:
        yield f"in no failed batch begun before {moment_text(rfc3339(one.reconciled.until))}"


def _letter_words(one: DestinationStory) -> str:
    if one.fate is Fate.DEAD_LETTER and one.losses:
        return "lost after it was accepted, dead letter"
    return {
        Fate.DEAD_LETTER: "refused for good, dead letter",
        Fate.RETRYING: "being retried, dead letter",
        Fate.DISCARDED: "given up by an operator, dead letter",
    }[one.fate]


def _tell_acceptance(accepted: Acceptance) -> str:
    first, last = moment_text(rfc3339(accepted.first_at)), moment_text(rfc3339(accepted.last_at))
    when = first if first == last else f"between {first} and {last}"
    by = f"replay {accepted.replay_id}" if accepted.replay_id else f"attempt {accepted.attempt}"
    receipt = f", receipt {accepted.receipt}" if accepted.receipt else ""
    doubt = "" if accepted.certain else " (unless the filter of that time left it out)"
    return f"accepted {when}, {by}{receipt}{doubt}"
