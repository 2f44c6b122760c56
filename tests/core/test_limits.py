"""The limits fit each other."""

from __future__ import annotations

import ast
import inspect

from streamer.core import limits


def test_we_answer_before_the_sender_hangs_up() -> None:
    assert limits.ANSWER_DEADLINE_SECONDS < limits.ANSWER_DEADLINE_SECONDS_MAX
    assert limits.ANSWER_DEADLINE_SECONDS_MAX < limits.SENDER_TIMEOUT_SECONDS
    assert limits.BUSY_TIMEOUT_MILLISECONDS * 4 < limits.ANSWER_DEADLINE_SECONDS * 1000


def test_a_retry_meets_the_event_that_it_repeats() -> None:
    assert limits.RETENTION_DAYS >= limits.RETENTION_DAYS_MIN > limits.SENDER_RETRY_DAYS


def test_the_largest_body_fits_everywhere_that_it_must_pass() -> None:
    assert limits.BODY_BYTES_MAX <= limits.BODY_BYTES_HARD_MAX
    assert limits.BODY_BYTES_HARD_MAX <= limits.COMMIT_BYTES_MAX <= limits.INGEST_QUEUE_BYTES_MAX
    assert limits.BODY_BYTES_HARD_MAX <= limits.WINDOW_BYTES_MAX


def test_ingest_stops_before_draining_does() -> None:
    assert limits.DRAIN_FLOOR_BYTES < limits.INGEST_FLOOR_BYTES


def test_the_service_manager_does_not_kill_us_while_we_stop() -> None:
    assert limits.LAME_DUCK_SECONDS + limits.GRACEFUL_SECONDS < 45


def test_every_limit_says_why() -> None:
    body = ast.parse(inspect.getsource(limits)).body
    units = {"KIB", "MIB", "GIB", "DAY_SECONDS"}
    for statement, reason in zip(body, [*body[1:], None], strict=True):
        if not isinstance(statement, ast.Assign):
            continue
        [name] = [target.id for target in statement.targets if isinstance(target, ast.Name)]
        is_text = isinstance(reason, ast.Expr) and isinstance(reason.value, ast.Constant)
        assert is_text or name in units, name
