"""``streamer aep doctor``: each thing that could lose events is found, by its code."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from streamer.cli.aep_session import SECRET_VARIABLE
from tests.cli.aep_desk import AepDesk, aep_desk
from tests.stand_ins.aep import Adobe
from tests.support.adobe import needs_adobe

__all__ = ["aep_desk"]

LOOKS = [
    "aep.token", "aep.tenant", "aep.schema", "aep.dataset", "aep.profile", "aep.flow", "aep.inlet",
    "aep.namespaces",
]  # fmt: skip


def findings(desk: AepDesk, *more: str) -> dict[str, str]:
    """Return the state of each look but the machine's clock."""
    answer = desk.run("aep", "doctor", "--json", *more)
    found = answer.json
    assert answer.code == (0 if found["ok"] else 1)
    return {one["code"]: one["state"] for one in found["findings"] if one["code"] != "clock"}


@needs_adobe
def test_a_fresh_set_up_is_fine_in_every_respect(aep_desk: AepDesk) -> None:
    aep_desk.set_up("--consent", "--profile")
    assert findings(aep_desk) == dict.fromkeys(LOOKS, "ok")
    assert findings(aep_desk, "--destination", "lake-consent") == dict.fromkeys(LOOKS, "ok")


def test_looking_writes_nothing(aep_desk: AepDesk) -> None:
    aep_desk.set_up()
    aep_desk.adobe.requests.clear()
    findings(aep_desk)
    assert all("/collection/batch/" in path for path in aep_desk.writes())
    assert aep_desk.adobe.received == []


def test_people_read_what_to_do(aep_desk: AepDesk) -> None:
    aep_desk.set_up()
    aep_desk.run("aep", "disable")
    answer = aep_desk.run("aep", "doctor")
    assert answer.code == 1
    assert "FAILED  the dataflow takes data: it is disabled" in answer.out
    assert "        `streamer aep enable` switches it on." in answer.out
    assert "ok      the inlet takes calls with our token" in answer.out


def lose_a_field(adobe: Adobe) -> None:
    [group] = adobe.organisation.field_groups
    own = group["definitions"]["customFields"]["properties"]["_acme"]["properties"]
    del own["customerio"]["properties"]["deliveryID"]


def move_the_dataset(adobe: Adobe) -> None:
    [dataset] = adobe.organisation.datasets
    dataset["schemaRef"]["id"] = "https://ns.adobe.com/acme/schemas/other"


def open_the_inlet(adobe: Adobe) -> None:
    [connection] = adobe.organisation.connections
    connection["auth"]["params"]["authenticationRequired"] = False


def lose(kind: str, name: str) -> Callable[[Adobe], None]:
    def remove(adobe: Adobe) -> None:
        documents = getattr(adobe.organisation, kind)
        [document] = documents
        documents.remove(document[name])

    return remove


@pytest.mark.parametrize(
    ("harm", "code", "state"),
    [
        (lose_a_field, "aep.schema", "failed"),
        (lose("schemas", "$id"), "aep.schema", "failed"),
        (move_the_dataset, "aep.dataset", "failed"),
        (lose("flows", "id"), "aep.flow", "failed"),
        (lose("connections", "id"), "aep.inlet", "failed"),
        (open_the_inlet, "aep.connection", "warning"),
    ],
)
def test_what_is_wrong_is_found(
    aep_desk: AepDesk, harm: Callable[[Adobe], None], code: str, state: str
) -> None:
    aep_desk.set_up()
    harm(aep_desk.adobe)
    assert findings(aep_desk)[code] == state


@needs_adobe
def test_a_missing_field_is_named(aep_desk: AepDesk) -> None:
    aep_desk.set_up()
    lose_a_field(aep_desk.adobe)
    out = aep_desk.run("aep", "doctor").out
    assert "1 field missing: _acme.customerio.deliveryID" in out
    aep_desk.run("aep", "setup", "--no-wait")
    assert findings(aep_desk)["aep.schema"] == "ok"


def test_a_field_that_only_the_mapping_file_has_is_missed_in_the_schema(aep_desk: AepDesk) -> None:
    aep_desk.set_up()
    file = aep_desk.config_file.with_name("own.toml")
    file.write_text('[fields]\n"_{tenant}.customerio.tier" = "text"\n', encoding="utf-8")
    change(aep_desk, 'tenant = "acme"', f'tenant = "acme"\nmapping = "{file}"')
    out = aep_desk.run("aep", "doctor").out
    assert "1 field missing: _acme.customerio.tier" in out
    assert "`streamer aep setup` adds what is missing." in out
    aep_desk.run("aep", "setup", "--no-wait")
    assert findings(aep_desk)["aep.schema"] == "ok"


def test_a_mapping_file_that_is_gone_ends_one_look_and_not_the_rest(aep_desk: AepDesk) -> None:
    aep_desk.set_up()
    change(aep_desk, 'tenant = "acme"', 'tenant = "acme"\nmapping = "/absent/own.toml"')
    states = findings(aep_desk)
    assert (states["aep.schema"], states["aep.flow"]) == ("failed", "ok")


def change(desk: AepDesk, old: str, new: str) -> None:
    text = desk.config_file.read_text("utf-8")
    assert old in text
    desk.config_file.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "code", "state"),
    [
        ('tenant = "acme"', 'tenant = "other"', "aep.tenant", "failed"),
        ('sandbox = "prod"', 'sandbox = "dev"', "aep.tenant", "failed"),
        ('tenant = "acme"', 'tenant = "acme"\nentity_bytes_max = 20000', "aep.profile", "warning"),
        (
            'tenant = "acme"',
            'tenant = "acme"\nidentities = [{ namespace = "CRMID", source = "data.customer_id" }]',
            "aep.namespaces",
            "failed",
        ),
    ],
)
def test_a_configuration_that_does_not_fit_is_found(
    aep_desk: AepDesk, old: str, new: str, code: str, state: str
) -> None:
    aep_desk.set_up("--profile")
    change(aep_desk, old, new)
    assert findings(aep_desk)[code] == state


def test_without_a_token_nothing_else_is_looked_at(
    aep_desk: AepDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    aep_desk.set_up()
    (aep_desk.data_dir / "lake-client-secret").write_text("p8e-revoked")
    monkeypatch.delenv(SECRET_VARIABLE)
    assert findings(aep_desk) == {"aep.token": "failed"}


@needs_adobe
def test_a_look_that_fails_does_not_end_the_rest(aep_desk: AepDesk) -> None:
    aep_desk.set_up()
    aep_desk.adobe.faults.fail_call(1, 403, path_part="/identities")
    found = findings(aep_desk)
    assert found["aep.namespaces"] == "failed"
    assert [state for code, state in found.items() if code != "aep.namespaces"] == ["ok"] * 7


def test_an_adobe_that_does_not_answer_is_waited_for_once(aep_desk: AepDesk) -> None:
    aep_desk.set_up()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        change(aep_desk, f'platform_url = "{aep_desk.adobe.url}"',
               f'platform_url = "http://127.0.0.1:{closed.getsockname()[1]}"')  # fmt: skip
        found = findings(aep_desk)
    assert [code for code, state in found.items() if state == "failed"] == ["aep.tenant"]
    assert [code for code, state in found.items() if state == "warning"] == [
        "aep.schema", "aep.dataset", "aep.flow", "aep.namespaces",
    ]  # fmt: skip
    assert found["aep.inlet"] == "ok"


def test_without_an_answer_of_the_identity_service_it_is_named(aep_desk: AepDesk) -> None:
    aep_desk.set_up()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        change(aep_desk, f'ims_url = "{aep_desk.adobe.url}"',
               f'ims_url = "http://127.0.0.1:{closed.getsockname()[1]}"')  # fmt: skip
        out = aep_desk.run("aep", "doctor").out
    assert "IMS gave no answer: 127.0.0.1 port" in out
    assert "`ims_url`" in out


def test_raw_mode_leaves_schema_and_identities_to_adobe(aep_desk: AepDesk) -> None:
    aep_desk.set_up("--raw")
    assert set(findings(aep_desk).values()) == {"ok"}
