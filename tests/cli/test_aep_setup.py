"""``streamer aep setup``: what it writes, what it says, and that it can be stopped anywhere."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from streamer.cli.aep_secret import UNIT_CREDENTIALS, reference_to
from streamer.cli.aep_session import SECRET_VARIABLE
from streamer.cli.aep_setup import Manner, run
from streamer.cli.aep_terms import Wanted, agree
from streamer.config.load import load
from streamer.core.errors import UsageError
from streamer.destinations.common_options import Secret
from streamer.provision.aep_readiness import FLOW_READY_SECONDS
from tests.cli.aep_desk import AepDesk, adobe_beside, aep_desk
from tests.cli.desk import Answer
from tests.support.manual_clock import ManualClock

__all__ = ["aep_desk"]

EMAIL_CLICKED = "https://ns.adobe.com/xdm/mixins/events/emailclicked"


def test_a_destination_comes_out_of_it_that_the_service_can_use(aep_desk: AepDesk) -> None:
    answer = aep_desk.set_up()
    lines = answer.out.splitlines()
    assert [line.split()[0] for line in lines[:7]] == ["made"] * 7
    assert "Wrote [destinations.lake] to " in answer.out
    assert '`start = "now"`' in answer.out
    options, organisation = aep_desk.options(), aep_desk.adobe.organisation
    assert options.flow_id in organisation.flows
    assert options.dataset_id in organisation.datasets
    assert options.schema_id in organisation.schemas
    assert options.tenant == "acme"
    assert options.email_details
    assert options.inlet_url.startswith(f"{aep_desk.adobe.url}/collection/")
    for secret in aep_desk.config.sources["customerio"].signing_keys:
        Path(secret.file or "").write_text("key", encoding="utf-8")
    assert aep_desk.run("check").code == 0


def test_a_second_time_it_needs_no_options_and_changes_nothing(aep_desk: AepDesk) -> None:
    aep_desk.set_up()
    written = aep_desk.config_file.read_bytes()
    aep_desk.adobe.requests.clear()
    answer = aep_desk.run("aep", "setup", "--no-wait")
    assert answer.code == 0
    assert [line[:8] for line in answer.out.splitlines()[:7]] == ["is there"] * 7
    assert "says all of it already" in answer.out
    assert aep_desk.config_file.read_bytes() == written
    assert aep_desk.writes() == []


def test_the_secret_is_kept_for_the_owner_alone_and_shown_nowhere(aep_desk: AepDesk) -> None:
    answer = aep_desk.set_up()
    kept = aep_desk.data_dir / "lake-client-secret"
    assert aep_desk.options().client_secret == Secret(file=str(kept))
    assert kept.read_text("utf-8") == f"{aep_desk.adobe.client_secret}\n"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    shown = answer.out + answer.err + aep_desk.config_file.read_text("utf-8")
    assert aep_desk.adobe.client_secret not in shown


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_root_keeps_belongs_to_the_service(aep_desk: AepDesk) -> None:
    os.chown(aep_desk.data_dir, 12_345, 12_345)
    aep_desk.set_up()
    kept = (aep_desk.data_dir / "lake-client-secret").stat()
    assert (kept.st_uid, kept.st_gid) == (12_345, 12_345)


def test_a_secret_in_a_file_is_referred_to(
    aep_desk: AepDesk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(SECRET_VARIABLE)
    file = tmp_path / "secret"
    file.write_text(aep_desk.adobe.client_secret)
    aep_desk.set_up("--client-secret-file", str(file))
    assert aep_desk.options().client_secret == Secret(file=str(file))
    assert not (aep_desk.data_dir / "lake-client-secret").exists()


def test_a_credential_of_the_unit_is_referred_to_by_its_name(tmp_path: Path) -> None:
    assert reference_to(UNIT_CREDENTIALS / "aep") == {"credential": "aep"}
    assert reference_to(tmp_path / "aep") == {"file": str(tmp_path / "aep")}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_configuration_that_cannot_be_written_ends_it_before_any_call(
    aep_desk: AepDesk,
) -> None:
    aep_desk.config_file.parent.chmod(0o500)
    answer = aep_desk.run("aep", "setup", *aep_desk.access)
    aep_desk.config_file.parent.chmod(0o700)
    assert answer.code == 1
    assert "cannot be written by this user" in answer.err
    assert aep_desk.adobe.requests == []


def test_a_secret_is_asked_for_without_showing_it(
    aep_desk: AepDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SECRET_VARIABLE)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda prompt: f" {aep_desk.adobe.client_secret}\n")
    aep_desk.set_up()
    assert (aep_desk.data_dir / "lake-client-secret").exists()


def test_without_a_secret_and_anybody_to_ask_it_says_where_one_can_stand(
    aep_desk: AepDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SECRET_VARIABLE)
    answer = aep_desk.run("aep", "setup", *aep_desk.access)
    assert answer.code == 2
    assert "the client secret is missing" in answer.err
    assert SECRET_VARIABLE in answer.err


def test_a_new_secret_takes_the_place_of_the_kept_one(
    aep_desk: AepDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    aep_desk.set_up()
    kept = aep_desk.data_dir / "lake-client-secret"
    kept.write_text("p8e-revoked\n")
    assert aep_desk.run("aep", "setup", "--no-wait").code == 0
    assert kept.read_text("utf-8") == f"{aep_desk.adobe.client_secret}\n"
    monkeypatch.delenv(SECRET_VARIABLE)
    assert aep_desk.run("aep", "setup", "--no-wait").code == 0


def test_a_wrong_secret_is_told_and_leaves_no_trace(
    aep_desk: AepDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = aep_desk.config_file.read_bytes()
    monkeypatch.setenv(SECRET_VARIABLE, "p8e-wrong")
    answer = aep_desk.run("aep", "setup", *aep_desk.access)
    assert answer.code == 1
    assert "invalid_client" in answer.err
    assert "See whether `client_id` and `client_secret`" in answer.err
    assert "p8e-wrong" not in answer.err
    assert aep_desk.config_file.read_bytes() == before
    assert list(aep_desk.data_dir.iterdir()) == []


def test_a_missing_permission_is_named_with_the_request(aep_desk: AepDesk) -> None:
    aep_desk.adobe.faults.fail_call(1, 403, path_part="/dataSets", method="POST")
    answer = aep_desk.run("aep", "setup", "--no-wait", *aep_desk.access)
    assert answer.code == 1
    assert "Adobe's Catalog answered 403 to POST /catalog/dataSets" in answer.err
    assert "Manage Datasets" in answer.err
    assert "what was made stays; the same command goes on from here" in answer.err
    assert [line[:4] for line in answer.out.splitlines()] == ["made", "made"]
    assert [line[:8] for line in aep_desk.set_up().out.splitlines()[:3]] == [
        "is there", "is there", "made    ",
    ]  # fmt: skip


def test_a_dry_run_prints_every_call_and_changes_nothing(aep_desk: AepDesk) -> None:
    before = aep_desk.config_file.read_bytes()
    answer = aep_desk.run("aep", "setup", "--dry-run", *aep_desk.access)
    assert answer.code == 0
    url = aep_desk.adobe.platform_url
    posts = [line.split()[1] for line in answer.out.splitlines() if line.startswith("    POST ")]
    assert [post.removeprefix(f"{url}/data/foundation/") for post in posts] == [
        "schemaregistry/tenant/fieldgroups", "schemaregistry/tenant/schemas", "catalog/dataSets",
        "flowservice/connections", "flowservice/sourceConnections",
        "flowservice/targetConnections", "flowservice/flows",
    ]  # fmt: skip
    assert '"authenticationRequired": true' in answer.out
    assert 'tenant = "acme"' in answer.out
    assert aep_desk.writes() == []
    assert aep_desk.config_file.read_bytes() == before
    assert list(aep_desk.data_dir.iterdir()) == []


def test_a_dry_run_as_json_has_the_calls_as_they_are(aep_desk: AepDesk) -> None:
    found = aep_desk.ask("aep", "setup", "--dry-run", *aep_desk.access)
    assert [act["state"] for act in found["acts"]] == ["to make"] * 7
    assert found["acts"][2]["calls"][0]["body"]["schemaRef"]["id"] == "{schema}"
    assert found["destinations"]["lake"]["flow_id"] == "{flow}"
    assert found["written"] == []


def test_offline_nobody_is_asked_anything(
    aep_desk: AepDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SECRET_VARIABLE)
    answer = aep_desk.run("aep", "setup", "--dry-run", "--offline")
    assert answer.code == 0
    assert '"_TENANT"' in answer.out
    assert aep_desk.adobe.requests == []
    answer = aep_desk.run("aep", "setup", "--offline")
    assert (answer.code, aep_desk.adobe.requests) == (2, [])


def test_only_offline_it_needs_no_configuration_yet(tmp_path: Path) -> None:
    nothing = load(None, environ={}, working_directory=tmp_path, search=())
    assert agree(Wanted(), nothing, offline=True).file == Path("streamer.toml")
    with pytest.raises(UsageError, match="no configuration file"):
        agree(Wanted(), nothing, offline=False)


def test_a_field_group_that_is_not_offered_is_left_out_of_the_mapping_too(
    aep_desk: AepDesk,
) -> None:
    aep_desk.adobe.registry.missing_groups.add(EMAIL_CLICKED)
    answer = aep_desk.set_up()
    assert "does not offer this organisation: Email Clicked" in answer.out
    assert not aep_desk.options().email_details
    aep_desk.adobe.registry.missing_groups.clear()
    aep_desk.set_up()
    assert "email_details" not in aep_desk.table()


def test_journey_optimizer_is_asked_for_and_must_be_there(aep_desk: AepDesk) -> None:
    group = "https://ns.adobe.com/experience/customerJourneyManagement/messageexecution"
    aep_desk.adobe.registry.missing_groups.add(group)
    answer = aep_desk.run("aep", "setup", "--no-wait", "--journey-optimizer", *aep_desk.access)
    assert answer.code == 1
    assert "Leave out --journey-optimizer" in answer.err
    assert aep_desk.writes() == []
    aep_desk.adobe.registry.missing_groups.clear()
    aep_desk.set_up("--journey-optimizer")
    assert aep_desk.options().journey_optimizer
    aep_desk.run("aep", "setup", "--no-wait")
    assert aep_desk.options().journey_optimizer


def test_consent_is_a_destination_beside_the_one_for_events(aep_desk: AepDesk) -> None:
    aep_desk.set_up("--consent", "--destination", "adobe")
    events, consent = aep_desk.options("adobe"), aep_desk.options("adobe-consent")
    assert (events.produces, consent.produces) == ("events", "consent")
    assert events.dataset_id != consent.dataset_id
    assert events.inlet_url != consent.inlet_url
    answer = aep_desk.run("aep", "setup", "--destination", "adobe-consent")
    assert answer.code == 2
    assert "keeps consent" in answer.err


def test_raw_webhooks_have_a_destination_of_that_mode(aep_desk: AepDesk) -> None:
    answer = aep_desk.set_up("--raw")
    assert "mapping set 'Customer.io events (streamer) - raw'" in answer.out
    assert aep_desk.options().mode == "raw"
    assert aep_desk.run("aep", "setup", "--no-wait").out.count("is there") == 8


def test_adobes_own_source_ends_in_a_url_for_customerio(aep_desk: AepDesk) -> None:
    answer = aep_desk.set_up("--adobe-source")
    [line] = [line for line in answer.out.splitlines() if "x-adobe-flow-id=" in line]
    flow_id = line.rpartition("=")[2]
    assert flow_id in aep_desk.adobe.organisation.flows
    assert flow_id != aep_desk.options().flow_id
    assert "It checks no signature" in answer.out


def test_another_name_is_remembered(aep_desk: AepDesk) -> None:
    aep_desk.set_up("--name", "Ours")
    answer = aep_desk.run("aep", "setup", "--no-wait")
    assert answer.out.count("is there") == 7
    assert aep_desk.options().schema_id is not None
    aep_desk.adobe.organisation.schemas.remove(aep_desk.options().schema_id or "")
    answer = aep_desk.run("aep", "setup", "--no-wait")
    assert answer.code == 2
    assert "the name that the rest is found by" in answer.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--org and --client-id are missing"),
        (["--org", "1@AdobeOrg"], "--client-id is missing"),
        (["--org", "1", "--client-id", "c"], "is no organisation ID"),
        (
            ["--org", "1@AdobeOrg", "--client-id", "c", "--platform-url", "http://example.com"],
            "--platform-url must",
        ),
        (["--raw", "--mapping", "own.toml"], "With --raw it is done in Adobe"),
        (["--destination", "hook"], "destination 'hook' is configured already, of another kind"),
        (["--destination", "Lake!"], "is no name for a destination"),
    ],
)
def test_what_cannot_be_is_refused_before_any_call(
    aep_desk: AepDesk, arguments: list[str], said: str
) -> None:
    answer = aep_desk.run("aep", "setup", *arguments)
    assert answer.code == 2
    assert said in answer.err
    assert aep_desk.adobe.requests == []


class ImpatientClock(ManualClock):
    """Somebody presses Ctrl-C after so many seconds of waiting."""

    seconds_max = 100.0

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        if sum(self.slept) >= self.seconds_max:
            raise KeyboardInterrupt


def wait_for(desk: AepDesk, clock: ManualClock, capture: pytest.CaptureFixture[str]) -> Answer:
    adobe = desk.adobe
    wanted = Wanted(
        org=adobe.org_id, client_id=adobe.client_id, ims_url=adobe.ims_url,
        platform_url=adobe.platform_url,
    )  # fmt: skip
    run(wanted, Manner(), json=False, config=desk.config_file, clock=clock)
    written = capture.readouterr()
    return Answer(0, written.out, written.err)


def test_the_configuration_is_written_once_the_dataflow_takes_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ImpatientClock()
    with adobe_beside(clock) as adobe:
        monkeypatch.setenv(SECRET_VARIABLE, adobe.client_secret)
        desk = AepDesk(tmp_path, capsys, adobe)
        before = desk.config_file.read_bytes()
        with pytest.raises(KeyboardInterrupt):
            wait_for(desk, clock, capsys)
        assert desk.config_file.read_bytes() == before
        assert "the same command goes on from here" in capsys.readouterr().err
        monkeypatch.delenv(SECRET_VARIABLE)
        clock.seconds_max = float("inf")
        answer = wait_for(desk, clock, capsys)
        assert sum(clock.slept) == pytest.approx(FLOW_READY_SECONDS, abs=2)
        assert "waiting, at most 3 min 20 s more" in answer.err
        assert answer.err.count("waiting") == 4
        assert len(adobe.organisation.flows) == 1
        assert desk.options().flow_id in adobe.organisation.flows
