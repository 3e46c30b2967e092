"""Finding the daemon: METAOPT_URL and METAOPT_TOKEN, else the data directory's `api.json`, else starting one.

Owns the rule for the default data directory, which is the daemon's own rule too. Must not talk HTTP itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Optional, Union

from ._connection import Connection, Endpoint
from .errors import DaemonUnavailable, ValidationError

_START_TIMEOUT_S = 30.0
_HINT = (
    "hint: start it with `metaopt up` (or `metaoptd`), or set METAOPT_URL and METAOPT_TOKEN, "
    "or METAOPT_DATA_DIR to the directory that holds its api.json"
)


def machine_id() -> str:
    """Tells machines that share a home directory apart: 12 hexadecimal characters."""
    text = ""
    if sys.platform.startswith("linux"):
        try:
            text = Path("/etc/machine-id").read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            text = ""
    return hashlib.sha256((text or socket.gethostname()).encode("utf-8")).hexdigest()[:12]


def default_data_dir() -> Path:
    """Where this machine's daemon keeps its data unless told otherwise."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        root = Path(base) if base else Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Application Support"
    else:
        base = os.environ.get("XDG_DATA_HOME")
        # The XDG rules say that a relative path counts as unset.
        root = Path(base) if base and os.path.isabs(base) else Path.home() / ".local" / "share"
    return root / "metaopt" / machine_id()


def read_api_file(data_dir: Path) -> Optional[Endpoint]:
    """The endpoint in `data_dir/api.json`; `None` where there is no such file."""
    path = data_dir / "api.json"
    try:
        answer: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise DaemonUnavailable(f"{path} can't be read: it belongs to another user") from error
    except (OSError, ValueError) as error:
        raise DaemonUnavailable(f"{path} can't be read ({error}); is a daemon just starting?") from error
    if (
        not isinstance(answer, dict)
        or not isinstance(answer.get("url"), str)
        or not isinstance(answer.get("token"), str)
    ):
        raise DaemonUnavailable(f"{path} has no url and token; restart the daemon to write it anew")
    return Endpoint(answer["url"], answer["token"], prove=True, here=True)


def connect(
    url: Optional[str] = None,
    token: Optional[str] = None,
    data_dir: Optional[Union[str, os.PathLike[str]]] = None,
) -> Connection:
    """A connection to the daemon; arguments go before the environment. Raises `DaemonUnavailable` where there is none."""
    if url is None and data_dir is None:
        url, token = os.environ.get("METAOPT_URL"), token or os.environ.get("METAOPT_TOKEN")
    if url:
        if not token:
            raise ValidationError("there is a URL (METAOPT_URL) but no token (METAOPT_TOKEN): give both, or neither")
        # A trial's own token is known to its daemon only by being asked for; a person's tunnel changes the address.
        return Connection(Endpoint(url, token, prove=not token.startswith("t1.")))
    given = data_dir or os.environ.get("METAOPT_DATA_DIR")
    directory = Path(given).expanduser() if given else default_data_dir()
    endpoint = read_api_file(directory)
    problem: Optional[DaemonUnavailable] = None
    if endpoint is not None:
        try:
            return _checked(endpoint, directory)
        except DaemonUnavailable as error:
            problem = error
    return _start(directory, problem)


def _checked(endpoint: Endpoint, directory: Path) -> Connection:
    connection = Connection(endpoint, relocate=lambda: read_api_file(directory))
    connection.request("GET", "/healthz", timeout_s=10.0)
    return connection


def _start(directory: Path, problem: Optional[DaemonUnavailable]) -> Connection:
    why = problem.detail if problem else f"no daemon is running (there is no {directory / 'api.json'})"
    binary = shutil.which("metaopt")
    if binary is None:
        raise DaemonUnavailable(f"{why}\n{_HINT}") from problem
    print(f"metaopt: {why}; starting one with `metaopt up`", file=sys.stderr)  # noqa: T201
    environment = {**os.environ, "METAOPT_DATA_DIR": str(directory)}
    try:
        # Not our stdin, and its output kept apart: ours belongs to the user's program.
        done = subprocess.run(
            [binary, "up"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_START_TIMEOUT_S,
            check=False,
        )
        said = (done.stderr or done.stdout).strip()[-2000:]
        failed = done.returncode != 0
    except (OSError, subprocess.TimeoutExpired) as error:
        said, failed = str(error), True
    deadline = time.monotonic() + (0.0 if failed else _START_TIMEOUT_S)
    while True:
        try:
            endpoint = read_api_file(directory)
            if endpoint is not None:
                return _checked(endpoint, directory)
        except DaemonUnavailable as error:
            problem = error
        if time.monotonic() >= deadline:
            break
        time.sleep(0.1)
    message = f"`metaopt up` did not bring up a daemon{': ' + said if said else ''}"
    raise DaemonUnavailable(f"{message}\n{_HINT}") from problem
