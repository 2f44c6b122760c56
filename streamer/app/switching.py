"""Switches webhooks on at Customer.io, once the service can be called.

``streamer customerio setup`` leaves a wish behind when nobody would listen after
it: a webhook that is enabled without a listener costs an hour of waiting for
each call. See ``docs/decisions/0020-the-service-switches-the-webhook-on.md``.

Ingest comes first: nothing is imported or asked for as long as nothing waits,
no failure here ends the service or delays an answer, and the wish stays in the
database until it is fulfilled or taken back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import structlog

from streamer.clock import Clock
from streamer.config.model import Config
from streamer.config.secrets import Secrets
from streamer.core.alarms import NOT_SWITCHED_ON
from streamer.core.errors import StreamerError
from streamer.core.intervals import SWITCH_ON_SECONDS, SWITCH_ON_SECONDS_MAX
from streamer.core.retry import RetryPolicy, next_attempt_at
from streamer.observe.board import Board
from streamer.observe.log import where
from streamer.store import switch_on
from streamer.store.connection import Database
from streamer.store.writer import Writer

_log = structlog.get_logger("streamer.switching")

_POLICY = RetryPolicy(base_seconds=SWITCH_ON_SECONDS, max_seconds=SWITCH_ON_SECONDS_MAX)

HINT = "`streamer customerio enable` tries it now; `streamer customerio disable` lets it be."


class SwitchOn:
    """Fulfils the wishes of one database."""

    def __init__(
        self,
        *,
        reader: Database,
        writer: Writer,
        board: Board,
        clock: Clock,
        settings: Callable[[], tuple[Config, Secrets]],
        unready_reason: Callable[[], Awaitable[str | None]],
    ) -> None:
        """Look up ``settings`` at each attempt: a reload may have mended them."""
        self.serving = anyio.Event()
        """Set when calls are answered; nothing is switched on before."""
        self._reader = reader
        self._writer = writer
        self._board = board
        self._clock = clock
        self._settings = settings
        self._unready_reason = unready_reason

    async def run(self) -> None:
        """Switch on what waits, for as long as something does; whatever fails is tried again."""
        await self.serving.wait()
        attempts = 0
        while await self._may_wait_still():
            attempts += 1
            await self._clock.sleep(self._pause_seconds(attempts))

    async def _may_wait_still(self) -> bool:
        """Try what waits once; False if nothing does.

        Giving up for good would leave a webhook disabled until the next restart, and what a
        disabled webhook would have told is never told.
        """
        try:
            waiting = await self._waiting()
            if waiting and await self._unready_reason() is None:
                for source, webhook_id in waiting.items():
                    await self._try(source, webhook_id)
        except Exception as error:  # ingest must not feel it
            _log.error("webhook.switching_failed", raised=where(error), hint=HINT)
            return True
        return bool(waiting)

    async def _waiting(self) -> dict[str, int]:
        """Return what waits, and clear the alarms about what does so no more."""
        waiting = await self._reader.run(switch_on.pending)
        for code, source in self._board.standing:
            if code == NOT_SWITCHED_ON.code and source not in waiting:
                self._board.clear(NOT_SWITCHED_ON, source)
        return waiting

    def _pause_seconds(self, attempts: int) -> float:
        at = next_attempt_at(_POLICY, attempts, 0, self._clock.jitter())
        return max(SWITCH_ON_SECONDS, at / 1000)

    async def _try(self, source: str, webhook_id: int) -> None:
        try:
            await self._switch_on(source, webhook_id)
        except StreamerError as error:
            message = f"webhook {webhook_id}: {error}"
            self._board.note(NOT_SWITCHED_ON, source, message)
            return
        now = self._clock.now()
        await self._writer.do(lambda db: switch_on.note(db, source, webhook_id, on=True, now=now))
        self._board.clear(NOT_SWITCHED_ON, source)
        _log.info("webhook.switched_on", source=source, webhook=webhook_id)

    async def _switch_on(self, source: str, webhook_id: int) -> None:
        config, secrets = self._settings()
        options = config.sources.get(source)
        if options is None or options.app_api_key is None:
            raise StreamerError(f"[sources.{source}] has no app_api_key")
        from streamer.provision import app_api, webhooks  # noqa: PLC0415 - seldom needed

        transport = app_api.make_transport()
        try:
            api = app_api.AppApi(
                transport,
                url=options.app_api_url,
                key=secrets.of(options.app_api_key),
                clock=self._clock,
            )
            webhook = await api.webhook(webhook_id)
            await webhooks.change(api, webhook, webhooks.Wanted(disabled=False))
        finally:
            with anyio.CancelScope(shield=True):  # closing waits for nobody
                await transport.aclose()
