"""The hub's HTTP endpoints on this machine, for tests of downloads and uploads without a network.

    def test_something(hub_stub):
        hub_stub.add("albert/albert-base-v2", tiny_checkpoint)              # a directory, or {"config.json": b"…", …}
        hub_stub.add("albert/albert-base-v2", {"note.txt": b"new"}, revision="v2")   # a branch; a commit on it
        AlbertModel.from_pretrained("albert-base-v2")                       # comes from the stub, into a fresh cache

The fixture points the hub's library at the stub, in this process and (``HF_ENDPOINT`` and so on) in those it starts, gives it an
empty cache, and takes away tokens. ``hub_stub.requests`` holds ``"GET /api/…"`` of what was asked; ``hub_stub.files(repo)`` what
a repository holds after an upload, which needs ``token=hub_stub.token``. Faults: ``cut``, ``corrupt``, ``stop``, ``status``,
``storage_status``, ``add(…, token=…)`` for a private repository, ``add(…, gated=True)``.

Large files (by their ending, as on the hub) are answered by a redirect to another host name, as the hub redirects to its storage.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import close_session, constants

LARGE = (".safetensors", ".bin", ".model", ".h5", ".msgpack")


@dataclass
class Repository:
    """Commits by hash, branches by name, and who may read."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    token: str | None = None
    gated: bool = False

    def commit(self, files: Mapping[str, bytes], branch: str) -> str:
        content = {**self.commits.get(self.branches.get(branch, ""), {}), **files}
        stated = repr((sorted(content.items()), len(self.commits))).encode()
        identity = hashlib.sha1(stated).hexdigest()
        self.commits[identity] = content
        self.branches[branch] = identity
        return identity

    def resolve(self, revision: str) -> str | None:
        return revision if revision in self.commits else self.branches.get(revision)


class HubStub:
    """A hub with the repositories that a test adds."""

    def __init__(self) -> None:
        self.token = "hf_test"  # may write anywhere
        self.repositories: dict[str, Repository] = {}
        self.storage: dict[str, bytes] = {}  # SHA-256 → large file
        self.requests: list[str] = []
        self.status: int | None = None  # answers everything with it
        self.storage_status: int | None = None  # answers uploads to the storage with it
        self.cuts: dict[str, list[int]] = {}
        self.corrupted: set[str] = set()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://127.0.0.1:{self.server.server_port}"

    def add(
        self,
        repository: str,
        files: Mapping[str, bytes] | Path,
        *,
        revision: str = "main",
        token: str | None = None,
        gated: bool = False,
    ) -> str:
        """Add files to a branch of a repository and return the commit's hash; with a ``token`` it is private."""
        if isinstance(files, Path):
            files = {path.relative_to(files).as_posix(): path.read_bytes() for path in files.rglob("*") if path.is_file()}
        repo = self.repositories.setdefault(repository, Repository())
        repo.token, repo.gated = token, gated
        return repo.commit(files, revision)

    def files(self, repository: str, revision: str = "main") -> dict[str, bytes]:
        """What a repository holds at a branch or commit."""
        repo = self.repositories[repository]
        return repo.commits[repo.resolve(revision) or ""]

    def cut(self, filename: str, *after: int) -> None:
        """Break off the next transfers of a file after so many bytes each."""
        self.cuts[filename] = list(after)

    def corrupt(self, filename: str) -> None:
        """Send other bytes than those whose checksum is stated."""
        self.corrupted.add(filename)

    def stop(self) -> None:
        """Take the server down, and cut the connections that stand."""
        close_session()
        if self.thread.is_alive():
            self.server.shutdown()
            self.thread.join()
            self.server.server_close()


def blob_identity(content: bytes) -> str:
    """Git's name for a small file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha256(content: bytes) -> str:
    """The name of a large file's content."""
    return hashlib.sha256(content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: HubStub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._route()

    def do_HEAD(self) -> None:
        self._route()

    def do_POST(self) -> None:
        self._route()

    def do_PUT(self) -> None:
        self._route()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def _route(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length) if length else self._read_chunks()
        path = urlsplit(self.path).path
        if path == "/api/agent-harnesses":  # the library's own curiosity
            return self._send(404)
        self.hub.requests.append(f"{self.command} {self.path}")
        if self.hub.status is not None:
            return self._send(self.hub.status)
        for pattern, action in _ROUTES:
            if match := re.fullmatch(pattern, path):
                return action(self, *(None if group is None else unquote(group) for group in match.groups()))
        return self._send(404)

    def _read_chunks(self) -> bytes:
        parts = []
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
        return b"".join(parts)

    def _send(self, status: int, body: bytes | dict | list = b"", **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._send(status, {"error": message}, X_Error_Code=code, X_Error_Message=message)

    def _token(self) -> str:
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ")

    def _readable(self, name: str, revision: str | None) -> tuple[str, dict[str, bytes]] | None:
        """The commit and its files, or ``None`` once a refusal was sent, with the hub's own codes and words."""
        repo, token = self.hub.repositories.get(name), self._token()
        if token and token not in (self.hub.token, repo.token if repo else None):
            self._send(401, {"error": "x"}, X_Error_Message="Invalid credentials in Authorization header")
        elif repo is None and token:
            self._refuse(404, "RepoNotFound", "Repository not found")
        elif repo is None or (repo.token and not token):
            self._refuse(401, "RepoNotFound", "Invalid username or password.")
        elif repo.gated and not token:
            self._refuse(401, "GatedRepo", f"Access to model {name} is restricted.")
        elif (commit := repo.resolve(revision or "main")) is None:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        else:
            return commit, repo.commits[commit]
        return None

    # ------------------------------------------------------------ downloads

    def info(self, name: str, revision: str | None) -> None:
        if (found := self._readable(name, revision)) is None:
            return
        commit, files = found
        siblings = []
        for filename, content in sorted(files.items()):
            entry: dict = {"rfilename": filename, "size": len(content), "blobId": blob_identity(content)}
            if filename.endswith(LARGE):
                entry["lfs"] = {"sha256": sha256(content), "size": len(content), "pointerSize": 130}
            siblings.append(entry)
        self._send(200, {"id": name, "modelId": name, "sha": commit, "private": False, "tags": [], "siblings": siblings})

    def tree(self, name: str, revision: str) -> None:
        if (found := self._readable(name, revision)) is None:
            return
        rows = []
        for filename, content in sorted(found[1].items()):
            row: dict = {"type": "file", "path": filename, "size": len(content), "oid": blob_identity(content)}
            if filename.endswith(LARGE):
                row["lfs"] = {"oid": sha256(content), "size": len(content), "pointerSize": 130}
            rows.append(row)
        self._send(200, rows)

    def resolve(self, name: str, revision: str, filename: str) -> None:
        if (found := self._readable(name, revision)) is None:
            return
        commit, files = found
        if filename not in files:
            return self._send(404, X_Repo_Commit=commit, X_Error_Code="EntryNotFound", X_Error_Message="Entry not found")
        content = files[filename]
        if not filename.endswith(LARGE):
            return self._transfer(filename, content, X_Repo_Commit=commit, ETag=f'"{blob_identity(content)}"')
        identity = sha256(content)
        self.hub.storage[identity] = content
        return self._send(
            302, X_Repo_Commit=commit, X_Linked_ETag=f'"{identity}"', X_Linked_Size=str(len(content)),
            Location=f"http://localhost:{self.hub.server.server_port}/storage/{identity}/{filename}",
        )  # fmt: skip

    def fetch(self, identity: str, filename: str) -> None:
        if self._token():
            return self._send(400)  # as the storage does: tokens are the hub's alone
        return self._transfer(filename, self.hub.storage[identity])

    def _transfer(self, filename: str, content: bytes, **headers: str) -> None:
        if filename in self.hub.corrupted:
            content = bytes(byte ^ 1 for byte in content)
        start = int(re.sub(r"bytes=(\d+)-", r"\1", self.headers.get("Range") or "0"))
        if start:
            headers["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        rest = content[start:]
        cuts = self.hub.cuts.get(filename, [])
        if self.command == "GET" and cuts:
            self.close_connection = True
            return self._send(206 if start else 200, rest[: cuts.pop(0)], Content_Length=str(len(rest)), **headers)
        return self._send(206 if start else 200, rest, **headers)

    # -------------------------------------------------------------- uploads

    def _writable(self) -> bool:
        if self._token() == self.hub.token:
            return True
        self._send(403 if self._token() else 401, {"error": "Invalid username or password."})
        return False

    def create(self) -> None:
        if not self._writable():
            return
        asked = json.loads(self.body)
        name = f"{asked.get('organization') or 'tester'}/{asked['name']}"
        answer = {"url": f"{self.hub.url}/{name}", "name": name, "id": "1"}
        if name in self.hub.repositories:
            return self._send(409, answer | {"error": "You already created this model repo"})
        private = asked.get("private") or asked.get("visibility") == "private"
        self.hub.add(name, {".gitattributes": b""}, token=self.hub.token if private else None)
        return self._send(200, answer)

    def validate(self) -> None:
        self._send(200, {"errors": [], "warnings": []})

    def branch(self, name: str, branch: str) -> None:
        repo = self.hub.repositories[name]
        if not self._writable():
            return
        if branch in repo.branches:
            return self._send(409, {"error": "Reference already exists"})
        repo.branches[branch] = repo.branches["main"]
        return self._send(200, {})

    def preupload(self, name: str, revision: str) -> None:
        if not self._writable() or self._readable(name, revision) is None:
            return
        files = [
            {"path": file["path"], "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular", "shouldIgnore": False}
            for file in json.loads(self.body)["files"]
        ]
        self._send(200, {"files": files})

    def batch(self, name: str) -> None:
        if not self._writable():
            return
        objects = [
            item | {"actions": {"upload": {"href": f"{self.hub.url}/storage/{item['oid']}/upload"}}}
            for item in json.loads(self.body)["objects"]
        ]
        self._send(200, {"transfer": "basic", "objects": objects})

    def store(self, identity: str) -> None:
        if self.hub.storage_status is not None:
            return self._send(self.hub.storage_status)
        if sha256(self.body) != identity:
            return self._send(422, {"error": "checksum"})
        self.hub.storage[identity] = self.body
        return self._send(200)

    def commit(self, name: str, revision: str) -> None:
        if not self._writable():
            return
        files = {}
        for line in self.body.splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            elif entry["key"] == "lfsFile":
                files[entry["value"]["path"]] = self.hub.storage[entry["value"]["oid"]]
        request = "create_pr=1" in self.path
        identity = self.hub.repositories[name].commit(files, "refs/pr/1" if request else revision)
        answer = {"success": True, "commitOid": identity, "commitUrl": f"{self.hub.url}/{name}/commit/{identity}"}
        self._send(200, answer | {"pullRequestUrl": f"{self.hub.url}/{name}/discussions/1" if request else None})


_MODEL = r"/api/models/([^/]+/[^/]+)"
_ROUTES = (
    (_MODEL + r"(?:/revision/([^/]+))?", _Handler.info),
    (_MODEL + r"/tree/([^/]+)", _Handler.tree),
    (_MODEL + r"/preupload/([^/]+)", _Handler.preupload),
    (_MODEL + r"/commit/([^/]+)", _Handler.commit),
    (_MODEL + r"/branch/([^/]+)", _Handler.branch),
    (r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", _Handler.resolve),
    (r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", _Handler.batch),
    (r"/api/repos/create", _Handler.create),
    (r"/api/validate-yaml", _Handler.validate),
    (r"/storage/([^/]+)/upload", _Handler.store),
    (r"/storage/([^/]+)/(.+)", _Handler.fetch),
)


@pytest.fixture
def hub_stub(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubStub]:
    """The hub's endpoints on this machine, an empty cache and no token; the module's docstring says how to use it."""
    stub, home = HubStub(), tmp_path_factory.mktemp("hub")
    settings = {"HF_ENDPOINT": stub.url, "HF_HOME": str(home), "HF_HUB_CACHE": str(home / "hub"), "HF_HUB_DISABLE_XET": "1"}
    for name, value in (settings | {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}).items():
        monkeypatch.setenv(name, value)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_ETAG_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    # The library uploads in a way that its HTTP client has come to dislike.
    warnings.filterwarnings("ignore", "Use 'content=", DeprecationWarning)  # pytest takes it back after the test
    # The library has read its environment long ago.
    monkeypatch.setattr(constants, "ENDPOINT", stub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", stub.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    close_session()
    yield stub
    stub.stop()
