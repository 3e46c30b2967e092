"""HTTP to one daemon: keep-alive connections, the proof that the listener is ours, answers to values or exceptions.

Must not know what studies and trials are, nor decide whether to try again later: that is the callers' business.
"""

from __future__ import annotations

import hmac
import http.client
import json
import math
import os
import secrets
import ssl
import threading
from typing import Any, Callable, List, Mapping, NamedTuple, Optional, Tuple, Union
from urllib.parse import quote, urlencode, urlsplit

from .errors import (
    AuthenticationError,
    Conflict,
    DaemonUnavailable,
    FieldError,
    MetaoptError,
    NotFound,
    ValidationError,
)

# More idle connections than this are closed: a client rarely has more threads that talk at the same time.
_MAX_IDLE = 8
_DEFAULT_TIMEOUT_S = 30.0
_UNAVAILABLE = (429, 502, 503, 504)

QueryValue = Union[str, int, float]


class Endpoint(NamedTuple):
    """Where a daemon listens; `prove`: it must answer the challenge before it is shown the token.

    `here`: its proof must be for the very address in `url`, so that nobody can pass the challenge on to the daemon.
    """

    url: str
    token: str
    prove: bool
    here: bool = False


class _Stale(Exception):  # noqa: N818
    """A kept connection had been closed by the other side before it answered anything."""


def segment(text: str) -> str:
    """`text` as one segment of a path."""
    return quote(text, safe="")


def encode(body: Any) -> bytes:
    """`body` as JSON; raises `ValidationError` naming the field where a number isn't finite or a type has no JSON form."""
    try:
        return json.dumps(body, allow_nan=False, separators=(",", ":"), default=_plain).encode("utf-8")
    except (TypeError, ValueError) as error:
        fields = _not_json(body, "")
        raise ValidationError("a value can't be sent as JSON" + ("" if fields else f": {error}"), fields) from error


def _plain(value: Any) -> Any:
    # NumPy's scalars and arrays of none or one dimension come from training code all the time.
    for method in ("item", "tolist"):
        convert = getattr(value, method, None)
        if callable(convert):
            try:
                return convert()
            except (TypeError, ValueError):
                continue
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _not_json(value: Any, pointer: str) -> List[FieldError]:
    if isinstance(value, Mapping):
        return [e for k, v in value.items() for e in _not_json(v, f"{pointer}/{_token(str(k))}")]
    if isinstance(value, (list, tuple)):
        return [e for i, v in enumerate(value) for e in _not_json(v, f"{pointer}/{i}")]
    if isinstance(value, float) and not math.isfinite(value):
        return [FieldError(pointer, f"{value} is not a finite number")]
    if value is None or isinstance(value, (str, int, float, bool)):
        return []
    try:
        return _not_json(_plain(value), pointer)
    except TypeError as error:
        return [FieldError(pointer, str(error))]


def _token(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


class Connection:
    """Calls to one daemon, from any number of threads, also after a fork.

    `relocate` is asked for the present endpoint when nothing listens at the old one (a daemon that came back elsewhere).
    """

    def __init__(self, endpoint: Endpoint, relocate: Optional[Callable[[], Optional[Endpoint]]] = None) -> None:
        self._lock = threading.Lock()
        self._relocate = relocate
        self._idle: List[http.client.HTTPConnection] = []
        self._pid = os.getpid()
        self._endpoint = endpoint
        self._use(endpoint)

    @property
    def url(self) -> str:
        """The daemon's address."""
        return self._endpoint.url

    def _use(self, endpoint: Endpoint) -> None:
        parts = urlsplit(endpoint.url)
        try:
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValidationError(f"METAOPT_URL is {endpoint.url!r}: it must look like http://127.0.0.1:7878")
        self._endpoint = endpoint
        self._secure = parts.scheme == "https"
        self._host: str = parts.hostname
        self._port = port
        self._prefix = parts.path.rstrip("/")

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Optional[Mapping[str, QueryValue]] = None,
        timeout_s: Optional[float] = None,
        raw: Optional[Tuple[str, bytes]] = None,
    ) -> Any:
        """One call; the answer's JSON (`None` for an empty one). `raw` is (content type, bytes) instead of `body`."""
        data: Optional[bytes] = None
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self._endpoint.token}"}
        if raw is not None:
            headers["Content-Type"], data = raw
        elif body is not None:
            headers["Content-Type"], data = "application/json", encode(body)
        elif method in ("POST", "PUT", "PATCH"):
            data = b""
        target = self._prefix + path + ("?" + urlencode(query) if query else "")
        timeout = _DEFAULT_TIMEOUT_S if timeout_s is None else timeout_s
        try:
            status, reply_headers, payload = self._exchange(method, target, data, headers, timeout)
        except AuthenticationError:
            raise
        except (OSError, http.client.HTTPException) as error:
            if not self._moved():
                raise DaemonUnavailable(f"no daemon answers at {self.url}: {_cause(error)}") from error
            headers["Authorization"] = f"Bearer {self._endpoint.token}"
            try:
                status, reply_headers, payload = self._exchange(method, target, data, headers, timeout)
            except (OSError, http.client.HTTPException) as again:
                raise DaemonUnavailable(f"no daemon answers at {self.url}: {_cause(again)}") from again
        return self._answer(status, reply_headers, payload)

    def close(self) -> None:
        """Closes what is idle; later calls connect again."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    # --- connections ---

    def _moved(self) -> bool:
        endpoint = self._relocate() if self._relocate else None
        if endpoint is None or endpoint == self._endpoint:
            return False
        self.close()
        self._use(endpoint)
        return True

    def _exchange(
        self, method: str, target: str, data: Optional[bytes], headers: Mapping[str, str], timeout: float
    ) -> Tuple[int, Mapping[str, str], bytes]:
        while True:
            kept = self._take()
            if kept is None:
                connection = self._connect(timeout)
                return self._once(connection, method, target, data, headers, timeout, fresh=True)
            try:
                return self._once(kept, method, target, data, headers, timeout, fresh=False)
            except _Stale:
                # The daemon closes idle connections, or was restarted: go on with the next one, at last with a new one.
                continue

    def _take(self) -> Optional[http.client.HTTPConnection]:
        with self._lock:
            if self._pid != os.getpid():
                # A forked child must not speak on its parent's sockets; they are left for the parent to close.
                self._idle, self._pid = [], os.getpid()
            return self._idle.pop() if self._idle else None

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection
        if self._secure:
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=context)
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        connection.connect()
        if self._endpoint.prove:
            try:
                self._challenge(connection)
            except BaseException:
                connection.close()
                raise
        return connection

    def _challenge(self, connection: http.client.HTTPConnection) -> None:
        # Asked on every new connection, not once: the daemon may have gone and anything may listen there now.
        challenge = secrets.token_hex(16)
        connection.request(
            "GET", f"{self._prefix}/healthz?challenge={challenge}", headers={"Accept": "application/json"}
        )
        response = connection.getresponse()
        payload = response.read(65536)
        address = f"@{urlsplit(self._endpoint.url).netloc}" if self._endpoint.here else ""
        message = f"metaopt-challenge:{challenge}{address}".encode()
        expected = hmac.new(self._endpoint.token.encode("utf-8"), message, "sha256").hexdigest()
        try:
            answer = json.loads(payload)
        except ValueError:
            answer = None
        name = "proof_here" if self._endpoint.here else "proof"
        proof = answer.get(name) if isinstance(answer, dict) else None
        if not isinstance(proof, str) or not hmac.compare_digest(proof.encode("utf-8"), expected.encode("ascii")):
            if not self._endpoint.here:
                # A person named address and token, so they don't belong together.
                refusal = f"the listener at {self.url} does not know the token, so it was not sent it; check both"
                raise AuthenticationError(refusal)
            raise DaemonUnavailable(
                f"what listens at {self.url} did not prove that it is this machine's metaopt daemon, so it was not sent "
                "the token; if another program took the port, start the daemon with `metaopt up`"
            )
        if response.will_close or not response.isclosed():
            raise http.client.RemoteDisconnected("the listener closed the connection after its proof")

    def _once(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        data: Optional[bytes],
        headers: Mapping[str, str],
        timeout: float,
        fresh: bool,
    ) -> Tuple[int, Mapping[str, str], bytes]:
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        try:
            # A stale connection must not be re-opened behind our back: that would skip the challenge.
            connection.auto_open = 0
            connection.request(method, target, body=data, headers=dict(headers))
            response = connection.getresponse()
        except (http.client.NotConnected, ConnectionError) as error:
            connection.close()
            if fresh:
                raise
            raise _Stale from error
        except BaseException:
            connection.close()
            raise
        try:
            payload = response.read()
        except BaseException:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            with self._lock:
                keep = len(self._idle) < _MAX_IDLE and self._pid == os.getpid()
                if keep:
                    self._idle.append(connection)
            if not keep:
                connection.close()
        return response.status, dict(response.headers.items()), payload

    # --- answers ---

    def _answer(self, status: int, headers: Mapping[str, str], payload: bytes) -> Any:
        lower = {k.lower(): v for k, v in headers.items()}
        if 200 <= status < 300:
            if not payload:
                return None
            try:
                return json.loads(payload)
            except ValueError as error:
                raise DaemonUnavailable(f"{self.url} answered something that is not JSON; is it metaopt's?") from error
        raise _problem(self.url, status, lower, payload)


def _problem(url: str, status: int, headers: Mapping[str, str], payload: bytes) -> MetaoptError:
    try:
        problem = json.loads(payload)
    except ValueError:
        problem = None
    if not isinstance(problem, dict) or not ("title" in problem or "detail" in problem):
        # Not a problem document: whatever answers there isn't the daemon (a proxy, another program on its old port).
        return DaemonUnavailable(f"{url} answered {status}, and not as metaopt's daemon would", status)
    # A detail may quote a script: what a terminal would obey stays out of tracebacks.
    detail = _plain_text(str(problem.get("detail") or problem.get("title") or f"status {status}"))
    listed = problem.get("errors")
    errors = [
        FieldError(_plain_text(str(e.get("pointer", ""))), _plain_text(str(e.get("detail", ""))))
        for e in (listed if isinstance(listed, list) else [])
        if isinstance(e, dict)
    ]
    if status in _UNAVAILABLE:
        return DaemonUnavailable(detail, status, _seconds(headers.get("retry-after")))
    if status in (400, 413, 422):
        return ValidationError(detail, errors, status)
    if status in (401, 403):
        return AuthenticationError(detail, errors, status)
    if status == 404:
        return NotFound(detail, errors, status)
    if status in (409, 410):
        return Conflict(detail, errors, status)
    return MetaoptError(detail, errors, status)


def _plain_text(text: str) -> str:
    return "".join(c if c in "\n\t" or c.isprintable() else "\ufffd" for c in text)


def _seconds(text: Optional[str]) -> Optional[float]:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _cause(error: BaseException) -> str:
    return str(error) or type(error).__name__
