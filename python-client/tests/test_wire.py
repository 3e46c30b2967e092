"""What one connection makes of good answers and bad ones, from a listener that says exactly what it is told to."""

from __future__ import annotations

import http.client
import socket
import threading
from typing import Callable, Iterator, List, Optional

import pytest

from metaopt import errors
from metaopt._connection import Connection, Endpoint
from metaopt._wire import Answer, Wire

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def listener() -> Iterator[Callable[..., int]]:
    """Starts a listener that gives each answer to one request, then closes; answers its port."""
    opened: List[socket.socket] = []

    def start(*answers: bytes, heard: Optional[List[bytes]] = None) -> int:
        server = socket.create_server(("127.0.0.1", 0))
        opened.append(server)

        def serve() -> None:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            with peer:
                for answer in answers:
                    request = b""
                    while b"\r\n\r\n" not in request:
                        piece = peer.recv(65536)
                        if not piece:
                            return
                        request += piece
                    if heard is not None:
                        heard.append(request)
                    peer.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        return int(server.getsockname()[1])

    yield start
    for server in opened:
        server.close()


def ask(port: int, most: Optional[int] = None) -> Answer:
    wire = Wire("127.0.0.1", port, 5.0, None)
    try:
        return wire.exchange(b"GET / HTTP/1.1\r\n\r\n", b"", 5.0, most)
    finally:
        wire.close()


@pytest.mark.parametrize(
    ("answer", "body", "kept"),
    [
        (OK + b"Content-Length: 2\r\n\r\n{}", b"{}", True),
        (OK + b"content-LENGTH:2 \r\nConnection: Close\r\n\r\n{}", b"{}", False),
        (OK + b"\r\nuntil the end", b"until the end", False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n", b"abcde", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\nx", b"x", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", b"x", False),
    ],
)
def test_answers_are_read_however_they_are_framed(
    listener: Callable[..., int], answer: bytes, body: bytes, kept: bool
) -> None:
    read = ask(listener(answer))
    assert (read.body, read.kept) == (body, kept)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.7\r\n",
        b"HTTP/1.1 twenty\r\n\r\n",
        OK + b"no header\r\n\r\n",
        OK + b"a: b\r\n" * 300 + b"\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 10\r\n\r\nshort",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
def test_what_is_no_whole_answer_is_an_error(listener: Callable[..., int], answer: bytes) -> None:
    with pytest.raises(http.client.HTTPException):
        ask(listener(answer))


@pytest.mark.parametrize(
    "answer", [OK + b"Content-Length: 9\r\n\r\n123456789", OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\n123456789\r\n"]
)
def test_a_stranger_can_not_fill_the_memory(listener: Callable[..., int], answer: bytes) -> None:
    with pytest.raises(http.client.HTTPException, match="more than 8"):
        ask(listener(answer), most=8)


def test_a_listener_that_closes_before_it_answers_is_a_connection_error(listener: Callable[..., int]) -> None:
    with pytest.raises(ConnectionError):
        ask(listener(b""))


def test_a_call_after_the_daemon_closed_an_idle_connection_goes_through(listener: Callable[..., int]) -> None:
    heard: List[bytes] = []
    answer = OK + b"Content-Length: 3\r\n\r\n[1]"
    port = listener(answer, heard=heard)
    connection = Connection(Endpoint(f"http://127.0.0.1:{port}/base", "secret", prove=False, here=False))
    assert connection.request("POST", "/a", {"x": 1}, {"q": "ü"}) == [1]
    head = heard[0].decode()
    assert head.startswith("POST /base/a?q=%C3%BC HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{port}\r\n" in head
    assert "Authorization: Bearer secret\r\n" in head
    assert "Content-Length: 7\r\n" in head
    assert "Content-Type: application/json\r\n" in head
    # It closed after its only answer and nobody listens any more: the old connection is stale, a new one is refused.
    with pytest.raises(errors.DaemonUnavailable):
        connection.request("GET", "/a")


@pytest.mark.parametrize("token", ["a\r\nX-Evil: 1", "tökén", "a\x00b"])
def test_a_token_can_add_no_header(token: str) -> None:
    with pytest.raises(errors.ValidationError, match="plain ASCII"):
        Connection(Endpoint("http://127.0.0.1:1", token, prove=False, here=False))
