"""Where in the file a key stands."""

from __future__ import annotations

import pytest

from streamer.config.locate import Lines
from streamer.config.problems import KeyPath

TEXT = '''\
data_dir = "x"  # [not.a.header]
"quoted" = 1

[ server ]   # the listener
bind = "127.0.0.1:1"
note = """
[admin]
bind = "inside a text"
"""
[admin]
  bind = "127.0.0.1:2"
[destinations."hook.eu"]
url = "u"
privacy.drop = ["a"]
signing_keys = [
  { file = "a" },
]
[[lists]]
after = 1
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("data_dir",), 1),
        (("quoted",), 2),
        (("server",), 4),
        (("server", "bind"), 5),
        (("admin", "bind"), 11),
        (("destinations", "hook.eu"), 12),
        (("destinations", "hook.eu", "url"), 13),
        (("destinations", "hook.eu", "privacy", "drop", 0), 14),
        (("destinations", "hook.eu", "signing_keys", 0, "file"), 15),
        (("destinations", "hook.eu", "missing"), 12),
        (("lists", "after"), 19),
        (("nowhere",), None),
        ((), None),
    ],
)
def test_a_key_is_found_or_else_its_table(path: KeyPath, line: int | None) -> None:
    assert Lines(TEXT).line_of(path) == line
