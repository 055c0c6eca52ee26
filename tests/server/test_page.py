"""The web page in headless Chromium, over the DevTools protocol: chat streams, the placement is drawn, nothing overflows.

Skipped where no Chromium is installed. HYPURA_SHOTS=FOLDER keeps pictures of it."""
import base64
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest
import urllib.request

from harness import Server, ServerTest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """As much of a DevTools client as the test needs: a websocket, commands, evaluate()."""

    def __init__(self, folder):
        self.process = subprocess.Popen([CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--no-first-run",
                                         "--user-data-dir=" + folder, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        path = os.path.join(folder, "DevToolsActivePort")
        for _ in range(600):
            if os.path.exists(path) and open(path).read().count("\n") >= 1:
                break
            time.sleep(0.05)
        port = int(open(path).read().split("\n")[0])
        pages = json.load(urllib.request.urlopen("http://127.0.0.1:%d/json" % port))
        url = next(p["webSocketDebuggerUrl"] for p in pages if p["type"] == "page")
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.sendall(("GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                             "Sec-WebSocket-Key: %s\r\n\r\n" % (url.split(str(port))[1], port, base64.b64encode(os.urandom(16)).decode())).encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.socket.recv(1)
        self.serial = 0
        self.problems = []

    def _exactly(self, n):
        data = b""
        while len(data) < n:
            part = self.socket.recv(n - len(data))
            if not part:
                raise ConnectionError("the browser closed the line")
            data += part
        return data

    def _receive(self):
        text = b""
        while True:
            a, b = self._exactly(2)
            n = b & 127
            if n == 126:
                n = struct.unpack(">H", self._exactly(2))[0]
            elif n == 127:
                n = struct.unpack(">Q", self._exactly(8))[0]
            text += self._exactly(n)
            if a & 128:
                return json.loads(text)

    def call(self, method, **params):
        self.serial += 1
        data = json.dumps({"id": self.serial, "method": method, "params": params}).encode()
        mask = os.urandom(4)
        length = struct.pack(">B", 128 | len(data)) if len(data) < 126 else struct.pack(">BH", 128 | 126, len(data))
        self.socket.sendall(b"\x81" + length + mask + bytes(c ^ mask[i % 4] for i, c in enumerate(data)))
        while True:
            message = self._receive()
            level = message.get("params", {}).get("entry", {}).get("level")
            if message.get("method") == "Runtime.exceptionThrown" or level in ("error", "warning"):
                self.problems.append(message)
            if message.get("id") == self.serial:
                return message["result"]

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise AssertionError(result["exceptionDetails"])
        return result["result"].get("value")

    def wait(self, expression, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.evaluate(expression):
                return
            time.sleep(0.05)
        raise AssertionError("never true: %s; the page holds: %s" % (expression, self.evaluate("document.body.innerText")[:500]))

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)

    def shot(self, name):
        folder = os.environ.get("HYPURA_SHOTS")
        if folder:
            with open(os.path.join(folder, name + ".png"), "wb") as out:
                out.write(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def type(self, text):
        self.call("Input.insertText", text=text)

    def press(self, key, code):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, text="\r" if key == "Enter" else "")

    def close(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait(20)


@unittest.skipUnless(CHROMIUM, "no Chromium is installed")
class Page(ServerTest):
    def setUp(self):
        self.profile = tempfile.mkdtemp()
        self.browser = Browser(self.profile)
        for domain in ("Page", "Runtime", "Log"):
            self.browser.call(domain + ".enable")

    def tearDown(self):
        self.browser.close()
        shutil.rmtree(self.profile, ignore_errors=True)

    def open(self, width=1280, height=800, server=None):
        self.browser.size(width, height)
        self.browser.call("Page.navigate", url="http://127.0.0.1:%d/ui" % (server or self.server).port)
        self.browser.wait("document.querySelectorAll('#model option').length >= 4")
        self.browser.wait("document.activeElement.id === 'prompt'")
        self.browser.evaluate("document.getElementById('model').value = 'plain:Q4_K_M'")

    def no_overflow(self):
        self.assertLessEqual(self.browser.evaluate("document.documentElement.scrollWidth - innerWidth"), 0)

    def test_chat(self):
        b = self.browser
        self.open()
        self.assertEqual(b.evaluate("document.activeElement.id"), "prompt", "one can type at once")
        b.type("say Hello <b>world</b> \u00e4")
        b.press("Enter", 13)
        b.wait("document.querySelectorAll('article').length === 2 && !document.getElementById('send').hidden")
        self.assertEqual(b.evaluate("document.querySelector('article.assistant div').textContent"), "Hello <b>world</b> \u00e4")
        self.assertEqual(b.evaluate("document.querySelectorAll('article b').length"), 0, "an answer is text, not markup")
        self.assertEqual(b.evaluate("document.querySelectorAll('article .wait').length"), 0, "what was shown before it is gone")
        self.assertRegex(b.evaluate("document.querySelector('article .note').textContent"), r"tokens, .* tok/s, first after")
        self.assertIn("Hello", b.evaluate("document.getElementById('status').textContent"), "screen readers are told")
        self.placement()
        b.evaluate("document.getElementById('model').value = 'think:latest'")
        b.type("say <think>Let me see.</think>Yes.")
        b.press("Enter", 13)
        b.wait("document.querySelectorAll('article').length === 4 && !document.getElementById('send').hidden")
        self.assertEqual(b.evaluate("document.querySelector('details div').textContent"), "Let me see.")
        self.assertEqual(b.evaluate("[...document.querySelectorAll('article.assistant > div')].map(d => d.textContent)[2]"), "Yes.")
        b.shot("page-wide")
        b.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        b.shot("page-dark")
        self.assertEqual(b.problems, [], "nothing on the console, nothing fetched from elsewhere")

    def placement(self):
        """Every tier has its part of the bar, as wide as its bytes, in a colour of its own, and is named."""
        b = self.browser
        state = json.load(urllib.request.urlopen("http://127.0.0.1:%d/ui/state" % self.server.port))
        tiers = [(name, state[name + "_bytes"]) for name in ("gpu", "remote", "pinned", "cached", "disk")]
        b.wait("document.querySelectorAll('#bar span').length === 5")
        b.wait("document.getAnimations().length === 0")
        parts = b.evaluate("[...document.querySelectorAll('#bar span')].map(e => [e.className, e.getBoundingClientRect().width, getComputedStyle(e).backgroundColor])")
        self.assertEqual([name for name, _, _ in parts], [name for name, _ in tiers])
        whole = sum(width for _, width, _ in parts)
        for (_, width, _), (name, size) in zip(parts, tiers):
            self.assertAlmostEqual(width / whole, size / sum(n for _, n in tiers), delta=0.01, msg=name)
        self.assertEqual(len({colour for _, _, colour in parts}), 5)
        label = b.evaluate("document.getElementById('bar').getAttribute('aria-label')")
        self.assertRegex(label, r"^Weights: GPU .*, Other machines .*, RAM .*, Cache in RAM .*, Disk ")

    def test_stop_and_new(self):
        b = self.browser
        self.open()
        b.type("slow 20 " + "word " * 500)
        b.press("Enter", 13)
        b.wait("document.querySelector('article.assistant div')?.textContent.length > 20")
        b.press("Escape", 27)
        b.wait("!document.getElementById('send').hidden")
        self.assertIn("stopped", b.evaluate("document.querySelector('article.assistant').textContent"))
        self.assertTrue(self.server.wait_metric("jobs_active", 0, 10), "the server stopped too")
        b.evaluate("document.getElementById('clear').click()")
        self.assertEqual(b.evaluate("document.querySelectorAll('article').length"), 0)

    def test_error(self):
        b = self.browser
        self.open()
        b.type("fail")
        b.press("Enter", 13)
        b.wait("!!document.querySelector('article .bad')")
        self.assertEqual(b.evaluate("document.querySelector('article .bad').textContent"), "a weight could not be read")

    def test_lost_server(self):
        """The server ends while it answers, and comes back."""
        b = self.browser
        server = Server(self.models, env=self.env)
        try:
            self.open(server=server)
            b.type("slow 20 " + "word " * 500)
            b.press("Enter", 13)
            b.wait("document.querySelector('article.assistant div')?.textContent.length > 20")
        finally:
            server.stop(signal.SIGKILL)
        b.wait("!!document.querySelector('article .bad')")
        self.assertEqual(b.evaluate("document.querySelector('article .bad').textContent"), "the connection to the server was lost")
        b.wait("!document.getElementById('notice').hidden")
        self.assertIn("does not answer", b.evaluate("document.getElementById('notice').textContent"))
        b.shot("page-lost")
        b.evaluate("document.getElementById('clear').click()")
        b.type("say back")
        b.press("Enter", 13)
        b.wait("!!document.querySelector('article .bad')")
        self.assertEqual(b.evaluate("document.getElementById('prompt').value"), "say back", "to be sent once more")

    def test_missing_model(self):
        b = self.browser
        self.open()
        b.evaluate("document.getElementById('model').add(new Option('gone', 'gone', true, true))")
        b.type("say x")
        b.press("Enter", 13)
        b.wait("!!document.querySelector('article .bad')")
        self.assertEqual(b.evaluate("document.querySelector('article .bad').textContent"), "model 'gone' not found")
        b.wait("document.getElementById('model').value !== 'gone'")
        b.evaluate("document.getElementById('model').value = 'plain:Q4_K_M'")
        b.press("Enter", 13)
        b.wait("[...document.querySelectorAll('article.assistant div')].some(d => d.textContent === 'x')")

    def test_new_chat_while_answering(self):
        b = self.browser
        self.open()
        b.type("slow 20 " + "word " * 500)
        b.press("Enter", 13)
        b.wait("document.querySelector('article.assistant div')?.textContent.length > 20")
        b.evaluate("document.getElementById('clear').click()")
        b.wait("!document.getElementById('send').hidden && document.querySelectorAll('article').length === 0")
        b.type("say one")
        b.press("Enter", 13)
        b.wait("document.querySelectorAll('article .note').length === 1")
        self.assertEqual(b.evaluate("messages.map(m => m.role + ' ' + m.content)"), ["user say one", "assistant one"])

    def test_code_and_waiting(self):
        b = self.browser
        self.open()
        b.type("say See:\\n```c\\nint <x>;\\n```\\nDone.")
        b.press("Enter", 13)
        b.wait("document.querySelectorAll('article .note').length === 1")
        self.assertEqual(b.evaluate("document.querySelector('article pre').textContent"), "int <x>;")
        self.assertEqual(b.evaluate("document.querySelector('article.assistant > div').textContent"), "See:\nint <x>;Done.")
        b.wait("document.getElementById('what').textContent === 'plain:Q4_K_M, resident'")

    def test_widths(self):
        b = self.browser
        for width, height in ((360, 640), (768, 1024), (1440, 900), (1920, 1080)):
            self.open(width, height)
            b.type("say " + "unbroken" * 60)
            b.press("Enter", 13)
            b.wait("document.querySelectorAll('article').length === 2 && !document.getElementById('send').hidden")
            self.no_overflow()
            b.wait("document.querySelectorAll('#legend li').length === 5")
            self.no_overflow()
            for name in ("prompt", "send", "model", "clear"):
                inside = b.evaluate("(() => { const r = document.getElementById('%s').getBoundingClientRect();"
                                    "return r.left >= 0 && r.right <= innerWidth && r.top >= 0 && r.bottom <= innerHeight; })()" % name)
                self.assertTrue(inside, (name, width))
            b.shot("page-%d" % width)

    def test_keyboard_and_names(self):
        b = self.browser
        self.open()
        unnamed = b.evaluate("""[...document.querySelectorAll('button, select, textarea, input:not([hidden])')]
            .filter(e => !(e.textContent.trim() || e.labels?.length || e.getAttribute('aria-label'))).map(e => e.id)""")
        self.assertEqual(unnamed, [])
        seen = []
        for _ in range(6):
            b.press("Tab", 9)
            seen.append(b.evaluate("document.activeElement.id || document.activeElement.className"))
        for name in ("send", "model", "clear", "skip"):
            self.assertIn(name, seen)


if __name__ == "__main__":
    unittest.main()
