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

from ._wire import Answer, Wire
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
        self._idle: List[Wire] = []
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
        self._context = ssl.create_default_context() if parts.scheme == "https" else None
        self._host: str = parts.hostname
        default = 443 if self._context else 80
        self._port: int = port or default
        self._prefix = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~")
        shown = f"[{self._host}]" if ":" in self._host else self._host
        place = shown if self._port == default else f"{shown}:{self._port}"
        self._head = f" HTTP/1.1\r\nHost: {place}\r\nAccept: application/json\r\n"
        if not (endpoint.token.isascii() and endpoint.token.isprintable() and place.isascii()):
            raise ValidationError("the address and the token of the daemon must be plain ASCII, without line ends")

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
        data, kind = b"", ""
        if raw is not None:
            kind, data = raw
        elif body is not None:
            kind, data = "application/json", encode(body)
        sized = data or method in ("POST", "PUT", "PATCH")
        fields = f"Content-Length: {len(data)}\r\n" if sized else ""
        if kind:
            fields += f"Content-Type: {kind}\r\n"
        target = path + ("?" + urlencode(query) if query else "")
        timeout = _DEFAULT_TIMEOUT_S if timeout_s is None else timeout_s
        try:
            answer = self._exchange(method, target, fields, data, timeout)
        except AuthenticationError:
            raise
        except (OSError, http.client.HTTPException) as error:
            if not self._moved():
                raise DaemonUnavailable(f"no daemon answers at {self.url}: {_cause(error)}") from error
            try:
                answer = self._exchange(method, target, fields, data, timeout)
            except (OSError, http.client.HTTPException) as again:
                raise DaemonUnavailable(f"no daemon answers at {self.url}: {_cause(again)}") from again
        return self._read(answer)

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

    def _exchange(self, method: str, target: str, fields: str, data: bytes, timeout: float) -> Answer:
        while True:
            kept = self._take()
            wire = self._connect(timeout) if kept is None else kept
            # Made here, not before: where the daemon is, and so the token, may have changed meanwhile.
            token = f"Authorization: Bearer {self._endpoint.token}\r\n"
            head = f"{method} {self._prefix}{target}{self._head}{token}{fields}\r\n".encode("ascii")
            try:
                answer = wire.exchange(head, data, timeout)
            except ConnectionError:
                wire.close()
                if kept is None:
                    raise
                # The daemon closes idle connections, or was restarted: go on with the next one, at last with a new one.
                continue
            except BaseException:
                wire.close()
                raise
            self._keep(wire, answer.kept)
            return answer

    def _take(self) -> Optional[Wire]:
        with self._lock:
            if self._pid != os.getpid():
                # A forked child must not speak on its parent's sockets; they are left for the parent to close.
                self._idle, self._pid = [], os.getpid()
            return self._idle.pop() if self._idle else None

    def _keep(self, wire: Wire, usable: bool) -> None:
        with self._lock:
            keep = usable and len(self._idle) < _MAX_IDLE and self._pid == os.getpid()
            if keep:
                self._idle.append(wire)
        if not keep:
            wire.close()

    def _connect(self, timeout: float) -> Wire:
        wire = Wire(self._host, self._port, timeout, self._context)
        if self._endpoint.prove:
            try:
                self._challenge(wire, timeout)
            except BaseException:
                wire.close()
                raise
        return wire

    def _challenge(self, wire: Wire, timeout: float) -> None:
        # Asked on every new connection, not once: the daemon may have gone and anything may listen there now.
        challenge = secrets.token_hex(16)
        head = f"GET {self._prefix}/healthz?challenge={challenge}{self._head}\r\n".encode("ascii")
        payload = wire.exchange(head, b"", timeout, most=65536)
        address = f"@{urlsplit(self._endpoint.url).netloc}" if self._endpoint.here else ""
        message = f"metaopt-challenge:{challenge}{address}".encode()
        expected = hmac.new(self._endpoint.token.encode("utf-8"), message, "sha256").hexdigest()
        try:
            answer = json.loads(payload.body)
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
        if not payload.kept:
            raise http.client.RemoteDisconnected("the listener closed the connection after its proof")

    # --- answers ---

    def _read(self, answer: Answer) -> Any:
        if 200 <= answer.status < 300:
            if not answer.body:
                return None
            try:
                return json.loads(answer.body)
            except ValueError as error:
                raise DaemonUnavailable(f"{self.url} answered something that is not JSON; is it metaopt's?") from error
        raise _problem(self.url, answer.status, answer.headers, answer.body)


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
