"""A server on the loopback that answers as a language model does, and fails as a real one does."""

import json
import re
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

# Every way to fail; two of them last until the client hangs up.
FAILURES = (
    "429",
    "429 seconds",
    "429 date",
    "500",
    "503",
    "stall",
    "drip",
    "close",
    "half",
    "malformed",
    "empty",
    "html",
    "no choices",
    "not a number",
)
_RESPONSES = re.compile(r"Response 1:\n(.*?)\n\nResponse 2:\n(.*?)\n\nWhich", re.DOTALL)


class FakeServer:
    """Prefers the longer response, with a liking for the first place.

    `fate(n, text)` says what becomes of the n-th request: None to answer, a name of FAILURES, or
    the number of a status.
    """

    def __init__(self, fate=lambda n, text: None, *, bias=0.0, tokens=7):
        self.fate, self.bias, self.tokens = fate, bias, tokens
        self.requests, self.answered, self.keys, self.times = [], [], [], []
        self.busy = self.busiest = 0
        self.lock = threading.Lock()

    def logit(self, text):
        first, second = _RESPONSES.search(text).groups()
        return len(first) - len(second) + self.bias

    def reply(self, path, body):
        if path.endswith("/completions") and "messages" not in body:
            return self._echo(body["prompt"])
        text = body["messages"][0]["content"]
        logit = self.logit(text)
        p = [1 / (1 + np.exp(-logit)), 1 / (1 + np.exp(logit))]
        listed = [
            {"token": f" {label}", "logprob": float(np.log(0.9 * q))}
            for label, q in zip("12", p, strict=True)
        ]
        listed.append({"token": "The", "logprob": float(np.log(0.05))})
        message = {"role": "assistant", "content": "Response 1." if logit > 0 else "2"}
        choice = {"message": message, "logprobs": {"content": [{"top_logprobs": listed}]}}
        return {"choices": [choice], "usage": {"total_tokens": self.tokens}}

    def _echo(self, prompt):
        text, label = prompt[:-2], prompt[-2:]
        sign = 1 if label.endswith("1") else -1
        logprob = -float(np.logaddexp(0.0, -sign * self.logit(text)))
        found = {
            "text_offset": [0, len(text), len(text) + 1],
            "token_logprobs": [None, logprob, 0.0],
        }
        return {"choices": [{"logprobs": found}], "usage": {"total_tokens": self.tokens}}

    @contextmanager
    def running(self):
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            server.server_close()

    def _handler(self):
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                text = body.get("prompt") or body["messages"][0]["content"]
                with fake.lock:
                    n = len(fake.requests)
                    fake.requests.append(text)
                    fake.keys.append(self.headers.get("Authorization"))
                    fake.times.append(time.monotonic())
                    fake.busy += 1
                    fake.busiest = max(fake.busiest, fake.busy)
                try:
                    self._answer(fake.fate(n, text), body, text)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True
                finally:
                    with fake.lock:
                        fake.busy -= 1

            def _answer(self, fate, body, text):
                content = json.dumps(fake.reply(self.path, body)).encode()
                if fate is None:
                    with fake.lock:
                        fake.answered.append(text)
                    return self._write(200, content)
                self.close_connection = True
                if isinstance(fate, int):
                    # What some servers do: they repeat the key.
                    key = self.headers.get("Authorization") or ""
                    return self._write(fate, json.dumps({"error": f"bad key {key}"}).encode())
                return getattr(self, "_" + re.sub(r"\W", "_", fate))(content)

            def _write(self, status, content, length=None, **headers):
                self.send_response(status)
                self.send_header("Content-Length", str(length or len(content)))
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(content)
                self.wfile.flush()

            def _429(self, content):
                self._write(429, b"{}")

            def _429_seconds(self, content):
                self._write(429, b"{}", Retry_After="0.05")

            def _429_date(self, content):
                now = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
                self._write(429, b"slow down", Retry_After=now)

            def _500(self, content):
                self._write(500, b"<html>oops</html>")

            def _503(self, content):
                self._write(503, b"")

            def _stall(self, content):
                self.rfile.read(1)

            def _drip(self, content):
                self.send_response(200)
                content = content.ljust(6000)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                for i in range(len(content)):
                    self.wfile.write(content[i : i + 1])
                    self.wfile.flush()
                    time.sleep(0.05)

            def _close(self, content):
                self.connection.close()

            def _half(self, content):
                self._write(200, content[: len(content) // 2], length=len(content))

            def _malformed(self, content):
                self._write(200, content[:-5])

            def _empty(self, content):
                self._write(200, b"")

            def _html(self, content):
                self._write(200, b"<html>please log in</html>")

            def _no_choices(self, content):
                self._write(200, b'{"choices": []}')

            def _not_a_number(self, content):
                self._write(200, content.replace(b'"logprob": ', b'"logprob": "x", "old": '))

        return Handler
