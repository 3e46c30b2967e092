"""HTTP/1.1 on one kept connection: a request out in one piece, its answer back.

Must not know what is sent, nor when to try again. `http.client` does more, for about three times the processor time a
call, which for short trials is what limits how many of them a machine can try (docs/performance.md).
"""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import Dict, Mapping, NamedTuple, Optional, Tuple

#: Longest line of a head, and most lines.
_LINE = 65536
_LINES = 200
#: Bodies up to this are sent together with their head.
_TOGETHER = 65536


class Answer(NamedTuple):
    """What came back; header names are lower case. `kept`: the connection can be used again."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    kept: bool


class Wire:
    """One connection. After any exception it is of no use any more: close it."""

    def __init__(self, host: str, port: int, timeout: float, context: Optional[ssl.SSLContext]) -> None:
        """Connects, by TLS where there is a context."""
        self._socket = socket.create_connection((host, port), timeout)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is not None:
                self._socket = context.wrap_socket(self._socket, server_hostname=host)
            self._file = self._socket.makefile("rb")
        except BaseException:
            self._socket.close()
            raise
        self._timeout = timeout

    def close(self) -> None:
        """Ends it, whatever state it is in."""
        try:
            self._file.close()
        finally:
            self._socket.close()

    def exchange(self, head: bytes, body: bytes, timeout: float, most: Optional[int] = None) -> Answer:
        """Sends a request (`head` ends with its empty line) and reads its answer, of at most `most` bytes.

        Raises `ConnectionError` where the other side closed before it answered anything, else `OSError` or
        `http.client.HTTPException`.
        """
        if timeout != self._timeout:
            self._socket.settimeout(timeout)
            self._timeout = timeout
        if len(body) <= _TOGETHER:
            self._socket.sendall(head + body)
        else:
            self._socket.sendall(head)
            self._socket.sendall(body)
        version, status = self._status()
        headers = self._headers()
        while 100 <= status < 200:
            version, status = self._status()
            headers = self._headers()
        kept = version == b"HTTP/1.1" and headers.get("connection", "").lower() != "close"
        if status in (204, 304):
            return Answer(status, headers, b"", kept)
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return Answer(status, headers, self._chunks(most), kept)
        length = headers.get("content-length")
        if length is None:
            # Until the other side closes.
            return Answer(status, headers, self._file.read(-1 if most is None else most), False)
        if not (length.isascii() and length.isdigit()):
            raise http.client.HTTPException(f"the answer says a content length of {length!r}")
        return Answer(status, headers, self._exactly(int(length), most), kept)

    def _status(self) -> Tuple[bytes, int]:
        line = self._file.readline(_LINE)
        if not line:
            raise http.client.RemoteDisconnected("the listener closed the connection before it answered")
        version, _, rest = line.partition(b" ")
        code = rest[:3]
        if not version.startswith(b"HTTP/1.") or len(code) != 3 or not code.isdigit():
            raise http.client.BadStatusLine(repr(line[:100]))
        return version, int(code)

    def _headers(self) -> Dict[str, str]:
        headers: Dict[str, str] = {}
        for _ in range(_LINES):
            line = self._file.readline(_LINE)
            if line in (b"\r\n", b"\n"):
                return headers
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon:
                raise http.client.HTTPException(f"the answer has a line that is no header: {line[:100]!r}")
            headers[name.lower()] = value.strip()
        raise http.client.HTTPException(f"the answer has more than {_LINES} header lines")

    def _exactly(self, length: int, most: Optional[int]) -> bytes:
        if most is not None and length > most:
            raise http.client.HTTPException(f"the answer has {length} bytes, more than {most}")
        body = self._file.read(length)
        if len(body) < length:
            raise http.client.IncompleteRead(body, length - len(body))
        return body

    def _chunks(self, most: Optional[int]) -> bytes:
        body = bytearray()
        while True:
            line = self._file.readline(_LINE)
            try:
                length = int(line.split(b";")[0].strip(), 16)
            except ValueError:
                raise http.client.HTTPException(f"the answer has a chunk of length {line[:100]!r}") from None
            if length == 0:
                self._headers()  # trailers, which say nothing to us
                return bytes(body)
            body += self._exactly(length, None if most is None else most - len(body))
            self._exactly(2, None)
