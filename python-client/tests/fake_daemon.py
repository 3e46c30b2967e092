"""A small daemon in this process: enough of the REST API to exercise the package, and knobs to be away or wrong."""

from __future__ import annotations

import contextlib
import hmac
import itertools
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Dict, List, Optional, Tuple
from urllib.parse import parse_qs, unquote, urlsplit

TERMINAL = ("complete", "pruned", "fail", "infeasible", "cancelled")


class Problem(Exception):  # noqa: N818
    def __init__(self, status: int, detail: str, errors: Tuple[Tuple[str, str], ...] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors


class FakeDaemon:
    """Start it with `start()`, take it away with `stop()`, and let it come back on the same port with `start()`."""

    def __init__(self, token: str = "secret-token") -> None:
        self.token = token
        self.proof_key: Optional[str] = token
        self.proof_address: Optional[str] = None
        self.lock = threading.RLock()
        self.studies: Dict[str, Dict[str, Any]] = {}
        self.trials: Dict[str, Dict[str, Any]] = {}
        self.reports: Dict[str, Dict[int, Dict[str, Any]]] = {}
        self.clients: Dict[str, str] = {}
        self.requests: List[Tuple[str, str]] = []
        self.authorizations: List[str] = []
        self.connections = 0
        self.actions: Callable[[Dict[str, Any], Dict[str, Any]], str] = lambda trial, report: "continue"
        self.nothing: List[Dict[str, Any]] = []
        self.break_next: Optional[Tuple[int, bytes, str]] = None
        self.delay_s = 0.0
        self.params_of: Callable[[int], Dict[str, Any]] = lambda n: {"x": (n % 10) / 10}
        self._server: Optional[ThreadingHTTPServer] = None
        self._sockets: List[Any] = []
        self.port = 0

    # --- life ---

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> FakeDaemon:
        daemon = self

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def process_request(self, request: Any, client_address: Any) -> None:
                daemon.connections += 1
                daemon._sockets.append(request)
                super().process_request(request, client_address)

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # One packet per answer, or each waits 40 ms for an acknowledgement.
            wbufsize = -1

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

            def serve(self) -> None:
                daemon._serve(self)

            do_GET = do_POST = do_PATCH = do_DELETE = serve  # noqa: N815

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Gone, kept connections too."""
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()
        server.server_close()
        for socket in self._sockets:
            with contextlib.suppress(OSError):
                socket.shutdown(2)
            socket.close()
        self._sockets = []

    # --- requests ---

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        payload = handler.rfile.read(length) if length else b""
        parts = urlsplit(handler.path)
        authorization = handler.headers.get("Authorization")
        if authorization is not None:
            self.authorizations.append(authorization)
        self.requests.append((handler.command, parts.path))
        if self.delay_s:
            time.sleep(self.delay_s)
        query = {k: v[-1] for k, v in parse_qs(parts.query).items()}
        kind = "application/json"
        if parts.path == "/healthz":
            status, body = 200, json.dumps(self._health(query)).encode()
        elif self.break_next is not None:
            (status, body, kind), self.break_next = self.break_next, None
        else:
            try:
                if authorization != f"Bearer {self.token}":
                    raise Problem(401, "the token is not known")
                with self.lock:
                    status, answer = self._route(handler.command, parts.path, query, payload)
                body = b"" if answer is None else json.dumps(answer).encode()
            except Problem as problem:
                kind, status = "application/problem+json", problem.status
                body = json.dumps(
                    {
                        "type": "about:blank",
                        "title": "problem",
                        "status": status,
                        "detail": problem.detail,
                        "errors": [{"pointer": p, "detail": d} for p, d in problem.errors],
                    }
                ).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _health(self, query: Dict[str, str]) -> Dict[str, Any]:
        out: Dict[str, Any] = {"status": "ok"}
        if "challenge" in query and self.proof_key is not None:
            assert re.fullmatch("[0-9a-f]{32}", query["challenge"])
            message = b"metaopt-challenge:" + query["challenge"].encode()
            out["proof"] = hmac.new(self.proof_key.encode(), message, "sha256").hexdigest()
            message += f"@{self.proof_address or urlsplit(self.url).netloc}".encode()
            out["proof_here"] = hmac.new(self.proof_key.encode(), message, "sha256").hexdigest()
        return out

    def _route(self, method: str, path: str, query: Dict[str, str], payload: bytes) -> Tuple[int, Any]:
        steps = [unquote(p) for p in path.split("/")[3:]]
        if query.get("format") == "jsonl":
            return self._import(steps[1], payload)
        body = json.loads(payload) if payload else {}
        if steps == ["studies"]:
            return self._create(body)
        if steps[0] == "studies":
            study = self._study(steps[1])
            rest = steps[2:]
            if not rest:
                if method == "PATCH":
                    study["user_attrs"].update(body.get("user_attrs", {}))
                if method == "DELETE":
                    del self.studies[study["id"]]
                    return 204, None
                return 200, study
            if rest == ["best"]:
                return self._best(study)
            if rest == ["pareto"]:
                return 200, {"items": [t for t in self._of(study) if t["state"] == "complete"]}
            if rest == ["trials", "suggest"]:
                return self._suggest(study, body)
            if rest == ["trials"]:
                if method == "POST":
                    return 201, self._propose(study, body["params"], body.get("user_attrs"))
                return self._page(study, query)
            if rest in (["pause"], ["resume"], ["cancel"]):
                study["state"] = {"pause": "paused", "resume": "running", "cancel": "cancelled"}[rest[0]]
                return 200, study
        if steps[0] == "trials":
            trial = self._trial(steps[1])
            rest = steps[2:]
            if not rest:
                if method == "PATCH":
                    trial["user_attrs"].update(body.get("user_attrs", {}))
                return 200, trial
            if rest == ["reports"]:
                return self._report(trial, body)
            if rest == ["complete"]:
                return self._complete(trial, body)
            if rest == ["heartbeat"]:
                if body.get("attempt", trial["attempt"]) < trial["attempt"]:
                    raise Problem(409, "a newer attempt runs")
                if trial["state"] in TERMINAL:
                    raise Problem(409, "the trial has ended")
                trial["beats"] += 1
                return 200, {"action": "continue"}
            if rest == ["cancel"]:
                trial["state"] = "cancelled"
                return 200, trial
        raise Problem(404, f"there is no {path}")

    # --- studies ---

    def _create(self, body: Dict[str, Any]) -> Tuple[int, Any]:
        known = {"name", "space", "objectives", "constraints", "sampler", "early_stopping", "budget", "note"}
        odd = [k for k in body if k not in known | {"user_attrs", "load_if_exists", "from"}]
        if odd:
            raise Problem(422, "unknown fields", tuple((f"/{k}", "there is no such field") for k in odd))
        for place, parameter in enumerate(body["space"]):
            if "low" in parameter and parameter["low"] >= parameter["high"]:
                raise Problem(422, "the study does not fit", ((f"/space/{place}/low", "must be below high"),))
        for study in self.studies.values():
            if study["name"] == body["name"]:
                if body.get("load_if_exists") and study["space"] == body["space"]:
                    return 200, study
                raise Problem(409, f"a study named {body['name']} exists")
        load = {k: v for k, v in body.items() if k not in ("load_if_exists", "from")}
        study = {"user_attrs": {}, "budget": {}, **load, "id": f"s{len(self.studies)}", "state": "running"}
        self.studies[study["id"]] = study
        return 201, study

    def _study(self, key: str) -> Dict[str, Any]:
        for study in self.studies.values():
            if key in (study["id"], study["name"]):
                return study
        raise Problem(404, f"there is no study {key}")

    def _of(self, study: Dict[str, Any]) -> List[Dict[str, Any]]:
        return [t for t in self.trials.values() if t["study_id"] == study["id"]]

    def _best(self, study: Dict[str, Any]) -> Tuple[int, Any]:
        if len(study["objectives"]) > 1:
            raise Problem(409, "there are several objectives: see /pareto")
        metric, direction = study["objectives"][0]["metric"], study["objectives"][0]["direction"]
        done = [t for t in self._of(study) if t["state"] == "complete"]
        if not done:
            raise Problem(404, "no trial is complete")
        return 200, (min if direction == "minimize" else max)(done, key=lambda t: t["values"][metric])

    def _page(self, study: Dict[str, Any], query: Dict[str, str]) -> Tuple[int, Any]:
        start, limit = int(query.get("cursor", 0)), min(int(query.get("limit", 100)), 7)
        items = self._of(study)
        end = start + limit
        return 200, {"items": items[start:end], "next_cursor": str(end) if end < len(items) else None}

    # --- trials ---

    def _propose(
        self, study: Dict[str, Any], params: Dict[str, Any], user_attrs: Optional[Dict[str, Any]] = None
    ) -> Dict[str, Any]:
        number = len(self._of(study))
        trial_id = f"node.{len(self.trials)}"
        self.trials[trial_id] = {
            "id": trial_id,
            "label": f"box-{number}",
            "number": number,
            "study": study["name"],
            "study_id": study["id"],
            "state": "waiting",
            "reason": None,
            "detail": None,
            "params": params,
            "values": {},
            "node": "box",
            "attempt": 0,
            "last_step": 0,
            "resume_step": 0,
            "created_at": "2026-01-01T00:00:00Z",
            "started_at": "2026-01-01T00:00:01.25Z",
            "finished_at": None,
            "user_attrs": dict(user_attrs or {}),
            "beats": 0,
        }
        self.reports[trial_id] = {}
        return self.trials[trial_id]

    def add_running(self, trial_id: str = "node.0", **more: Any) -> Dict[str, Any]:
        """A trial as a process holds it."""
        study = {"id": "sp", "name": "digits", "space": [], "objectives": [{"metric": "loss", "direction": "minimize"}]}
        self.studies.setdefault("sp", study)
        trial = self._propose(study, {"lr": 0.1})
        trial.update(state="running", attempt=1, **more)
        del self.trials[trial["id"]]
        trial["id"] = trial_id
        self.trials[trial_id] = trial
        self.reports.setdefault(trial_id, {})
        return trial

    def _trial(self, key: str) -> Dict[str, Any]:
        for trial in self.trials.values():
            if key in (trial["id"], trial["label"]):
                return trial
        raise Problem(404, f"there is no trial {key}")

    def _suggest(self, study: Dict[str, Any], body: Dict[str, Any]) -> Tuple[int, Any]:
        if set(body) - {"count", "client_id", "lease_s"}:
            raise Problem(422, "unknown fields")
        if study["state"] == "cancelled":
            raise Problem(409, "the study is cancelled")
        if self.nothing:
            return 200, {"items": [], **self.nothing.pop(0)}
        held = self.clients.get(body["client_id"])
        if held is not None and self.trials[held]["state"] == "running":
            return 200, {"items": [self.trials[held]]}
        trial = next((t for t in self._of(study) if t["state"] == "waiting"), None)
        if trial is None:
            limit = study["budget"].get("max_trials")
            count = len(self._of(study))
            if limit is not None and count >= limit:
                return 200, {"items": [], "reason": "budget", "retry_after_s": None}
            trial = self._propose(study, self.params_of(count))
        trial.update(state="running", attempt=trial["attempt"] + 1)
        self.clients[body["client_id"]] = trial["id"]
        return 200, {"items": [trial]}

    def _report(self, trial: Dict[str, Any], body: Any) -> Tuple[int, Any]:
        action = "continue"
        for report in body if isinstance(body, list) else [body]:
            if set(report) - {"step", "values", "attempt"}:
                raise Problem(422, "unknown fields")
            if "bad" in report["values"]:
                raise Problem(422, "the report does not fit", (("/values/bad", "there is no such metric"),))
            if trial["state"] in TERMINAL or report.get("attempt", trial["attempt"]) < trial["attempt"]:
                action = "stop"
                continue
            known = self.reports[trial["id"]].get(report["step"])
            if known is not None and known != report["values"]:
                raise Problem(409, f"step {report['step']} has other values")
            self.reports[trial["id"]][report["step"]] = report["values"]
            trial["last_step"] = max(trial["last_step"], report["step"])
            action = self.actions(trial, report)
            asked = trial["id"] in self.clients.values()
            if asked and action in ("stop", "pause"):
                trial["state"] = "pruned" if action == "stop" else "paused"
        return 200, {"action": action}

    def _complete(self, trial: Dict[str, Any], body: Dict[str, Any]) -> Tuple[int, Any]:
        if set(body) - {"values", "attempt", "state", "detail"}:
            raise Problem(422, "unknown fields")
        if trial["state"] in ("pruned", "paused") and "values" in body:
            return 200, trial
        if trial["state"] in TERMINAL:
            if trial["state"] == "complete" and body.get("values") == trial["values"]:
                return 200, trial
            raise Problem(409, f"the trial is {trial['state']} already")
        if "values" in body:
            if None in body["values"].values():
                raise Problem(422, "the body does not fit", (("/values", "must be finite numbers"),))
            wanted = [o["metric"] for o in self.studies[trial["study_id"]]["objectives"]]
            missing = [m for m in wanted if body["values"].get(m) is None]
            if missing:
                raise Problem(422, "objectives are missing", tuple((f"/values/{m}", "is missing") for m in missing))
            trial["values"] = body["values"]
        trial.update(
            state=body.get("state", "complete"), detail=body.get("detail"), finished_at="2026-01-01T00:00:03.5Z"
        )
        return 200, trial

    def _import(self, key: str, payload: bytes) -> Tuple[int, Any]:
        study = self._study(key)
        for line in payload.decode().splitlines():
            given = json.loads(line)
            if not any(t.get("imported") == given.get("id") for t in self._of(study)):
                trial = self._propose(study, given["params"], given.get("user_attrs"))
                trial.update(state=given["state"], values=given.get("values", {}), imported=given.get("id"))
        return 200, {"imported": 1}

    # --- for assertions ---

    def calls(self, method: str, suffix: str) -> int:
        return sum(1 for m, p in self.requests if m == method and p.endswith(suffix))

    def wait_for(self, what: Callable[[], bool], seconds: float = 5.0) -> None:
        for _ in itertools.takewhile(lambda _: not what(), range(int(seconds / 0.02))):
            time.sleep(0.02)
        assert what()
