"""A headless Chromium, driven through its debugging protocol over two pipes: no package is needed for it."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PHONE, DESK = (390, 844), (1280, 900)


def find_browser() -> str | None:
    """The path of a Chromium on this machine."""
    return os.environ.get("FEATZOO_TEST_BROWSER") or next(filter(None, map(shutil.which, PROGRAMS)), None)


class Browser:
    """One page of a browser, and what it complained about.

    Attributes:
        complaints: Errors, warnings and exceptions of the console, refused content included.
        requests: Addresses that the page asked for, other than itself and `data:`.
    """

    def __init__(self, program: str) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._home = tempfile.mkdtemp(prefix="featzoo-browser-")
        read_theirs, self._out = os.pipe()
        self._in, write_theirs = os.pipe()
        # The protocol is spoken on the file descriptors 3 and 4 of the browser.
        command = f'exec "$0" "$@" 3<&{read_theirs} 4>&{write_theirs}'
        flags = [
            "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-dev-shm-usage", f"--user-data-dir={self._home}",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            ["bash", "-c", command, program, *flags, "about:blank"],
            pass_fds=(read_theirs, write_theirs), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(read_theirs)
        os.close(write_theirs)
        self._waiting, self._number, self._page = b"", 0, ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._page = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def open(self, place: Path, size: tuple[int, int] = DESK) -> None:
        """Load a file, scroll through it so that all figures are drawn, and go back to its top."""
        self.complaints, self.requests = [], []
        width, height = size
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=size == PHONE)  # fmt: skip
        self.call("Page.navigate", url=place.resolve().as_uri())
        self._until("document.readyState == 'complete'")
        self.run("document.querySelectorAll('details').forEach(part => { part.open = true })")
        self._until(
            "(place => place ? (place.scrollIntoView(), false) : true)"
            "([...document.querySelectorAll('.plot')].find(place => !place.querySelector('.main-svg')))"
        )
        self.run("scrollTo(0, 0)")

    def run(self, script: str) -> object:
        """The value of a JavaScript expression."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def picture(self, place: Path) -> Path:
        """Write a picture of the whole page."""
        self.call("Page.bringToFront")
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, optimizeForSpeed=True)
        place.write_bytes(base64.b64decode(found["data"]))
        return place

    def close(self) -> None:
        """End the browser."""
        self._page = ""
        self.call("Browser.close")
        self._process.wait(timeout=30)
        os.close(self._out)
        os.close(self._in)
        shutil.rmtree(self._home, ignore_errors=True)

    def call(self, method: str, **parameters: object) -> dict[str, object]:
        """The answer to one call of the protocol."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        message |= {"sessionId": self._page} if self._page else {}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self._notice(answer)

    def _message(self) -> dict[str, object]:
        while b"\0" not in self._waiting:
            part = os.read(self._in, 1 << 20)
            assert part, "the browser has ended"
            self._waiting += part
        first, _, self._waiting = self._waiting.partition(b"\0")
        return json.loads(first)

    def _notice(self, event: dict[str, object]) -> None:
        given = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(given["exceptionDetails"])[:400])
        elif event.get("method") == "Runtime.consoleAPICalled" and given["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(given["args"])[:400])
        elif event.get("method") == "Log.entryAdded" and given["entry"]["level"] in ("error", "warning"):
            self.complaints.append(given["entry"]["text"])
        elif event.get("method") == "Network.requestWillBeSent":
            address = given["request"]["url"]
            if given.get("type") != "Document" and not address.startswith("data:"):
                self.requests.append(address)

    def _until(self, script: str, seconds: float = 90) -> None:
        end = time.monotonic() + seconds
        while not self.run(script):
            assert time.monotonic() < end, f"not within {seconds} s: {script}"
            time.sleep(0.05)
