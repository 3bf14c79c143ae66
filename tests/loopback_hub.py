"""Enough of the Hub's API, in memory, for real uploads to and reads from 127.0.0.1.

Data set repositories only: create, branch, preupload, LFS batch and upload, commit, information,
tree, resolve. `with running_hub() as hub:` serves it; point HF_ENDPOINT at `hub.url`.
"""

import base64
import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

TOKEN = "hf_loopback_token"
REPO = "/{owner}/{name}"


class Repo:
    """Branches are lists of commits; a commit is (message, files)."""

    def __init__(self, private: bool) -> None:
        self.private = private
        self.branches: dict[str, list[tuple[str, dict[str, bytes]]]] = {"main": [("initial", {})]}

    def files(self, revision: str) -> dict[str, bytes] | None:
        for branch, commits in self.branches.items():
            for number, (_, files) in enumerate(commits):
                if self.sha(branch, number) == revision:
                    return files
        return self.branches[revision][-1][1] if revision in self.branches else None

    def sha(self, branch: str, number: int = -1) -> str:
        number = number % len(self.branches[branch])
        return hashlib.sha1(f"{branch} {number}".encode()).hexdigest()


class Hub:
    """The state, and what answers requests about it."""

    def __init__(self) -> None:
        self.url = ""
        self.repos: dict[str, Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.uploads: list[str] = []
        # As a Hub that goes down in the middle: further uploads are refused for good.
        self.refuse_after: int | None = None

    def find(self, request: Request, *, write: bool = False) -> tuple[Repo, str]:
        values = request.path_params
        repo = self.repos.get(f"{values['owner']}/{values['name'].removesuffix('.git')}")
        allowed = request.headers.get("authorization") == f"Bearer {TOKEN}"
        if write and not allowed:
            raise Refusal(401, "Invalid", "no valid token")
        if repo is None or (repo.private and not allowed):
            raise Refusal(404, "RepoNotFound", "Repository not found")
        revision = str(values.get("revision", "main"))
        if repo.files(revision) is None:
            raise Refusal(404, "RevisionNotFound", "Revision not found")
        return repo, revision

    async def create(self, request: Request) -> Response:
        body = await request.json()
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            raise Refusal(401, "Invalid", "no valid token")
        name = f"{body.get('organization') or 'user'}/{body['name']}"
        url = {"url": f"{self.url}/datasets/{name}", "name": name}
        if name in self.repos:
            return JSONResponse({"error": "exists", **url}, status_code=409)
        self.repos[name] = Repo(body.get("visibility") == "private" or bool(body.get("private")))
        return JSONResponse(url)

    async def branch(self, request: Request) -> Response:
        repo, _ = self.find(request, write=True)
        name = request.path_params["branch"]
        if name in repo.branches:
            return JSONResponse({"error": "exists"}, status_code=409)
        repo.branches[name] = list(repo.branches["main"])
        return JSONResponse({})

    async def info(self, request: Request) -> Response:
        repo, revision = self.find(request)
        files = repo.files(revision) or {}
        sha = repo.sha(revision) if revision in repo.branches else revision
        name = "{owner}/{name}".format(**request.path_params)
        siblings = [{"rfilename": path} for path in files]
        return JSONResponse(
            {"_id": name, "id": name, "sha": sha, "private": repo.private, "siblings": siblings,
             "tags": [], "downloads": 0, "likes": 0, "gated": False, "disabled": False}
        )  # fmt: skip

    async def tree(self, request: Request) -> Response:
        repo, revision = self.find(request)
        files = repo.files(revision) or {}
        folder = request.path_params.get("path", "")
        prefix = f"{folder}/" if folder else ""
        inside = {p: c for p, c in files.items() if p.startswith(prefix)}
        if folder and not inside:
            raise Refusal(404, "EntryNotFound", "no such folder")
        deep = request.query_params.get("recursive", "").lower() in ("true", "1")
        out = [_entry(p, c) for p, c in inside.items() if deep or "/" not in p[len(prefix) :]]
        folders = {p[: p.index("/", len(prefix))] for p in inside if "/" in p[len(prefix) :]}
        out += [{"type": "directory", "path": f, "oid": "0" * 40, "size": 0} for f in folders]
        return JSONResponse(out)

    async def paths_info(self, request: Request) -> Response:
        repo, revision = self.find(request)
        files = repo.files(revision) or {}
        body = await request.body()
        wanted = json.loads(body)["paths"] if body[:1] == b"{" else []
        if not wanted:
            wanted = (await request.form()).getlist("paths")
        return JSONResponse([_entry(p, files[p]) for p in wanted if p in files])

    async def preupload(self, request: Request) -> Response:
        repo, revision = self.find(request, write=True)
        files = repo.files(revision) or {}
        out = []
        for file in (await request.json())["files"]:
            path = file["path"]
            mode = "lfs" if path.endswith(".parquet") else "regular"
            oid = _oid(path, files[path]) if path in files else None
            out.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return JSONResponse({"files": out})

    async def lfs_batch(self, request: Request) -> Response:
        self.find(request, write=True)
        out = []
        for item in (await request.json())["objects"]:
            actions = {"upload": {"href": f"{self.url}/lfs/{item['oid']}"}}
            known = item["oid"] in self.objects
            out.append({**item, **({} if known else {"actions": actions})})
        return JSONResponse({"transfer": "basic", "objects": out})

    async def lfs_put(self, request: Request) -> Response:
        content = await request.body()
        oid = request.path_params["oid"]
        if hashlib.sha256(content).hexdigest() != oid:
            raise Refusal(400, "Invalid", "the content does not match its hash")
        if self.refuse_after is not None and len(self.uploads) >= self.refuse_after:
            raise Refusal(403, "Gone", "the hub takes no more")
        self.objects[oid] = content
        self.uploads.append(oid)
        return Response()

    async def commit(self, request: Request) -> Response:
        repo, revision = self.find(request, write=True)
        files = dict(repo.files(revision) or {})
        message = ""
        for line in (await request.body()).splitlines():
            key, value = (entry := json.loads(line))["key"], entry["value"]
            if key == "header":
                message = value["summary"]
            elif key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.objects[value["oid"]]
            elif key == "deletedFile":
                files.pop(value["path"])
        repo.branches[revision].append((message, files))
        sha = repo.sha(revision)
        url = f"{self.url}/datasets/{'{owner}/{name}'.format(**request.path_params)}/commit/{sha}"
        return JSONResponse({"success": True, "commitOid": sha, "commitUrl": url, "hookOutput": ""})

    async def resolve(self, request: Request) -> Response:
        repo, revision = self.find(request)
        path = request.path_params["path"]
        content = (repo.files(revision) or {}).get(path)
        if content is None:
            raise Refusal(404, "EntryNotFound", "no such file")
        sha = repo.sha(revision) if revision in repo.branches else revision
        headers = {"X-Repo-Commit": sha, "ETag": f'"{_oid(path, content)}"'}
        headers["Accept-Ranges"] = "bytes"
        asked = request.headers.get("range", "")
        if asked.startswith("bytes="):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            low, high = int(first), min(int(last or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {low}-{high}/{len(content)}"
            return Response(content[low : high + 1], status_code=206, headers=headers)
        return Response(content, headers=headers)

    def app(self) -> Starlette:
        async def fine(_: Request) -> Response:
            return JSONResponse({"name": "user", "type": "user", "warnings": [], "errors": []})

        api = f"/api/datasets{REPO}"
        git = f"/datasets{REPO}"
        routes = [
            Route("/api/repos/create", self.create, methods=["POST"]),
            Route("/api/whoami-v2", fine),
            Route("/api/validate-yaml", fine, methods=["POST"]),
            Route(f"{api}/branch/{{branch}}", self.branch, methods=["POST"]),
            Route(api, self.info),
            Route(f"{api}/revision/{{revision}}", self.info),
            Route(f"{api}/tree/{{revision}}", self.tree),
            Route(f"{api}/tree/{{revision}}/{{path:path}}", self.tree),
            Route(f"{api}/paths-info/{{revision}}", self.paths_info, methods=["POST"]),
            Route(f"{api}/preupload/{{revision}}", self.preupload, methods=["POST"]),
            Route(f"{api}/commit/{{revision}}", self.commit, methods=["POST"]),
            Route(f"{git}/info/lfs/objects/batch", self.lfs_batch, methods=["POST"]),
            Route("/lfs/{oid}", self.lfs_put, methods=["PUT"]),
            Route(f"{git}/resolve/{{revision}}/{{path:path}}", self.resolve),
        ]
        return Starlette(routes=routes, exception_handlers={Refusal: _refuse})


class Refusal(Exception):  # noqa: N818
    """An error as the Hub words it."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code, self.text = status, code, text


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    headers = {"X-Error-Code": error.code, "X-Error-Message": error.text}
    return JSONResponse({"error": error.text}, status_code=error.status, headers=headers)


def _oid(path: str, content: bytes) -> str:
    """sha256 of an LFS file, git's hash of another."""
    if path.endswith(".parquet"):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _entry(path: str, content: bytes) -> dict:
    entry = {"type": "file", "path": path, "size": len(content), "oid": _oid(path, content)[:40]}
    if path.endswith(".parquet"):
        entry["lfs"] = {"oid": _oid(path, content), "size": len(content), "pointerSize": 130}
    return entry


@contextlib.contextmanager
def running_hub() -> Iterator[Hub]:
    """Serve a new hub on a free port of 127.0.0.1."""
    hub = Hub()
    config = uvicorn.Config(hub.app(), host="127.0.0.1", port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the loopback hub did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    hub.url = f"http://127.0.0.1:{port}"
    try:
        yield hub
    finally:
        server.should_exit = True
        thread.join(timeout=10)
