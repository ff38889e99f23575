"""A real browser: Chromium without a window, driven by chromedriver (W3C WebDriver, which is JSON over HTTP)."""

import http.client
import json
import shutil
import subprocess
import tempfile

from .gateway import free_port
from .waiting import eventually

ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", "--ignore-certificate-errors",
             "--disable-dev-shm-usage",  # containers have little of it
             # Names of tests are no names of any server.
             "--host-resolver-rules=MAP *.test 127.0.0.1"]


class Browser:
    def __init__(self):
        self.port = free_port()
        self.profile = tempfile.mkdtemp(prefix="sluice-browser-")
        self.driver = subprocess.Popen(["chromedriver", f"--port={self.port}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
        self.session = None
        try:
            eventually(lambda: self.ask("GET", "/status")["ready"], "chromedriver", 20)
            self.session = self.ask("POST", "/session", capabilities={"alwaysMatch": {
                "browserName": "chrome",
                "goog:loggingPrefs": {"performance": "ALL"},
                "goog:chromeOptions": {"args": [*ARGUMENTS, f"--user-data-dir={self.profile}"]},
            }})["sessionId"]
        except BaseException:
            self.close()
            raise

    def ask(self, method, path, **body):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, json.dumps(body) if method == "POST" else None, {"Content-Type": "application/json"})
            value = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        assert not (isinstance(value, dict) and "error" in value), f"{method} {path}: {value}"
        return value

    def open(self, url):
        self.events()  # what was before is of no interest
        self.ask("POST", f"/session/{self.session}/url", url=url)

    def run(self, script, *arguments):
        """What the body of an async function returns; `a` are its arguments."""
        answer = self.ask("POST", f"/session/{self.session}/execute/async", args=list(arguments), script=f"""
            const a = [...arguments], done = a.pop();
            (async () => {{ {script} }})().then(value => done({{value}}), problem => done({{problem: String(problem)}}));""")
        assert "problem" not in answer, answer["problem"]
        return answer.get("value")

    def events(self, method=""):
        """What the network did since the last time somebody asked: the parameters of DevTools events."""
        entries = self.ask("POST", f"/session/{self.session}/se/log", type="performance")
        messages = [json.loads(entry["message"])["message"] for entry in entries]
        return [message["params"] for message in messages if message["method"] == method]

    def close(self):
        try:
            if self.session:
                self.ask("DELETE", f"/session/{self.session}")
        finally:
            self.driver.terminate()
            self.driver.wait(20)
            shutil.rmtree(self.profile, ignore_errors=True)
