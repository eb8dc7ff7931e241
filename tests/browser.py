"""A headless Chromium that is typed into, through the DevTools protocol on two pipes."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import select
import subprocess
import sys
import time

_FIRST_FREE = 10
_SECONDS = 15
_KEYS = {"Tab": 9, "Enter": 13, " ": 32, "ArrowRight": 39, "ArrowDown": 40}
_START = """
import os, sys
for place, end in enumerate(sys.argv[1:3]):
    os.dup2(int(end), 3 + place)
os.execv(sys.argv[3], sys.argv[3:])
"""
_TEXTS = {"Enter": "\r", " ": " "}


class Tab:
    """One page of a browser.

    Args:
        process: The browser.
        into: Its descriptor of commands.
        out: That of its answers.
    """

    def __init__(self, process, into, out):
        self.process, self._into, self._out = process, into, out
        self._numbers, self._rest, self._session = itertools.count(1), b"", None
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        attached = self._send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self._send("Page.enable")
        features = [{"name": "prefers-reduced-motion", "value": "reduce"}]  # what is focused is there at once
        self._send("Emulation.setEmulatedMedia", features=features)

    def open(self, address, width, height=900):
        """Load a page that is not yet open in a window of so many pixels, and wait until it is there."""
        self._send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self._send("Page.navigate", url=address)
        self.wait(f'document.readyState === "complete" && location.href === {json.dumps(address)}')

    def run(self, script):
        """The value of a script."""
        done = self._send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def wait(self, script):
        """Wait until a script is true."""
        until = time.monotonic() + _SECONDS
        while not self.run(script):
            assert time.monotonic() < until, script
            time.sleep(0.02)

    def press(self, key):
        """Press a key and let it go."""
        named = {"key": key, "code": {" ": "Space"}.get(key, key), "windowsVirtualKeyCode": _KEYS[key]}
        text = {"text": _TEXTS[key]} if key in _TEXTS else {}
        self._send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **named, **text)
        self._send("Input.dispatchKeyEvent", type="keyUp", **named)

    def _send(self, method, **parameters):
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._into, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer)
                return answer["result"]

    def _read(self):
        until = time.monotonic() + _SECONDS
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._out], [], [], max(0.0, until - time.monotonic()))
            assert ready, "the browser does not answer"
            found = os.read(self._out, 65536)
            assert found, "the browser has ended"
            self._rest += found
        line, self._rest = self._rest.split(b"\0", 1)
        return json.loads(line)


@contextlib.contextmanager
def browsing(browser, folder):
    """A page to type into.

    Args:
        browser: The program.
        folder: For its profile.
    """
    reads, writes = zip(*(os.pipe() for _ in range(2)), strict=True)
    passed = [fcntl.fcntl(end, fcntl.F_DUPFD, _FIRST_FREE) for end in (reads[0], writes[1])]
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
    options += [f"--user-data-dir={folder / 'profile'}", "about:blank"]
    process = subprocess.Popen(
        [sys.executable, "-c", _START, *map(str, passed), browser, *options],
        pass_fds=passed,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for end in (*passed, reads[0], writes[1]):
        os.close(end)
    try:
        yield Tab(process, writes[0], reads[1])
    finally:
        process.terminate()
        process.wait(_SECONDS)
        for end in (writes[0], reads[1]):
            os.close(end)
