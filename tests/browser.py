"""A real browser, Chromium, driven by the protocol that chromedriver speaks. Skips tests, and says why, without it."""

import base64
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server
from typing import Any

import httpx
import pytest

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key that the protocol gives to elements


class Browser:
    """One window. Paths name its session's commands, as in `url` or `element`."""

    def __init__(self, client: httpx.Client, session: str) -> None:
        self._client = client
        self._session = session

    def open(self, url: str) -> None:
        self._post("url", {"url": url})

    def run(self, script: str) -> Any:
        """What a function body in JavaScript returns."""
        return self._post("execute/sync", {"script": script, "args": []})

    def click(self, selector: str) -> None:
        found = self._post("element", {"using": "css selector", "value": selector})
        self._post(f"element/{found[_ELEMENT]}/click", {})

    def resize(self, width: int, height: int) -> None:
        """Of the page, as a phone or a desk shows it; narrower than a window can be."""
        told = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.tell("Emulation.setDeviceMetricsOverride", told)

    def prefer(self, scheme: str) -> None:
        """`dark` or `light`."""
        self.tell("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def tell(self, command: str, told: dict[str, Any]) -> Any:
        return self._post("goog/cdp/execute", {"cmd": command, "params": told})

    def complaints(self) -> list[str]:
        """What the browser's console has told since the last look."""
        return [entry["message"] for entry in self._post("se/log", {"type": "browser"})]

    def screenshot(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self._client.get(f"/session/{self._session}/screenshot").json()["value"]))

    def _post(self, path: str, told: dict[str, Any]) -> Any:
        answer = self._client.post(f"/session/{self._session}/{path}", json=told)
        assert answer.is_success, answer.text
        return answer.json()["value"]


@contextmanager
def browsing() -> Iterator[Browser]:
    chrome, driver = os.environ.get("CHROME") or shutil.which("chromium"), shutil.which("chromedriver")
    if not chrome or not driver:
        pytest.skip("no browser is here: it needs Chromium and its driver (packages chromium, chromium-driver)")
    with create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    told = {"goog:chromeOptions": {"binary": chrome, "args": arguments}, "goog:loggingPrefs": {"browser": "ALL"}}
    with (
        subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client,
    ):
        try:
            _await(client)
            answer = client.post("/session", json={"capabilities": {"alwaysMatch": told}}).json()["value"]
            if "sessionId" not in answer:
                pytest.skip(f"the browser does not start here: {answer.get('message')}")
            yield Browser(client, answer["sessionId"])
            client.delete(f"/session/{answer['sessionId']}")
        finally:
            process.terminate()


def _await(client: httpx.Client) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            if client.get("/status").json()["value"]["ready"]:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise AssertionError("chromedriver is never ready")
