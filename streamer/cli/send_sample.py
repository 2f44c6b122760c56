"""``streamer send-sample``: its options; `streamer.cli.sending` does the work.

They are apart so that ``--help`` and completion load no HTTP client.
"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from streamer.cli.common import ConfigFile, Json

COUNT_MAX = 100_000
"""All answers are kept for the summary; more than this is a load test."""

Name = Annotated[str, Parameter(help="Type of the event, such as email.delivered.")]
Url = Annotated[
    str | None,
    Parameter(help="Where to send it, such as https://hooks.example.com or unix:/path."),
]
Source = Annotated[str | None, Parameter(help="Whose key signs it; needed if there are several.")]
Count = Annotated[int, Parameter(validator=Number(gte=1, lte=COUNT_MAX), help="How many.")]
Rate = Annotated[
    float, Parameter(validator=Number(gte=0), help="Events a second at most; 0: no limit.")
]
Variant = Annotated[
    str | None, Parameter(help="campaign, broadcast, newsletter, transactional or person.")
]


def _switch(text: str) -> Parameter:
    return Parameter(negative="", help=text)


BadSignature = Annotated[bool, _switch("Sign with a wrong key; expects 503 or 401. An alarm.")]
Duplicate = Annotated[bool, _switch("Send each event twice; both must be answered 200.")]
WithContent = Annotated[bool, _switch("With the fields that Body Content adds.")]
TestEvent = Annotated[bool, _switch("Send the canned event of Customer.io's Send Test button.")]
Every = Annotated[bool, Parameter(name="--all", negative="", help="One of each known type.")]


def send_sample(
    name: Name = "email.delivered",
    /,
    *,
    url: Url = None,
    source: Source = None,
    count: Count = 1,
    rate: Rate = 0.0,
    bad_signature: BadSignature = False,
    duplicate: Duplicate = False,
    variant: Variant = None,
    with_content: WithContent = False,
    test_event: TestEvent = False,
    every: Every = False,
    json: Json = False,
    config: ConfigFile = None,
) -> None:
    """Send signed sample events to the service.

    They are stored and delivered like any other, so mind where they end up.
    Ends with 1 if any answer was not the expected one.
    """
    from streamer.cli import sending  # noqa: PLC0415 - loads the HTTP client

    wanted = sending.Wanted(
        name=name,
        count=count,
        rate=rate,
        bad_signature=bad_signature,
        duplicate=duplicate,
        variant=variant,
        with_content=with_content,
        test_event=test_event,
        every=every,
    )
    sending.run(wanted, url=url, source=source, config=config, json=json)
