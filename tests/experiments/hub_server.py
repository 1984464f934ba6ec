"""A model hub on this machine with the requests of Hugging Face's: create, preupload, Git LFS, commit, read."""

import base64
import contextlib
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_secret"
LARGE_SUFFIXES = (".safetensors",)


class Hub:
    """The contents of a hub: versions of models, each a dictionary of files, and objects by their SHA-256."""

    def __init__(self):
        self.versions = {}
        self.objects = {}
        self.private = {}
        self.messages = []
        self.requests = []
        self.address = ""
        self.replaced = {}
        """Paths that are answered with other bytes than those that were pushed."""

    def find(self, repository, revision):
        versions = self.versions[repository]
        return list(versions)[-1] if revision == "main" else revision


def make_handler(hub):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def answer(self, content, code=200, headers=()):
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(code)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def is_allowed(self):
            return self.headers.get("Authorization") == f"Bearer {TOKEN}"

        def handle_any(self):
            hub.requests.append((self.command, self.path, self.headers.get("Authorization")))
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path, _, query = self.path.partition("?")
            if self.command != "GET" and not path.startswith("/storage/") and not self.is_allowed():
                self.answer({}, 401, [("X-Error-Message", "Invalid username or password.")])
            elif path == "/api/repos/create":
                self.create(json.loads(body))
            elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit|revision)/(.+)", path):
                self.handle_model(match[1], match[2], match[3], query, body)
            elif match := re.fullmatch(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
                self.list_uploads(json.loads(body))
            elif match := re.fullmatch(r"/storage/([0-9a-f]{64})", path):
                self.store(match[1], body)
            elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
                self.send_file(match[1], match[2], match[3])
            else:
                self.answer({}, 404)

        do_GET = do_POST = do_PUT = handle_any  # noqa: N815  # names of the standard library

        def create(self, body):
            name = f"{body['organization']}/{body['name']}"
            if name in hub.versions:
                self.answer({"error": "exists"}, 409)
                return
            hub.versions[name] = {"0" * 40: {".gitattributes": b"* text=auto"}}
            hub.private[name] = body["private"]
            self.answer({"url": f"{hub.address}/{name}"})

        def handle_model(self, name, action, revision, query, body):
            if name not in hub.versions or (hub.private[name] and not self.is_allowed()):
                self.answer({}, 404, [("X-Error-Message", "Repository not found")])
            elif action == "preupload":
                files = json.loads(body)["files"]
                modes = [
                    {"path": f["path"], "uploadMode": "lfs" if f["path"].endswith(LARGE_SUFFIXES) else "regular"}
                    for f in files
                ]
                self.answer({"files": modes})
            elif action == "commit":
                self.commit(name, [json.loads(line) for line in body.decode().splitlines()])
            else:
                commit = hub.find(name, revision)
                files = hub.versions[name].get(commit)
                if files is None:
                    self.answer({}, 404, [("X-Error-Message", "Revision not found")])
                    return
                entries = [self.describe(path, content) for path, content in files.items()]
                if query != "blobs=true":
                    entries = [{"rfilename": entry["rfilename"]} for entry in entries]
                self.answer({"id": name, "sha": commit, "siblings": entries})

        def describe(self, path, content):
            entry = {"rfilename": path, "size": len(content)}
            entry["blobId"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            if path.endswith(LARGE_SUFFIXES):
                entry["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 132}
            return entry

        def commit(self, name, lines):
            files = dict(hub.versions[name][hub.find(name, "main")])
            for line in lines:
                value = line["value"]
                if line["key"] == "header":
                    hub.messages.append(value["summary"])
                elif line["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    content = hub.objects[value["oid"]]
                    assert len(content) == value["size"]
                    files[value["path"]] = content
                else:
                    del files[value["path"]]
            commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
            hub.versions[name].pop(commit, None)
            hub.versions[name][commit] = files
            self.answer({"success": True, "commitOid": commit, "commitUrl": f"{hub.address}/{name}/commit/{commit}"})

        def list_uploads(self, body):
            assert (body["operation"], body["hash_algo"]) == ("upload", "sha256")
            objects = []
            for entry in body["objects"]:
                if entry["oid"] not in hub.objects:
                    entry["actions"] = {
                        "upload": {"href": f"{hub.address}/storage/{entry['oid']}", "header": {"X-Part": "1"}}
                    }
                objects.append(entry)
            self.answer({"transfer": "basic", "objects": objects})

        def store(self, oid, body):
            assert self.headers["X-Part"] == "1"
            assert hashlib.sha256(body).hexdigest() == oid
            hub.objects[oid] = body
            self.answer(b"")

        def send_file(self, name, commit, path):
            content = hub.replaced.get(path, hub.versions[name][commit][path])
            self.answer(content)

    return Handler


@contextlib.contextmanager
def serve_hub():
    """Run a hub on this machine during the block."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), make_handler(hub))
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
