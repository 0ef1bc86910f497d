"""Chromium without a window, driven by its debugging pipe: open a page, click, type, ask, take a picture."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path

PROGRAM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)


class Browser:
    """with Browser() as browser: browser.open(path); browser.click("#more"); browser.js("1 + 1")."""

    def __init__(self, seconds: float = 30.0):
        self.seconds = seconds

    def __enter__(self):
        # The browser's own children may still write into it when it has ended, and then some of it stays.
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        ours, theirs = os.pipe(), os.pipe()  # to the browser, from it
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage",
                   "--hide-scrollbars", "--disable-background-networking",
                   f"--user-data-dir={self._profile.name}", "--remote-debugging-pipe", "about:blank"]  # fmt: skip
        # The browser reads from file 3 and writes to file 4.
        script = f'exec 3<&{ours[0]} 4>&{theirs[1]} {ours[0]}<&- {theirs[1]}>&-; exec "$@"'
        if {ours[0], theirs[1]} & {3, 4}:
            script = f'exec 8<&{ours[0]} 9>&{theirs[1]}; exec 3<&8 4>&9 8<&- 9>&-; exec "$@"'
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", PROGRAM, *options],
            pass_fds=(ours[0], theirs[1]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(ours[0])
        os.close(theirs[1])
        self._to, self._from = ours[1], theirs[0]
        self._rest, self._numbers, self.errors = b"", count(1), []
        self._session = None
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._ask("Page.enable")
        self._ask("Runtime.enable")
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(10)
        os.close(self._to)
        os.close(self._from)
        self._profile.cleanup()

    def _read(self) -> dict:
        while b"\0" not in self._rest:
            part = os.read(self._from, 1 << 20)
            if not part:
                raise RuntimeError("the browser has ended")
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(line)
        if message.get("method") == "Runtime.exceptionThrown":
            details = message["params"]["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        return message

    def _ask(self, method: str, **parameters) -> dict:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data) :]
        while True:
            answer = self._read()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def open(self, path: str | Path, link: str = "", *, width: int = 1280, dark: bool = False, scripts: bool = True):
        """A file, or an address, as a person would open it; `link` is what follows its name in the address."""
        address = str(path) if str(path).startswith("http://") else Path(path).resolve().as_uri()
        self._ask("Emulation.setScriptExecutionDisabled", value=not scripts)
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1,
                  mobile=False)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", features=[scheme])
        self._ask("Page.navigate", url="about:blank")
        self.errors.clear()
        self._ask("Page.navigate", url=address + link)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def js(self, expression: str):
        answer = self._ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"].get("exception", {}).get("description", expression))
        return answer["result"].get("value")

    def wait(self, expression: str):
        """Until it is true, in a page that may load anew meanwhile."""
        end = time.monotonic() + self.seconds
        while True:
            try:
                if self.js(expression):
                    return
            except RuntimeError as error:
                if "navigated" not in str(error):
                    raise
            assert time.monotonic() < end, f"never true: {expression}; {self.errors}"
            time.sleep(0.02)

    def click(self, css: str, x: float = 0.5, y: float = 0.5):
        """With the mouse, in the middle of an element (or at a part of its width and height)."""
        quoted = json.dumps(css)
        self.js(f"document.querySelector({quoted}).scrollIntoView({{block: 'center', behavior: 'instant'}})")
        box = self.js(f"(r => [r.x, r.y, r.width, r.height])(document.querySelector({quoted}).getBoundingClientRect())")
        place = {"x": box[0] + x * box[2], "y": box[1] + y * box[3], "button": "left", "clickCount": 1}
        self._ask("Input.dispatchMouseEvent", type="mouseMoved", x=place["x"], y=place["y"])
        self._ask("Input.dispatchMouseEvent", type="mousePressed", **place)
        self._ask("Input.dispatchMouseEvent", type="mouseReleased", **place)
        self.js("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def type(self, css: str, text: str):
        self.click(css)
        self._ask("Input.insertText", text=text)

    def press(self, key: str, control: bool = False):
        """A key, such as Enter or F2, wherever the cursor is."""
        code = {"Enter": 13, "Escape": 27, "PageUp": 33, "PageDown": 34}.get(key) or 111 + int(key[1:])
        what = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": 2 if control else 0}
        self._ask("Input.dispatchKeyEvent", type="rawKeyDown", **what)
        self._ask("Input.dispatchKeyEvent", type="keyUp", **what)

    def choose(self, css: str, value: str):
        """An option of a select."""
        changed = "s.dispatchEvent(new Event('input', {bubbles: true}))"
        select = f"document.querySelector({json.dumps(css)})"
        self.js(f"(s => {{ s.value = {json.dumps(value)}; {changed}; }})({select})")

    def text(self, css: str) -> str:
        return self.js(f"document.querySelector({json.dumps(css)}).innerText")

    def texts(self, css: str) -> list[str]:
        return self.js(f"[...document.querySelectorAll({json.dumps(css)})].map(e => e.innerText)")

    def sideways(self) -> int:
        """Pixels by which the page is wider than its window."""
        return self.js("document.documentElement.scrollWidth - innerWidth")

    def screenshot(self, path: str | Path, height: int | None = None):
        """Of the whole page, or its first `height` pixels."""
        width, whole = self.js("[innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": width, "height": min(whole, height or whole), "scale": 1}
        shot = self._ask("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        Path(path).write_bytes(base64.b64decode(shot["data"]))
