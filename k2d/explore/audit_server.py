"""The page of an audit on this machine: it gives the page and the sounds of drawn chunks, and takes answers.

Bound to 127.0.0.1. Every path begins with a token that only the printed address has, so that other users of the machine
and pages of other sites can ask for nothing; the name in Host must be this machine's (against DNS rebinding), and an
answer must come from the page itself (Origin) and be of a chunk that was drawn. A path is never one of the file system:

    GET  /TOKEN/          the page
    GET  /TOKEN/sound/N   [sound, spectrogram] of the N-th chunk, as data URIs
    POST /TOKEN/answer    {"id", "verdict", "text"}, verdict "" to take it back  ->  the figures (audit_figures.py)
"""

import json
import re
import secrets
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from k2d.audio.options import AudioOptions
from k2d.audio.utterances import Utterances
from k2d.errors import DataError, UsageError, UserError
from k2d.explore.audit import Audit, read_answer
from k2d.explore.audit_figures import Figures
from k2d.explore.audit_page import audit_page
from k2d.explore.sounds import open_located, sound
from k2d.explore.spectrogram import spectrogram

MOST_BYTES = 100_000  # of a request
_HERE = re.compile(r"(127\.0\.0\.1|localhost)(:\d{1,5})?")
_STARTED_AGAIN = (  # to a page of before: the token is another
    "k2d audit was started again; open the address that it prints now: answers kept in this browser are saved there"
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; media-src data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class AuditServer(ThreadingHTTPServer):
    """page: makes the page as it is now."""

    daemon_threads = True

    def __init__(self, port: int, audit: Audit, figures: Figures, utterances: Utterances, page: Callable[[], str]):
        self.audit, self.figures, self.page = audit, figures, page
        self.token = secrets.token_urlsafe(16)
        self.answering = threading.Lock()
        reading = threading.Lock()

        @lru_cache(32)
        def sound_of(number: int) -> bytes:
            with reading:  # a reader of archives keeps what it read last
                samples = utterances[audit.order[number]]
            return json.dumps([sound(samples), spectrogram(samples)]).encode()

        self.sound_of = sound_of
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request, client_address) -> None:
        """A page that was closed or loaded again takes no more of what it has asked for: that is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{self.token}/"


def serve(port: int, audit: Audit, figures: Figures, title: str, audio: AudioOptions) -> None:
    """Until Ctrl-C. UsageError for a port that cannot be had."""
    utterances = open_located(audit.drawn, audio)
    try:
        server = AuditServer(port, audit, figures, utterances, lambda: audit_page(audit, figures, title))
    except OSError as error:
        raise UsageError(f"--port {port}: {error.strerror}; give another, or none for one that is free") from None
    with server:
        print(f"audit: open {server.address}", flush=True)
        print("audit: every answer is saved at once; stop with Ctrl-C", file=sys.stderr)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print(file=sys.stderr)
        with server.answering:  # an answer that is being saved is saved
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: AuditServer
    timeout = 60  # seconds; who sends half a request holds no thread for ever

    def do_GET(self):
        path = self._path()
        if path is None:
            return
        if path == "":
            with self.server.answering:
                try:
                    self.server.figures.look_again()
                except (UserError, OSError) as error:
                    print(f"audit: {error}: the page shows the systems found before", file=sys.stderr)
                text = self.server.page()
            self._send(200, "text/html; charset=utf-8", text.encode())
        elif re.fullmatch(r"sound/[0-9]{1,6}", path) and int(path[6:]) < len(self.server.audit.order):
            try:
                self._send(200, "application/json", self.server.sound_of(int(path[6:])))
            except (UserError, OSError, ValueError) as error:
                self._refuse(404, " ".join(str(error).split()))
        else:
            self._refuse(404, "nothing there")

    def do_POST(self):
        path = self._path()
        if path is None:
            return
        length = self.headers.get("Content-Length", "")
        if path != "answer":
            self._refuse(404, "nothing there")
        elif self.headers.get("Origin") != f"http://{self.headers['Host']}":
            self._refuse(403, "answers are taken from the page itself")
        elif self.headers.get_content_type() != "application/json":
            self._refuse(415, "expected JSON")
        elif not re.fullmatch(r"[0-9]{1,9}", length) or int(length) > MOST_BYTES:
            self._refuse(413, f"expected at most {MOST_BYTES} bytes, and their number")
        else:
            self._answer(self.rfile.read(int(length)))

    def _answer(self, body: bytes) -> None:
        try:
            found = json.loads(body)
            if not isinstance(found, dict) or not isinstance(key := found.get("id"), str):
                raise DataError("expected an object with an id")
            answer = read_answer(found) if found.get("verdict") else None
            with self.server.answering:
                self.server.audit.answer(key, answer)
                reply = {"answer": answer and asdict(answer), "figures": self.server.figures.now()}
        except (ValueError, RecursionError) as error:  # DataError among them
            self._refuse(400, str(error))
        except OSError as error:
            self._refuse(500, f"not saved: {error.strerror}")
        else:
            self._send(200, "application/json", json.dumps(reply).encode())

    def _path(self) -> str | None:
        """What follows the token; None where the request was refused."""
        if not _HERE.fullmatch(self.headers.get("Host", "")):
            self._refuse(403, "not the name of this machine")
            return None
        _, token, path = (self.path.split("/", 2) + ["", ""])[:3]
        if not self.path.startswith("/") or not secrets.compare_digest(token.encode(), self.server.token.encode()):
            self._refuse(404, _STARTED_AGAIN)
            return None
        return path

    def _refuse(self, status: int, why: str) -> None:
        self.close_connection = True
        self._send(status, "text/plain; charset=utf-8", why.encode("utf-8", "replace"))

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nothing: the terminal is for what the person is to know."""
