"""A server on this machine that answers as the Hugging Face Hub does: its base, for tests of fetching and of upload."""

import http.server
import threading


class LocalServer(http.server.ThreadingHTTPServer):
    """Listens from the start, on a free port; `shutdown` ends it."""

    def __init__(self, handler: type):
        super().__init__(("127.0.0.1", 0), handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class QuietHandler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass
