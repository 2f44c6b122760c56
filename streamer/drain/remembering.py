"""What of a track outlives the process: from a track to its row, and back."""

from __future__ import annotations

from streamer.core import drain
from streamer.core.drain import Phase, Track
from streamer.store.cursors import Cursor, CursorState


def restore(cursor: Cursor) -> Track:
    """Take up where the last process left off; a held destination is probed at once."""
    state = cursor.state
    track = Track(
        phase=Phase(state.state),
        attempt=state.attempt,
        first_deferred_at=state.first_deferred_at,
        next_attempt_at=state.next_attempt_at,
        last_error=state.last_error,
        redo_until=max(cursor.progress.ahead, default=0),
        holding=state.state == Phase.HELD.value,
    )
    return drain.poke(track) if track.holding else track


def stored_state(track: Track) -> CursorState:
    """Reduce a track to what is stored; `sending` never is."""
    return CursorState(
        state=track.phase.value,
        attempt=track.attempt,
        first_deferred_at=track.first_deferred_at,
        next_attempt_at=track.next_attempt_at,
        last_error=track.last_error,
    )
