"""``streamer aep``: the options of its commands; the work is done in the modules beside this one.

They are apart so that ``--help`` and completion load neither HTTP client nor
mapping. The client's secret is never an option: it would stand in the shell's
history and in the list of processes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from streamer.cli.common import ConfigFile, Json, Yes

Destination = Annotated[
    str | None,
    Parameter(
        name="--destination", help="Its name in the configuration; needed if there are several."
    ),
]
Name = Annotated[
    str | None,
    Parameter(name="--name", help="What everything in Adobe is named after, to find it again."),
]
Org = Annotated[str | None, Parameter(name="--org", help="The organisation, `…@AdobeOrg`.")]
ClientId = Annotated[
    str | None, Parameter(name="--client-id", help="Of the OAuth server-to-server credential.")
]
ClientSecretFile = Annotated[
    Path | None,
    Parameter(
        name="--client-secret-file",
        help="A file with the client's secret; the configuration will refer to it. Else it is "
        "taken from $STREAMER_AEP_CLIENT_SECRET, or asked for, and kept in the data directory.",
    ),
]
Sandbox = Annotated[str | None, Parameter(name="--sandbox", help="Default: prod.")]
ImsUrl = Annotated[str | None, Parameter(name="--ims-url", help="Where tokens come from.")]
PlatformUrl = Annotated[str | None, Parameter(name="--platform-url", help="Adobe's APIs.")]
JourneyOptimizer = Annotated[
    bool,
    Parameter(
        name="--journey-optimizer", negative="", help="Fill Journey Optimizer's field groups too."
    ),
]
Consent = Annotated[
    bool,
    Parameter(
        name="--consent",
        negative="",
        help="Keep consent on the profile too: a dataset and a destination more.",
    ),
]
Profile = Annotated[
    bool,
    Parameter(
        name="--profile",
        negative="",
        help="Let Real-Time Customer Profile read it. That cannot be undone in Adobe.",
    ),
]
Raw = Annotated[
    bool,
    Parameter(name="--raw", negative="", help="Send webhooks as they came, and map them in Adobe."),
]
AdobeSource = Annotated[
    bool,
    Parameter(
        name="--adobe-source",
        negative="",
        help="Make a dataflow of Adobe's own Customer.io source too, and print its URL.",
    ),
]
MappingFile = Annotated[
    Path | None,
    Parameter(
        name="--mapping",
        help="A mapping file for the destination: its own fields go into the schema, and its name "
        "into the configuration.",
    ),
]
DryRun = Annotated[
    bool,
    Parameter(name="--dry-run", negative="", help="Look what is there, and print every call."),
]
Offline = Annotated[
    bool,
    Parameter(
        name="--offline",
        negative="",
        help="With --dry-run: do not even look; as if nothing were there.",
    ),
]
Wait = Annotated[
    bool, Parameter(name="--wait", help="Wait until the new dataflow takes data; about 5 minutes.")
]
Limit = Annotated[int, Parameter(name="--limit", help="How many, newest first.")]
DeleteDataset = Annotated[
    bool,
    Parameter(
        name="--dataset",
        negative="",
        help="Delete the dataset with all its events too, its schema and field group.",
    ),
]


def setup(
    *,
    destination: Destination = None,
    name: Name = None,
    org: Org = None,
    client_id: ClientId = None,
    client_secret_file: ClientSecretFile = None,
    sandbox: Sandbox = None,
    profile: Profile = False,
    consent: Consent = False,
    journey_optimizer: JourneyOptimizer = False,
    raw: Raw = False,
    adobe_source: AdobeSource = False,
    mapping: MappingFile = None,
    dry_run: DryRun = False,
    offline: Offline = False,
    wait: Wait = True,
    ims_url: ImsUrl = None,
    platform_url: PlatformUrl = None,
    json: Json = False,
    config: ConfigFile = None,
) -> None:
    """Make everything in Adobe that events need, and write the destination's configuration.

    What is there already is used. Stopped in the middle, it goes on where it was; run again, it
    changes nothing. What is left out of the options is taken from the configuration, if the
    destination stands there already.
    """
    from streamer.cli import aep_setup, aep_terms  # noqa: PLC0415 - load HTTP client and mapping

    aep_setup.run(
        aep_terms.Wanted(
            destination=destination,
            name=name,
            org=org,
            client_id=client_id,
            client_secret_file=client_secret_file,
            sandbox=sandbox,
            profile=profile,
            consent=consent,
            journey_optimizer=journey_optimizer,
            raw=raw,
            adobe_source=adobe_source,
            mapping=mapping,
            ims_url=ims_url,
            platform_url=platform_url,
        ),
        aep_setup.Manner(dry_run=dry_run, offline=offline, wait=wait),
        json=json,
        config=config,
    )


def status(
    *, destination: Destination = None, json: Json = False, config: ConfigFile = None
) -> None:
    """Show the dataflow, its last runs and the dataset in Adobe, and our own side beside it."""
    from streamer.cli import aep_status  # noqa: PLC0415 - the same

    aep_status.status(destination, json=json, config=config)


def runs(
    *,
    destination: Destination = None,
    limit: Limit = 20,
    json: Json = False,
    config: ConfigFile = None,
) -> None:
    """List what the dataflow took in and what failed, run by run."""
    from streamer.cli import aep_status  # noqa: PLC0415 - the same

    aep_status.runs(destination, limit=limit, json=json, config=config)


def doctor(
    *, destination: Destination = None, json: Json = False, config: ConfigFile = None
) -> None:
    """Look at everything in Adobe that could lose events, and say what to do about it.

    Nothing is written. Ends with 1 if anything failed; warnings are for reading.
    """
    from streamer.cli import aep_doctor  # noqa: PLC0415 - the same

    aep_doctor.run(destination, json=json, config=config)


def enable(*, destination: Destination = None, config: ConfigFile = None) -> None:
    """Switch the dataflow on."""
    from streamer.cli import aep_switch  # noqa: PLC0415 - the same

    aep_switch.switch(destination, on=True, config=config)


def disable(*, destination: Destination = None, config: ConfigFile = None) -> None:
    """Switch the dataflow off; pause the destination first."""
    from streamer.cli import aep_switch  # noqa: PLC0415 - the same

    aep_switch.switch(destination, on=False, config=config)


def teardown(
    *,
    destination: Destination = None,
    name: Name = None,
    dataset: DeleteDataset = False,
    yes: Yes = False,
    json: Json = False,
    config: ConfigFile = None,
) -> None:
    """Delete what `streamer aep setup` made, and nothing else; the dataset only if asked to."""
    from streamer.cli import aep_teardown  # noqa: PLC0415 - the same

    aep_teardown.run(destination, name=name, dataset=dataset, yes=yes, json=json, config=config)
