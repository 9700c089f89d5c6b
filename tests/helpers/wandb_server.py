"""A stand-in for W&B's server: it takes what clients upload, and keeps the runs as the real one would number them."""

import gzip
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class WandbServer:
    """Serves on a free port of this machine while the context is open.

    Attributes:
        url: For WANDB_BASE_URL.
        runs: Run id -> its row of `UpsertBucket`.
        history: Run id -> rows, by line.
        streams: Run id -> what each upload said beside its rows, such as ``exitcode`` and ``preempting``.
        views: Variables of every report that was saved.
    """

    def __init__(self):
        self.runs, self.history, self.streams, self.views = {}, {}, {}, []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"wandb": self}))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *error):
        self.stop()

    def stop(self):
        """Connections are refused from now on."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, operation, asked):
        project = {"id": "P", "name": asked.get("project"), "entity": {"id": "E", "name": "ours"}}
        if operation == "UpsertBucket":
            run = self.runs.setdefault(asked["name"], {"id": "R", "name": asked["name"], "config": "{}"})
            run |= {key: value for key, value in asked.items() if value is not None}
            lines = len(self.history.get(asked["name"], {}))
            return {
                "upsertBucket": {
                    "bucket": {**run, "displayName": "d", "historyLineCount": lines, "project": project},
                    "inserted": lines == 0,
                }
            }
        if operation == "RunResumeStatus":
            return {"model": {**project, "bucket": self._resumed(asked["name"])}}
        if operation == "CreateRunFiles":
            files = [{"name": name, "uploadUrl": f"{self.url}/upload/{name}"} for name in asked["files"]]
            return {"createRunFiles": {"runID": "R", "uploadHeaders": [], "files": files}}
        if operation in ("Viewer", "GetDefaultEntity"):
            return {"viewer": {"id": "V", "entity": "ours", "username": "u", "flags": "{}", "teams": {"edges": []}}}
        if operation in ("ProjectInternalId", "GetProject"):
            return {"project": project | {"internalId": "P1"}}
        if operation == "GetProjects":
            node = {"id": "P", "name": "p", "entityName": "ours", "createdAt": "", "isBenchmark": False, "user": None}
            page = {"endCursor": None, "hasNextPage": False}
            return {"models": {"pageInfo": page, "edges": [{"node": node | {"__typename": "Project"}}]}}
        if operation == "upsertView":
            self.views.append(asked)
            view = {"id": "VmlldzoxMjM=", "displayName": asked["displayName"], "description": "", "project": project}
            return {"upsertView": {"view": view | {"name": asked["name"], "spec": asked["spec"]}, "inserted": True}}
        return {}

    def _resumed(self, name):
        if name not in self.runs:
            return None
        rows = self.history.get(name, {})
        last = [json.dumps(rows[max(rows)])] if rows else []
        return {
            "id": "R",
            "name": name,
            "displayName": "d",
            "summaryMetrics": "{}",
            "logLineCount": 0,
            "historyLineCount": len(rows),
            "eventsLineCount": 0,
            "historyTail": json.dumps(last),
            "eventsTail": "[]",
            "config": "{}",
            "tags": [],
            "notes": None,
            "wandbConfig": "{}",
        }

    def stream(self, name, said):
        files = said.pop("files", None) or {}
        new = files.get("wandb-history.jsonl", {"offset": 0, "content": []})
        rows = self.history.setdefault(name, {})
        # A line that is sent again replaces what was there.
        rows |= {new["offset"] + line: json.loads(text) for line, text in enumerate(new["content"])}
        self.streams.setdefault(name, []).append(said)


class _Handler(BaseHTTPRequestHandler):
    wandb: WandbServer
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        answer = {}
        if self.path == "/graphql":
            asked = json.loads(body)
            operation = re.search(r"(?:query|mutation)\s+(\w+)", asked["query"])
            answer = {"data": self.wandb.answer(operation and operation[1], asked.get("variables") or {})}
        elif self.path.endswith("/file_stream"):
            self.wandb.stream(self.path.split("/")[-2], json.loads(body))
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_PUT(self):
        self.do_POST()

    def log_message(self, *words):
        """Nothing is printed."""
