"""Finding the daemon, and never showing the token to a stranger."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import stat
import sys
from pathlib import Path

import pytest
from fake_daemon import FakeDaemon

import metaopt
from metaopt import _discovery

X = [metaopt.Float("x", 0.0, 1.0)]


def write_api_file(tmp_path: Path, daemon: FakeDaemon, token: str = "") -> None:
    directory = tmp_path / "data"
    directory.mkdir(exist_ok=True)
    body = {"url": daemon.url, "token": token or daemon.token, "node": "box", "pid": 1}
    (directory / "api.json").write_text(json.dumps(body))


def test_the_data_directorys_file_leads_to_the_daemon_which_proves_itself(daemon: FakeDaemon, tmp_path: Path) -> None:
    write_api_file(tmp_path, daemon)
    assert metaopt.create_study("a", X).name == "a"
    assert daemon.requests[0] == ("GET", "/healthz")
    assert daemon.authorizations


@pytest.mark.parametrize("key", [None, "another-token"])
def test_a_listener_that_does_not_prove_itself_never_sees_the_token(
    daemon: FakeDaemon, tmp_path: Path, key: str
) -> None:
    daemon.proof_key = key
    write_api_file(tmp_path, daemon)
    with pytest.raises(metaopt.DaemonUnavailable, match=r"did not bring up|did not prove"):
        metaopt.create_study("a", X)
    assert daemon.requests
    assert daemon.authorizations == []


def test_a_listener_that_passes_the_challenge_on_never_sees_the_token(daemon: FakeDaemon, tmp_path: Path) -> None:
    # What comes back from the daemon holds for the daemon's own address.
    daemon.proof_address = "127.0.0.1:1"
    write_api_file(tmp_path, daemon)
    with pytest.raises(metaopt.DaemonUnavailable, match=r"did not bring up|did not prove"):
        metaopt.create_study("a", X)
    assert daemon.requests
    assert daemon.authorizations == []


@pytest.mark.parametrize("key", [None, "another-token"])
def test_an_address_from_the_environment_must_prove_itself_too(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    daemon.proof_key = key
    monkeypatch.setenv("METAOPT_URL", daemon.url)
    monkeypatch.setenv("METAOPT_TOKEN", daemon.token)
    with pytest.raises(metaopt.AuthenticationError, match="does not know the token"):
        metaopt.create_study("a", X)
    assert daemon.authorizations == []


def test_a_tunnel_to_the_daemon_is_believed_where_a_person_named_it(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.proof_address = "127.0.0.1:1"
    monkeypatch.setenv("METAOPT_URL", daemon.url)
    monkeypatch.setenv("METAOPT_TOKEN", daemon.token)
    assert metaopt.create_study("a", X).name == "a"


def test_every_new_connection_is_proven_anew(daemon: FakeDaemon, tmp_path: Path) -> None:
    write_api_file(tmp_path, daemon)
    connection = metaopt.connect()
    connection.request("GET", "/healthz")
    assert daemon.authorizations
    daemon.stop()
    # Another program takes the port while the daemon is away.
    stranger = FakeDaemon()
    stranger.port = daemon.port
    stranger.proof_key = None
    stranger.start()
    with pytest.raises(metaopt.DaemonUnavailable, match="did not prove"):
        connection.request("GET", "/api/v1/studies/a")
    assert stranger.requests
    assert stranger.authorizations == []
    stranger.stop()


def test_a_daemon_that_comes_back_on_another_port_is_found_again(daemon: FakeDaemon, tmp_path: Path) -> None:
    write_api_file(tmp_path, daemon)
    study = metaopt.create_study("a", X)
    daemon.stop()
    daemon.port = 0
    daemon.start()
    write_api_file(tmp_path, daemon)
    assert study.info()["name"] == "a"


def test_the_environment_goes_before_the_file(
    daemon: FakeDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = FakeDaemon("other").start()
    write_api_file(tmp_path, other)
    monkeypatch.setenv("METAOPT_URL", daemon.url)
    monkeypatch.setenv("METAOPT_TOKEN", daemon.token)
    metaopt.create_study("a", X)
    assert other.requests == []
    other.stop()


def test_a_url_without_a_token_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAOPT_URL", "http://127.0.0.1:1")
    with pytest.raises(metaopt.ValidationError, match="METAOPT_TOKEN"):
        metaopt.load_study("a")


@pytest.mark.parametrize("url", ["127.0.0.1:7878", "ftp://x", "http://", "http://x:port"])
def test_a_url_that_is_none_is_an_error(url: str) -> None:
    with pytest.raises(metaopt.ValidationError, match="must look like"):
        metaopt.connect(url, "token")


def test_a_wrong_token_is_an_authentication_error(daemon: FakeDaemon) -> None:
    with pytest.raises(metaopt.AuthenticationError, match="does not know the token"):
        metaopt.load_study("a", connection=metaopt.connect(daemon.url, "wrong"))


def test_no_daemon_and_no_binary_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(
        metaopt.DaemonUnavailable, match=r"no daemon is running.*\nhint: start it with `metaopt up`"
    ) as caught:
        metaopt.load_study("a")
    assert str(tmp_path / "data" / "api.json") in str(caught.value)


def binary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    path = folder / "metaopt"
    path.write_text(f"#!{sys.executable}\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder))


def test_a_daemon_is_started_when_there_is_none(
    daemon: FakeDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body = json.dumps({"url": daemon.url, "token": daemon.token})
    binary(
        tmp_path,
        monkeypatch,
        "import os, sys, pathlib\nassert sys.argv[1:] == ['up']\n"
        "d = pathlib.Path(os.environ['METAOPT_DATA_DIR'])\nd.mkdir()\n"
        f"(d / 'api.json').write_text('''{body}''')",
    )
    assert metaopt.create_study("a", X).name == "a"
    assert "starting one with `metaopt up`" in capsys.readouterr().err


def test_a_daemon_that_can_not_be_started_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary(tmp_path, monkeypatch, "import sys\nsys.exit('jobs are not run as root')")
    with pytest.raises(metaopt.DaemonUnavailable, match="jobs are not run as root"):
        metaopt.create_study("a", X)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "api.json").write_text('{"url": 3}')
    with pytest.raises(metaopt.DaemonUnavailable, match="has no url and token"):
        _discovery.read_api_file(tmp_path / "data")
    (tmp_path / "data" / "api.json").write_text("{")
    with pytest.raises(metaopt.DaemonUnavailable, match="can't be read"):
        _discovery.read_api_file(tmp_path / "data")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the Linux rule")
def test_the_default_data_directory_follows_the_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    try:
        text = Path("/etc/machine-id").read_text().strip()
    except OSError:
        text = ""
    expected = hashlib.sha256((text or socket.gethostname()).encode()).hexdigest()[:12]
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert _discovery.default_data_dir() == tmp_path / "metaopt" / expected
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert _discovery.default_data_dir() == Path("/home/someone/.local/share/metaopt") / expected


@pytest.mark.parametrize(
    ("platform", "parts"), [("darwin", ["Library", "Application Support"]), ("win32", ["AppData", "Local"])]
)
def test_other_platforms_use_the_host_name(monkeypatch: pytest.MonkeyPatch, platform: str, parts: list[str]) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    host = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:12]
    assert _discovery.default_data_dir() == Path("/home/someone", *parts, "metaopt", host)


def test_connections_are_kept_and_a_stale_one_is_replaced(here: FakeDaemon) -> None:
    connection = metaopt.connect()
    for _ in range(5):
        connection.request("GET", "/healthz")
    assert here.connections == 1
    here.stop()
    here.start()
    connection.request("GET", "/healthz")
    assert here.connections == 2
    assert os.getpid() == connection._pid
