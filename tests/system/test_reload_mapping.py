"""A reload takes over a file that a destination reads, although its settings are as they were."""

from __future__ import annotations

from tests.support.processes import Installation
from tests.system.test_reload import lines, reload

LAKE = """
[destinations.lake]
kind = "aep"
inlet_url = "http://127.0.0.1:9/collection/1"
flow_id = "f"
ims_org_id = "o@AdobeOrg"
tenant = "acme"
dataset_id = "d"
schema_id = "s"
mapping = "mapping.toml"
"""
RULE = '[[rules]]\ndestination = "producedBy"\nconstant = "{}"\n'


def test_a_changed_mapping_file_makes_the_destination_anew(installation: Installation) -> None:
    file = installation.directory / "mapping.toml"
    file.write_text(RULE.format("first"))
    installation.configure(LAKE)
    process = installation.start()
    process.wait_ready()
    reload(installation, process)
    assert lines(installation, "reload.done")[-1]["destinations"] == [], "nothing has changed"
    file.write_text(RULE.format("second"))
    reload(installation, process)
    assert lines(installation, "reload.done")[-1]["destinations"] == ["lake"]
    file.write_text("rulse = 1")
    reload(installation, process, "reload.refused")
    refusal = lines(installation, "reload.refused")[-1]
    assert "line 1, rulse: is not a known key" in refusal["error"]
    assert process.stop() == 0
