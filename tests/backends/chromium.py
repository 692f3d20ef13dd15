# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A real browser without a screen: what a backend's page shows, and whom it asks for that.

A page of today draws itself after it has loaded, so it is driven over Chromium's own protocol,
DevTools, and looked at when what is waited for is there.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp

from kit.logged_process import LoggedProcess

_PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome")
_READY: Final = "DevTools listening on "
_START_TIMEOUT_S: Final = 60
_OPTIONS: Final = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--remote-debugging-address=127.0.0.1",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-sync",
    "--hide-scrollbars",
)

_WAIT_FOR_TEXTS: Final = """
new Promise((resolve, reject) => {
  const missing = () => {
    const page = document.body ? document.body.innerText : "";
    return %(texts)s.filter(text => !page.includes(text));
  };
  const look = () => { if (missing().length === 0) resolve(document.body.innerText); };
  new MutationObserver(look).observe(
    document, {subtree: true, childList: true, characterData: true, attributes: true});
  setTimeout(() => reject(new Error(
    "not on the page: " + missing().join(", ") + "; it says: " + document.body.innerText)),
    %(timeout_ms)d);
  look();
})
"""


class ChromiumUnavailableError(Exception):
    """There is no Chromium to run; the message says what to install."""


def find() -> str:
    """Return Chromium's executable.

    Raises:
        ChromiumUnavailableError: If there is none on the path.
    """
    for program in _PROGRAMS:
        if path := shutil.which(program):
            return path
    raise ChromiumUnavailableError(
        f"none of {', '.join(_PROGRAMS)} found on PATH={os.environ.get('PATH', '')}: "
        "apt-get install chromium"
    )


class Page:
    """The one page of a browser; :func:`open_page` makes it.

    Attributes:
        requested: Every address that was asked for, by the page or for it.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._sent = 0
        self.requested: list[str] = []

    async def go(self, address: str, *, shows: list[str], timeout_s: float = 60) -> str:
        """Open an address and wait until its page shows some texts.

        Returns:
            All the text on the page.

        Raises:
            AssertionError: If a text is not there within ``timeout_s`` seconds.
        """
        await self._send("Page.navigate", url=address)
        return await self.wait_for(shows, timeout_s=timeout_s)

    async def wait_for(self, texts: list[str], *, timeout_s: float = 60) -> str:
        """Wait until the page shows some texts; see :meth:`go`."""
        script = _WAIT_FOR_TEXTS % {"texts": json.dumps(texts), "timeout_ms": timeout_s * 1000}
        return str(await self.run(script))

    async def run(self, script: str) -> Any:
        """Return what an expression of JavaScript, or its promise, comes to on the page.

        Raises:
            AssertionError: If it throws.
        """
        answer = await self._send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]["exception"]
        return answer["result"].get("value")

    async def photograph(self, selector: str = "html") -> bytes:
        """Return what the first element of a CSS selector looks like, as a PNG."""
        area = await self.run(
            f"(({{x, y, width, height}}) => ({{x, y, width, height, scale: 1}}))"
            f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )
        picture = await self._send("Page.captureScreenshot", format="png", clip=area)
        return base64.b64decode(picture["data"])

    async def _send(self, method: str, **parameters: object) -> Any:
        self._sent += 1
        await self._socket.send_json({"id": self._sent, "method": method, "params": parameters})
        async for message in self._socket:
            received = message.json()
            if received.get("method") == "Network.requestWillBeSent":
                self.requested.append(received["params"]["request"]["url"])
            if received.get("id") == self._sent:
                assert "error" not in received, f"{method}: {received['error']}"
                return received["result"]
        raise AssertionError(f"Chromium ended during {method}")


@asynccontextmanager
async def open_page(program: str, *, width: int = 1400, height: int = 900) -> AsyncIterator[Page]:
    """Start a browser with nothing remembered, and end it.

    Args:
        program: Chromium's executable.
        width: Of its window, in pixels.
        height: Of its window, in pixels.
    """
    # Chromium writes on for a moment after it was asked to end
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        command = [
            program,
            *_OPTIONS,
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
            f"--window-size={width},{height}",
            f"--user-data-dir={Path(profile)}",
            "about:blank",
        ]
        # in a home of its own: its font cache and crash handler write there
        with LoggedProcess(command, ready=_READY, env={"HOME": profile}) as browser:
            browser.wait_until_ready(_START_TIMEOUT_S)
            started = re.search(_READY + r"ws://(\S+?)/", browser.log)
            assert started is not None, browser.log
            async with aiohttp.ClientSession() as client:
                async with client.get(f"http://{started[1]}/json/list") as answer:
                    (target,) = [each for each in await answer.json() if each["type"] == "page"]
                async with client.ws_connect(
                    target["webSocketDebuggerUrl"], max_msg_size=0
                ) as socket:
                    page = Page(socket)
                    await page._send("Network.enable")
                    await page._send("Page.enable")
                    await page._send(
                        "Emulation.setDeviceMetricsOverride",
                        width=width,
                        height=height,
                        deviceScaleFactor=1,
                        mobile=False,
                    )
                    await page._send("Emulation.setTimezoneOverride", timezoneId="UTC")
                    yield page
