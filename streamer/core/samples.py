"""Made-up webhook bodies of every known type, for trials, tests and measurements.

A sample is a function of its arguments alone: no clock and no chance, so the
same call gives the same bytes on every machine. Nobody real is in it: addresses
are under example.com, and telephone numbers come from the ranges that Ofcom
keeps free for films.

The caller numbers its events. The event id is made of the number and the time,
so two samples that share both share their id, whatever their type. The person
is the number modulo `PEOPLE`: numbers that far apart are events of one person.
Every tenth person is known by id alone, as all are in some workspaces.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
from collections.abc import Callable

import msgspec

from streamer.core import catalogue
from streamer.core.catalogue import Fields
from streamer.core.errors import UsageError

PEOPLE = 1000

TEST_EVENT_ID = "01E2EMRMM6TZ12TF9WGZN0WJQT"
"""The id of every test event that Customer.io sends: a repeat of it means nothing."""

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID_TIME_BITS = 48
_ULID_NUMBER_BITS = 80

# The largest time that fits a ULID, in seconds: the year 10889.
_AT_SECONDS_MAX = (2**_ULID_TIME_BITS - 1) // 1000


class _Sample(msgspec.Struct, frozen=True):
    """What the fields of one sample are made from."""

    object_type: str
    metric: str
    number: int
    at_seconds: int
    with_content: bool

    @property
    def person(self) -> int:
        return self.number % PEOPLE


def sample_names() -> tuple[str, ...]:
    """Return the name of every sample: all known types, as ``object_type.metric``."""
    return catalogue.type_names()


def sample_event(
    name: str,
    *,
    number: int,
    at_seconds: int,
    variant: str | None = None,
    with_content: bool = False,
) -> dict[str, object]:
    """Make one webhook body as a dictionary.

    ``variant`` is one of `catalogue.variants` (None: the first of them); ``at_seconds`` is Unix
    time. ``with_content`` adds what Customer.io adds when Body Content is switched on.

    Raises:
        UsageError: the name or the variant is unknown, or no event id can be made of the numbers.
    """
    object_type, metric = _type_of(name)
    form = _variant_of(name, catalogue.variants(object_type, metric), variant)
    _check_numbers(number, at_seconds)
    sample = _Sample(object_type, metric, number, at_seconds, with_content)
    return {
        "event_id": _ulid(at_seconds, number),
        "object_type": object_type,
        "metric": metric,
        "timestamp": at_seconds,
        "data": _data(sample, form),
    }


def sample_body(
    name: str,
    *,
    number: int,
    at_seconds: int,
    variant: str | None = None,
    with_content: bool = False,
) -> bytes:
    """Make one webhook body as it goes over the wire; see `sample_event`."""
    return msgspec.json.encode(
        sample_event(
            name, number=number, at_seconds=at_seconds, variant=variant, with_content=with_content
        )
    )


def test_event_body(at_seconds: int) -> bytes:
    """Make what the Send Test button seems to send: always one id and one text, the time new."""
    event = sample_event("email.sent", number=0, at_seconds=at_seconds, with_content=True)
    return msgspec.json.encode(
        {
            **event,
            "event_id": TEST_EVENT_ID,
            "data": {
                "action_id": 1,
                "campaign_id": 1,
                "content": "This is a test.",
                "customer_id": "test-person",
                "delivery_id": "AAAA-test-delivery_A==",
                "headers": {"X-Test": ["yes"]},
                "identifiers": {"id": "test-person"},
                "recipient": "test@example.com",
                "subject": "A test",
            },
        }
    )


def _type_of(name: str) -> tuple[str, str]:
    object_type, _, metric = name.partition(".")
    if (object_type, metric) in catalogue.known_types():
        return object_type, metric
    near = difflib.get_close_matches(name, sample_names(), n=1)
    hint = f"did you mean {near[0]}?" if near else "names look like email.sent"
    raise UsageError(f"there is no sample called {name!r}", hint=hint)


def _variant_of(name: str, choices: tuple[str, ...], variant: str | None) -> str:
    if variant is None:
        return choices[0]
    if variant in choices:
        return variant
    raise UsageError(
        f"{name} does not come in the variant {variant!r}", hint=f"it has {', '.join(choices)}"
    )


def _check_numbers(number: int, at_seconds: int) -> None:
    if not 0 <= number < 2**_ULID_NUMBER_BITS:
        raise UsageError("a sample's number is out of range", hint="count from 0 or 1")
    if not 0 <= at_seconds <= _AT_SECONDS_MAX:
        raise UsageError("a sample's time is out of range", hint="give Unix time in seconds")


def _ulid(at_seconds: int, number: int) -> str:
    """Write time and number as a ULID, so that ids sort by time and then by number."""
    value = (at_seconds * 1000) << _ULID_NUMBER_BITS | number
    return "".join(_CROCKFORD[value >> shift & 31] for shift in range(125, -1, -5))


def _other_ulid(sample: _Sample, mark: int) -> str:
    """Make the id of something else that has to do with the event; never the event's own."""
    return _ulid(sample.at_seconds, mark << (_ULID_NUMBER_BITS - 8) | sample.person)


def _data(sample: _Sample, form: str) -> dict[str, object]:
    data: dict[str, object] = {
        "customer_id": _person_id(sample),
        "identifiers": _identifiers(sample),
    }
    if form in catalogue.VARIANTS:
        data["delivery_id"] = _opaque("delivery", sample.number)
        data |= _values(sample, catalogue.VARIANTS[form])
    of_message = catalogue.MESSAGES.get(sample.object_type, {}).get(sample.metric)
    if of_message is None or form == catalogue.PERSON:
        return data | _consent(sample)
    return data | _values(sample, of_message)


def _consent(sample: _Sample) -> dict[str, object]:
    """Make the fields of a person event."""
    address = {"email_address": None if _known_by_id_only(sample) else _email(sample)}
    if sample.metric != "cio_subscription_preferences_changed" or not sample.with_content:
        return {**address}
    topics = {"topic_1": sample.number % 2 == 1, "topic_2": True}
    return {**address, "content": _json_text({"topics": topics})}


def _values(sample: _Sample, fields: Fields) -> dict[str, object]:
    names = [*fields.always, *(name for name in fields.sometimes if _present(sample, name))]
    return {name: _VALUES[name](sample) for name in names}


def _present(sample: _Sample, name: str) -> bool:
    """Say whether this sample carries a field that not all events of its type carry."""
    if name in {"content", "headers"}:
        return sample.with_content
    if name in {"proxied", "prefetched", "synthetic", "machine"}:
        return sample.number % 4 == 0
    return sample.number % 3 > 0


def _by_machine(sample: _Sample) -> bool:
    """Say whether a machine opened or clicked; that the field is absent means neither."""
    return sample.number % 8 == 0


def _known_by_id_only(sample: _Sample) -> bool:
    return sample.person % 10 == 9


def _person_id(sample: _Sample) -> str:
    # The leading zero catches whoever takes an id for a number.
    return f"02{sample.person:05d}"


def _email(sample: _Sample) -> str:
    return f"person-{sample.person}@example.com"


def _identifiers(sample: _Sample) -> dict[str, object]:
    if _known_by_id_only(sample):
        return {"id": _person_id(sample)}
    return {
        "id": _person_id(sample),
        "email": _email(sample),
        "cio_id": f"d9c1{sample.person:08x}",
    }


def _opaque(what: str, number: int) -> str:
    digest = hashlib.sha256(f"{what} {number}".encode()).digest()
    return base64.urlsafe_b64encode(digest[:19]).decode()


def _recipient(sample: _Sample) -> str:
    return {
        "email": _email(sample),
        "sms": f"+447700900{sample.person:03d}",
        "whatsapp": f"+447700900{sample.person:03d}",
        "slack": f"#team-{sample.person}",
        "webhook": f"https://example.com/hooks/{sample.person}",
        "in_app": _person_id(sample),
    }[sample.object_type]


def _devices(sample: _Sample) -> list[dict[str, object]]:
    """List one or two devices; who failed says why, and the platform is not always known."""
    failing = sample.metric in {"bounced", "dropped"}
    devices: list[dict[str, object]] = []
    for index in range(1 + sample.number % 2):
        device: dict[str, object] = {"device_id": _opaque(f"device {index}", sample.person)}
        if failing or sample.number % 7:
            device["device_platform"] = ("ios", "android")[index]
        if failing or (sample.metric == "sent" and index == 1):
            device["failure_message"] = "the device token is no longer registered"
        devices.append(device)
    return devices


def _failure(sample: _Sample) -> str:
    return {
        "attempted": "the provider did not answer in time",
        "bounced": "550 5.1.1 no such mailbox or number",
        "deferred": "421 4.7.0 too many messages, try again later",
        "dropped": "the recipient is on the suppression list",
        "failed": "the provider refused the request",
        "undeliverable": "the message limit was reached",
    }[sample.metric]


def _content(sample: _Sample) -> str:
    text = f"Your order {sample.number} is on its way."
    return {
        "email": f'<html><body><p title="Grüße">{text}</p></body></html>',
        "push": _json_text({"android": {"message": {"data": {"title": "News", "body": text}}}}),
        "webhook": _json_text({"text": text}),
        "in_app": _json_text({"messageId": "order", "properties": {"text": text}}),
    }.get(sample.object_type, text)


def _json_text(value: object) -> str:
    """Return JSON to be put inside a string, as Customer.io puts it."""
    return msgspec.json.encode(value).decode()


_VALUES: dict[str, Callable[[_Sample], object]] = {
    "action_id": lambda sample: 100 + sample.number % 60,
    "broadcast_id": lambda sample: 300 + sample.number % 5,
    "campaign_id": lambda sample: 1 + sample.number % 20,
    "content": _content,
    "content_id": lambda sample: 500 + sample.number % 2,
    "failure_message": _failure,
    "headers": lambda sample: {"X-Order": [str(sample.number)]},
    "href": lambda sample: f"https://example.com/offers/{sample.number % 50}?utm_source=sample",
    "inbound_event_id": lambda sample: _other_ulid(sample, 1),
    "journey_id": lambda sample: _other_ulid(sample, 2),
    "link_id": lambda sample: 1 + sample.number % 50,
    "machine": _by_machine,
    "newsletter_id": lambda sample: 400 + sample.number % 10,
    "parent_action_id": lambda sample: 90 + sample.number % 10,
    "prefetched": _by_machine,
    "proxied": _by_machine,
    "recipient": _recipient,
    "recipients": _devices,
    "subject": lambda sample: f"Your order {sample.number}: grüezi! 🎉",
    "synthetic": lambda _: False,
    "to": lambda _: "+442079460000",
    "tracked_response": lambda _: "accepted",
    "transactional_message_id": lambda sample: 1 + sample.number % 9,
    "trigger_event_id": lambda sample: _other_ulid(sample, 3),
    "trigger_id": lambda sample: 1 + sample.number % 100,
}
