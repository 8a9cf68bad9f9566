"""Drives Debian's Chromium over WebDriver, with nothing but the standard library."""
import base64
import http.client
import json
import re
import subprocess
import time

KEYS = {"Enter": "\ue007", "Escape": "\ue00c", "ArrowLeft": "\ue012", "ArrowUp": "\ue013", "ArrowRight": "\ue014", "ArrowDown": "\ue015",
        "End": "\ue010", "Home": "\ue011"}


class Browser:
    """A window of its own, in a profile of its own."""

    def __init__(self, width=1440, height=900, language="en"):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        port = None
        while port is None:
            line = self.driver.stdout.readline()
            if not line:
                raise SystemExit("chromedriver does not start (apt-get install chromium chromium-driver)")
            found = re.search(r"started successfully on port (\d+)", line)
            port = found and int(found[1])
        self.port, self.session = port, ""
        arguments = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--window-size={width},{height}", f"--lang={language}",
                     f"--accept-lang={language}", "--force-color-profile=srgb", "--hide-scrollbars"]
        capabilities = {"goog:chromeOptions": {"args": arguments, "prefs": {"intl.accept_languages": language}}, "goog:loggingPrefs": {"browser": "ALL"}}
        self.session = "/session/" + self.call("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})["sessionId"]

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, self.session + path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
        value = json.loads(connection.getresponse().read())["value"]
        connection.close()
        if isinstance(value, dict) and "error" in value:
            raise RuntimeError(f"{path}: {value['error']}: {value['message']}")
        return value

    def open(self, url):
        self.call("POST", "/url", {"url": url})

    def run(self, script, *arguments):
        """What a script in the page returns."""
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def command(self, name, **parameters):
        """A command of the DevTools protocol."""
        return self.call("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    def keys(self, *keys):
        """Presses keys, one after the other."""
        actions = [{"type": kind, "value": KEYS.get(key, key)} for key in keys for kind in ("keyDown", "keyUp")]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def click(self, selector):
        element = self.call("POST", "/element", {"using": "css selector", "value": selector})
        self.call("POST", f"/element/{next(iter(element.values()))}/click", {})

    def errors(self):
        """What the console has said since the last time, above the level of a note."""
        return [entry["message"] for entry in self.call("POST", "/se/log", {"type": "browser"}) if entry["level"] in ("WARNING", "SEVERE")]

    def wait(self, script, expected, seconds, *arguments):
        """Waits until a script returns what is expected; gives the seconds that it took."""
        begun = time.monotonic()
        while True:
            found = self.run(script, *arguments)
            if found == expected:
                return time.monotonic() - begun
            if time.monotonic() - begun > seconds:
                raise AssertionError(f"after {seconds} s: {script}\n  is       {found!r}\n  and not  {expected!r}")
            time.sleep(0.05)

    def picture(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("GET", "/screenshot")))

    def size(self, width, height, is_phone=False):
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=is_phone)

    def close(self):
        try:
            self.call("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait(10)
