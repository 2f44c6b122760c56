"""``streamer aep status``, ``runs``, ``enable``, ``disable`` and ``teardown``."""

from __future__ import annotations

import re

import pytest

from streamer.cli.aep_session import SECRET_VARIABLE
from tests.cli.aep_desk import AepDesk, aep_desk

__all__ = ["aep_desk"]

KINDS = ("connections", "source_connections", "target_connections", "flows")


def left(desk: AepDesk) -> dict[str, int]:
    organisation = desk.adobe.organisation
    kinds = (*KINDS, "datasets", "schemas", "field_groups")
    return {kind: len(getattr(organisation, kind)) for kind in kinds}


def test_both_sides_stand_beside_each_other(aep_desk: AepDesk) -> None:
    aep_desk.set_up()
    aep_desk.make_database()
    answer = aep_desk.run("aep", "status")
    assert answer.code == 0
    lines = dict(line.split(None, 1) for line in answer.out.splitlines()[:4])
    assert lines["Dataflow"].startswith("enabled  Customer.io events (streamer)")
    assert lines["Connection"] == "enabled, with a token"
    assert "not read by the profile" in lines["Dataset"]
    assert "Our state    ready" in answer.out
    assert "No runs yet" in answer.out


def test_programs_get_both_sides_as_one_object(aep_desk: AepDesk) -> None:
    aep_desk.set_up("--profile")
    aep_desk.make_database()
    found = aep_desk.ask("aep", "status")
    assert found["destination"] == "lake"
    assert found["adobe"]["flow"] == "enabled"
    assert found["adobe"]["dataset_in_profile"] is True
    assert found["ours"]["state"] == "ready"
    assert aep_desk.ask("aep", "runs") == found["runs"] == []


def test_without_a_database_adobes_side_is_shown_all_the_same(aep_desk: AepDesk) -> None:
    aep_desk.set_up()
    answer = aep_desk.run("aep", "status")
    assert answer.code == 0
    assert "Dataflow     enabled" in answer.out
    assert "our side is not shown" in answer.err


def test_an_inlet_that_is_open_to_anybody_is_shouted_of(aep_desk: AepDesk) -> None:
    aep_desk.set_up()
    [connection] = aep_desk.adobe.organisation.connections
    connection["auth"]["params"]["authenticationRequired"] = False
    assert "OPEN TO ANYBODY" in aep_desk.run("aep", "status").out


def test_the_dataflow_is_switched_off_and_on(aep_desk: AepDesk) -> None:
    aep_desk.set_up()
    [flow] = aep_desk.adobe.organisation.flows
    off = aep_desk.run("aep", "disable")
    assert (off.code, flow["state"]) == (0, "disabled")
    assert off.out == "the dataflow of lake is disabled\n"
    assert "streamer destination pause lake" in off.err
    assert aep_desk.run("aep", "disable").out == "the dataflow of lake was disabled already\n"
    on = aep_desk.run("aep", "enable")
    assert (on.code, flow["state"]) == (0, "enabled")
    assert "streamer destination resume lake" in on.err


def test_commands_say_what_to_do_where_nothing_is_set_up(aep_desk: AepDesk) -> None:
    for command in ("status", "runs", "doctor", "enable", "disable", "teardown"):
        answer = aep_desk.run("aep", command)
        assert answer.code == 2
        assert "no destination of kind `aep` is configured" in answer.err
        assert "streamer aep setup" in answer.err


def test_one_of_several_destinations_has_to_be_named(aep_desk: AepDesk) -> None:
    aep_desk.set_up("--consent")
    aep_desk.make_database()
    assert aep_desk.ask("aep", "status")["destination"] == "lake"
    assert aep_desk.ask("aep", "status", "--destination", "lake-consent")["adobe"]["dataset"]
    aep_desk.set_up("--destination", "other", "--name", "Other")
    answer = aep_desk.run("aep", "status")
    assert answer.code == 2
    assert "--destination: lake, lake-consent, other" in answer.err
    answer = aep_desk.run("aep", "status", "--destination", "lke")
    assert (answer.code, "Did you mean lake?" in answer.err) == (2, True)
    answer = aep_desk.run("aep", "status", "--destination", "archive")
    assert answer.code == 2
    assert "destination 'archive' is of kind `file`, not `aep`" in answer.err


def test_a_secret_that_only_the_service_sees_may_stand_in_the_environment(
    aep_desk: AepDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    aep_desk.set_up()
    text = aep_desk.config_file.read_text("utf-8")
    kept = f'client_secret = {{ file = "{aep_desk.data_dir}/lake-client-secret" }}'
    assert kept in text
    named = text.replace(kept, 'client_secret = { credential = "aep-client-secret" }')
    aep_desk.config_file.write_text(named, encoding="utf-8")
    assert aep_desk.run("aep", "status").code == 0
    assert aep_desk.run("aep", "setup", "--no-wait").code == 0
    assert aep_desk.config_file.read_text("utf-8") == named
    monkeypatch.delenv(SECRET_VARIABLE)
    answer = aep_desk.run("aep", "status")
    assert answer.code == 78
    assert "the client secret of destination 'lake' cannot be read" in answer.err
    assert SECRET_VARIABLE in answer.err


def test_taking_down_asks_first(aep_desk: AepDesk) -> None:
    aep_desk.set_up()
    before = left(aep_desk)
    answer = aep_desk.run("aep", "teardown")
    assert answer.code == 2
    assert "Say --yes" in answer.err
    assert answer.out.count(": to delete") == 4
    assert answer.out.count("--dataset deletes it too") == 3
    assert left(aep_desk) == before


def test_taking_down_deletes_ours_and_keeps_the_events(aep_desk: AepDesk) -> None:
    aep_desk.set_up()
    aep_desk.adobe.new_inlet(name="theirs")
    answer = aep_desk.run("aep", "teardown", "--yes")
    assert answer.code == 0
    assert answer.out.count("deleted  ") == 4
    assert "streamer destination forget lake" in answer.out
    assert left(aep_desk) == {**dict.fromkeys(KINDS, 1), "datasets": 2, "schemas": 2,
                              "field_groups": 1}  # fmt: skip
    again = aep_desk.run("aep", "teardown", "--yes")
    assert (again.code, again.out.count("deleted  ")) == (0, 0)


def test_taking_all_down_twice_finds_nothing_more(aep_desk: AepDesk) -> None:
    aep_desk.set_up()
    told = aep_desk.ask("aep", "teardown", "--yes", "--dataset")
    assert {one["state"] for one in told} == {"deleted"}
    assert set(left(aep_desk).values()) == {0}
    answer = aep_desk.run("aep", "teardown", "--yes", "--dataset")
    assert (answer.code, answer.out) == (
        0, "Nothing of ours is there any more. --name looks for a set-up of another name.\n",
    )  # fmt: skip


def test_a_destination_whose_schema_is_gone_takes_nothing_else_down(aep_desk: AepDesk) -> None:
    aep_desk.set_up()
    aep_desk.set_up("--destination", "other", "--name", "Other")
    aep_desk.adobe.organisation.schemas.remove(aep_desk.options("other").schema_id or "")
    answer = aep_desk.run("aep", "teardown", "--yes", "--dataset", "--destination", "other")
    assert answer.out.startswith("Nothing of ours is there any more.")
    assert len(aep_desk.adobe.organisation.flows) == 2
    named = ["--destination", "other", "--name", "Other"]
    aep_desk.run("aep", "teardown", "--yes", "--dataset", *named)
    assert len(aep_desk.adobe.organisation.flows) == 1


def test_what_cannot_be_deleted_is_said_and_the_rest_is_tried(aep_desk: AepDesk) -> None:
    aep_desk.set_up()
    aep_desk.adobe.faults.fail_call(1, 400, method="DELETE")
    answer = aep_desk.run("aep", "teardown", "--yes")
    assert answer.code == 1
    assert "failed   dataflow" in answer.out
    assert answer.out.count("deleted  ") == 3
    assert "1 could not be deleted" in answer.err


def test_our_side_is_shown_although_adobe_cannot_be_asked(aep_desk: AepDesk) -> None:
    aep_desk.set_up()
    aep_desk.make_database()
    aep_desk.adobe.faults.fail_call(1, 403, path_part="/flows/")
    answer = aep_desk.run("aep", "status")
    assert answer.code == 1
    assert "Our cursor   0, 0 events pending" in answer.out
    assert "Flow Service answered 403" in answer.err
    assert "Manage Sources" in answer.err


def test_both_sides_end_with_the_command_that_tells_more(aep_desk: AepDesk) -> None:
    aep_desk.set_up()
    aep_desk.make_database()
    assert "note:" not in aep_desk.run("aep", "status").err
    aep_desk.run("aep", "disable")
    assert "`streamer aep doctor` says what to do" in aep_desk.run("aep", "status").err
    text = aep_desk.config_file.read_text("utf-8")
    aep_desk.config_file.write_text(re.sub(r'flow_id = ".+"', 'flow_id = "none"', text), "utf-8")
    assert "Dataflow     gone (none)" in aep_desk.run("aep", "status").out
