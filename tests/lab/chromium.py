# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A headless Chromium, told what to do by the DevTools protocol through its pipe."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time
import typing as t
from pathlib import Path

from .missing import Missing

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}


class Browser:
    """A browser with one page; a context manager.

    ``requests`` are the addresses that the page asked for, ``complaints`` what it said on the
    console and what went wrong.
    """

    def __init__(self, folder: Path) -> None:
        program = next(filter(None, map(shutil.which, PROGRAMS)), None)
        if program is None:
            raise Missing(f"none of {', '.join(PROGRAMS)} is installed: apt-get install chromium")
        self._program, self._folder, self._words = program, folder, folder / "stderr.txt"
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._number = 0
        self._buffer = b""
        self._session: str | None = None

    def __enter__(self) -> Browser:
        # Chromium reads orders on its descriptor 3 and answers on 4.
        theirs_in, self._to = os.pipe()
        self._from, theirs_out = os.pipe()

        def place() -> None:
            # Away from 3 and 4 first: either may lie where the other has to go.
            orders, answers = os.dup2(theirs_in, 100), os.dup2(theirs_out, 101)
            os.dup2(orders, 3)
            os.dup2(answers, 4)

        command = [
            *(
                self._program,
                "--headless",
                "--remote-debugging-pipe",
                "--disable-gpu",
                "--no-first-run",
                "--hide-scrollbars",
            ),
            *("--disable-background-networking", "--disable-dev-shm-usage", f"--user-data-dir={self._folder}"),
            *(["--no-sandbox"] if os.geteuid() == 0 else []),  # which it refuses to have as root
        ]
        with self._words.open("wb") as words:
            self._process = subprocess.Popen(
                command, close_fds=False, preexec_fn=place, stdout=subprocess.DEVNULL, stderr=words
            )
        os.close(theirs_in)
        os.close(theirs_out)
        page = self.order("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.order("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for part in ("Page", "Network", "Runtime", "Log"):
            self.order(f"{part}.enable")
        self.order("Performance.enable", timeDomain="threadTicks")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._session = None
        with contextlib.suppress(OSError, EOFError, TimeoutError):
            self.order("Browser.close")
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._to)
        os.close(self._from)

    # -- what a person does ------------------------------------------------------------------------

    def show(self, file: Path, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """Open *file* and wait until all of it is there and drawn."""
        self.requests.clear()
        self.complaints.clear()
        self.order(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.order("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.order("Page.navigate", url=file.as_uri())
        ready = (
            "new Promise(done => { const drawn = () => requestAnimationFrame(() => requestAnimationFrame(done)); "
            "document.readyState === 'complete' ? drawn() : addEventListener('load', drawn) })"
        )
        self.evaluate(ready)

    def press(self, key: str, times: int = 1) -> None:
        """A key, by its DOM name."""
        text = {"Enter": "\r", " ": " "}.get(key, key if len(key) == 1 else "")
        code = _KEYS.get(key, ord(key.upper()) if len(key) == 1 else 0)
        for _unused in range(times):
            common = {"key": key, "windowsVirtualKeyCode": code}
            self.order("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
            self.order("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text: str) -> None:
        for letter in text:
            self.press(letter)

    def evaluate(self, expression: str) -> t.Any:
        """The value of an expression in the page; a promise's when it has one."""
        answer = self.order("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def busy(self) -> float:
        """Return the processor time of the page's main thread so far, in seconds.

        The load of the machine has no influence on it.
        """
        metrics = self.order("Performance.getMetrics")["metrics"]
        return next(t.cast("float", one["value"]) for one in metrics if one["name"] == "TaskDuration")

    def screenshot(self, file: Path, whole: bool = False) -> None:
        shot = self.order("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(shot["data"]))

    # -- the protocol ------------------------------------------------------------------------------

    def order(self, method: str, timeout: float = 120.0, **parameters: t.Any) -> dict[str, t.Any]:
        """The answer to an order; what the page reports meanwhile is noted.

        Raises TimeoutError, EOFError, RuntimeError.
        """
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + timeout
        while True:
            answer = self._receive(until, method)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return t.cast("dict[str, t.Any]", answer["result"])
            self._note(answer.get("method"), answer.get("params", {}))

    def _receive(self, until: float, method: str) -> dict[str, t.Any]:
        while b"\0" not in self._buffer:
            if not select.select([self._from], [], [], max(until - time.monotonic(), 0))[0]:
                raise TimeoutError(f"Chromium does not answer {method}")
            data = os.read(self._from, 1 << 16)
            if not data:
                raise EOFError(f"Chromium has gone. Its last words: {self._words.read_text(errors='replace')[-500:]}")
            self._buffer += data
        message, _unused, self._buffer = self._buffer.partition(b"\0")
        return t.cast("dict[str, t.Any]", json.loads(message))

    def _note(self, method: str | None, said: dict[str, t.Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(str(said["args"]))
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(said["exceptionDetails"]))
        elif method == "Log.entryAdded":
            self.complaints.append(said["entry"]["text"])
