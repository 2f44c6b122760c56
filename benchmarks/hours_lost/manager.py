"""Keeps one server process running as its unit would: ``Restart=always``, with a pause.

A thread starts the process, waits until it answers, and waits for its end; then it begins anew.
Signals come from the benchmark's own thread, which asks `is_settled` before it believes that what
it did to the process is over. Processes are ended by their own number, and only those started here.
"""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import Self

START_SECONDS_MAX = 60.0
"""A server that takes longer is not started at all, and the benchmark ends."""
STOP_SECONDS_MAX = 30.0
ANSWER_SECONDS_MAX = 5.0
LOOK_SECONDS = 0.02

Launch = Callable[[], "subprocess.Popen[bytes]"]


class Manager:
    """One server's process, again and again, for the length of a ``with`` block."""

    def __init__(self, launch: Launch, *, port: int, restart_seconds: float) -> None:
        """``restart_seconds`` is the pause after an end that nobody asked for."""
        self._launch = launch
        self._port = port
        self._restart_seconds = restart_seconds
        self._thread = threading.Thread(target=self._run)
        self._settled = threading.Event()
        self._stopping = threading.Event()
        self._restarting = False
        self._process: subprocess.Popen[bytes] | None = None
        self._failure: Exception | None = None
        self.ends: Counter[int] = Counter()
        """How often the process ended with which exit code, negative for a signal."""

    def __enter__(self) -> Self:
        self._thread.start()
        self.wait_settled(START_SECONDS_MAX)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._signal(signal.SIGTERM)
        self._thread.join(STOP_SECONDS_MAX)
        if self._thread.is_alive():
            self._signal(signal.SIGKILL)
            self._thread.join()

    @property
    def is_settled(self) -> bool:
        """Say whether the process is there and answers, as far as is known.

        Raises:
            RuntimeError: it does not start.
        """
        if self._failure is not None:
            raise RuntimeError("a server does not start") from self._failure
        return self._settled.is_set()

    def wait_settled(self, seconds: float) -> None:
        """Wait until the process answers, but no longer than this."""
        deadline = time.monotonic() + seconds
        while not self.is_settled and time.monotonic() < deadline:
            self._settled.wait(LOOK_SECONDS)

    def restart(self) -> None:
        """Stop the process with SIGTERM and start the next one as soon as it has ended."""
        self._settled.clear()
        self._restarting = True
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the process and see it dead; the next one is started after the pause."""
        self._settled.clear()
        process = self._process
        if process is not None:
            process.kill()
            process.wait()  # until then it might still take a call, and cut it off

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._run_once()
        except Exception as error:
            self._failure = error
        finally:
            self._settled.set()

    def _run_once(self) -> None:
        process = self._process = self._launch()
        try:
            if self._stopping.is_set():  # asked before there was a process to signal
                process.terminate()
            self._wait_until_it_answers(process)
            self.ends[process.wait()] += 1
        finally:
            self._settled.clear()
            if process.poll() is None:
                process.kill()
                process.wait()
        if not self._restarting:
            self._stopping.wait(self._restart_seconds)
        self._restarting = False

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while process.poll() is None:
            if answers(self._port):
                self._settled.set()
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer within {START_SECONDS_MAX} s")
            time.sleep(LOOK_SECONDS)


def answers(port: int) -> bool:
    """Say whether a server on this machine answers at all, whatever it says."""
    connection = HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS_MAX)
    try:
        connection.request("GET", "/readyz")
        connection.getresponse().read()
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
    return True
