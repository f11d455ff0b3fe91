"""What can be hostile, each with the commands that read it.

A place writes changed inputs into a directory and gives the command line that is to be tried, all
of it drawn from one source of chance.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random  # noqa: TID251 - tests may draw, from a seed

from support.manifests import DIRECTORY
from support.records import record
from support.terminal import Terminal

from fuzz import images
from fuzz.answers import Scripted, Shelf
from fuzz.in_process import run
from fuzz.mutation import mutate_bytes, mutate_json, mutate_tar


@dataclass
class Desk:
    """Where a run happens: an empty directory, and what all runs of a process share."""

    directory: Path
    server: Scripted
    terminal: Terminal
    """With a fake Nix, and a cache that a build has filled, which is not to be changed."""
    env: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, data: bytes) -> str:
        place = self.directory / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        return name


Place = Callable[[Random, Desk], list[str]]
"""Writes what is changed, and gives the words of a command."""


def _plain(desk: Desk) -> str:
    return f"--plain-http={desk.server.host}"


def _reader(random: Random, image: str, other: str) -> list[str]:
    """A command that reads an image."""
    commands = (
        ["inspect", image],
        ["sbom", image],
        ["inspect", image, "--json"],
        ["validate", image],
        ["validate", image, "--json"],
        ["diff", image, other],
        ["diff", other, image, "--json"],
        ["why", image, random.choice(("app", "shell", "x"))],
        ["index", image, "-o", "out"],
    )
    return list(random.choice(commands))


def layout(random: Random, desk: Desk) -> list[str]:
    """Documents and layers of an image layout."""
    found, _ = images.changed(random)
    found.write(desk.directory / "web")
    (desk.directory / "good").symlink_to(_good())
    if random.random() < 0.07:
        return ["push", "web", f"{desk.server.host}/team/web:1.0", _plain(desk)]
    if random.random() < 0.07:  # into the layout that is there
        return ["index", "good", "-o", "web"]
    return _reader(random, random.choice(("web", "web:1.0", "oci:web")), "good")


@cache
def _good() -> Path:
    return images.written(nested=True).write(Path(os.environ["FUZZ_SCRATCH"]) / "good")  # noqa: TID251


def archive(random: Random, desk: Desk) -> list[str]:
    """Tar archives of images, ours and Docker's, with changed headers or contents."""
    (desk.directory / "good").symlink_to(_good())
    part = random.choice(("manifest", "config", "plain0", "plain1", "plain2"))
    how = random.choice(("outer", "inner"))

    def edit(name: str, data: bytes) -> bytes:
        change = images.mutation_of(name)
        return change(random, data) if name == part and how == "inner" else data

    data = images.docker_archive(edit) if random.random() < 0.6 else images.written(edit).tar()
    if how == "outer":
        data = mutate_tar(random, data)
    if random.random() < 0.05:
        data = gzip.compress(data, 1)
    desk.write("web.tar", data)
    if random.random() < 0.1:
        return ["index", "good", "-o", "web.tar"]
    return _reader(random, "web.tar", "good")


def registry(random: Random, desk: Desk) -> list[str]:
    """Answers of a registry and its token server: what they say, or what they are."""
    sealed = random.random() < 0.5
    found = images.changed(random)[0] if sealed else images.written(nested=random.random() < 0.3)
    seed = random.random()
    rate = random.choice((0.1, 0.3, 1.0))

    def change(what: str, answer: bytes) -> bytes:
        own = Random(f"{seed}/{what}")
        return _answer(own, answer) if own.random() < rate else answer

    desk.server.put(
        Shelf(
            _manifests(found),
            {digest: found.blob(part) for part, digest in found.digests.items()},
            random.choice(("", "", 'Basic realm="x"', _BEARER)),
            (lambda _, answer: answer) if sealed else change,
        )
    )
    desk.env |= {"NIX2OCI_USERNAME": "u", "NIX2OCI_PASSWORD": "p"} if random.random() < 0.5 else {}
    (desk.directory / "good").symlink_to(_good())
    there = f"{desk.server.host}/team/web:1.0"
    if random.random() < 0.3:
        return ["push", "good", there, _plain(desk)]
    return [*_reader(random, there, "good"), _plain(desk)]


_BEARER = 'Bearer realm="http://HOST/token",service="x",scope="repository:team/web:pull"'


def _manifests(found: images.Written) -> Mapping[str, tuple[str, bytes]]:
    parts = [part for part in ("manifest", "about", "index") if part in found.digests]
    by_digest = {
        found.digests[part]: (images.KINDS.get(part, images.KINDS["manifest"]), found.blob(part))
        for part in parts
    }
    return {**by_digest, "1.0": by_digest[found.digests[parts[-1]]]}


_HEADS = (
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n",
    b"HTTP/1.1 99999 x\r\n",
    b"HTTP/9.9 200\r\n",
    b"HTTP/1.1 200\r\n" + b"A: b\r\n" * 300,
    b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff;x=y\r\nabc",
    b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n",
    b"HTTP/1.1 200 x\r\nContent-Encoding: gzip\r\n",
    b"HTTP/1.1 307 x\r\nLocation: http://127.0.0.1:1/\r\n\r\n",
    b"HTTP/1.1 307 x\r\nLocation: //[::1\r\n\r\n",
    b"HTTP/1.1 302 x\r\nLocation: /v2/\r\nContent-Length: 0\r\n\r\n",
    b'HTTP/1.1 401 x\r\nWWW-Authenticate: Bearer realm="x\r\n\r\n',
    b"HTTP/1.1 401 x\r\nWWW-Authenticate: Digest x=y, Basic\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 429 x\r\nRetry-After: Fri, 99 Foo 99999 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 503 x\r\nRetry-After: -1\r\nContent-Length: 0\r\n\r\n",
    b"",
    b"\x16\x03\x01",
)
_STATUSES = (
    200,
    201,
    202,
    204,
    206,
    301,
    307,
    400,
    401,
    403,
    404,
    405,
    412,
    413,
    416,
    429,
    500,
    503,
)
_HEADERS = (
    *("Content-Length", "Content-Type", "Docker-Content-Digest", "Location", "Range"),
    *("WWW-Authenticate", "Retry-After", "OCI-Subject", "ETag", "Transfer-Encoding"),
)
_VALUES = (
    *("", "-1", "0", "9" * 5000, "1, 2", "\x1b[2J", "sha256:" + "0" * 64, "sha256:x", "é"),
    *("0-", "5-3", "x", "chunked", "http://[", "//x", "ftp://x/", "http://127.0.0.1:99999/"),
    *(
        'Bearer realm="http://127.0.0.1:1/"',
        "Basic",
        'Bearer realm="\x7f"',
        "Bearer " + "a=b," * 2000,
    ),
)


def _answer(random: Random, answer: bytes) -> bytes:
    """An answer with something changed in it, or another one."""
    head, _, body = answer.partition(b"\r\n\r\n")
    name, value = random.choice(_HEADERS), random.choice(_VALUES)
    made = mutate_json(random, body)
    sized = head.replace(b"h: %d" % len(body), b"h: %d" % len(made))
    return random.choice(
        (
            random.choice(_HEADS),
            random.choice(_HEADS) + answer,
            answer.replace(b" 200 ", b" %d " % random.choice(_STATUSES), 1),
            head + f"\r\n{name}: {value}\r\n\r\n".encode() + body,
            sized + b"\r\n\r\n" + made,
            mutate_bytes(random, head) + b"\r\n\r\n" + body,
            mutate_bytes(random, answer),
        )
    )


_RECORDS = [record(name).encode() for name in ("shop-1.4", "worker-1.4", "admin-0.9")]
_NIX = Path(__file__).parents[1] / "data/nix"


@cache
def _closures() -> tuple[bytes, ...]:
    found = [
        path.read_bytes() for path in sorted((_NIX / "path-info").rglob("*")) if path.is_file()
    ]
    return (*_RECORDS, *(each for each in found if each[:1] in b"[{" and len(each) < 100_000))


def closure(random: Random, desk: Desk) -> list[str]:
    """Recorded answers of `nix path-info`."""
    desk.write("web.json", mutate_json(random, random.choice(_closures())))
    desk.write("good.json", _RECORDS[0])
    commands = (
        ["plan", "--closure", "web.json"],
        ["plan", "--closure", "web.json", "--json", "--max-layers", "3"],
        ["plan", "--closure", "web.json", "--html", "x.html"],
        ["diff", "web.json", "good.json"],
        ["why", "web.json", "glibc"],
        ["popularity", "--closure", "web.json", "--closure", "good.json"],
    )
    return list(random.choice(commands))


_SETTINGS = b"""\
name: web
tag: "1.0"
base: ./base
entrypoint: [app, --x]
cmd: [y]
env: {A: b, C: "${PATH}"}
user: app
workdir: /work
ports: [80/tcp, 53/udp]
volumes: [/data]
labels: &l {a: b}
annotations: *l
annotations: {a: "b\\n", c: !!str d}
stop-signal: SIGTERM
contents: [.#x]
users: [{name: app, uid: 1000, gid: 1000, home: /, shell: /bin/sh}]
groups: [{name: app, gid: 1000, members: [app]}]
view: {sh: true, zoneinfo: false}
shell: auto
debug: true
debug-tools: .#x
max-layers: 20
layers: {popularity: popularity.json, stable: [glibc], volatile: ["*"]}
compression: zstd:3
created: now
""".strip()


def settings(random: Random, desk: Desk) -> list[str]:
    """nix2oci.yaml, in YAML that is hostile or is none."""
    lines = _SETTINGS.split(b"\n")
    if random.random() < 0.7:  # all of it would end at the first key that a record has no use for
        lines = random.sample(lines, random.choice((1, 2, 4, 8)))
    data = mutate_bytes(random, b"\n".join(lines) + b"\n")
    desk.write("nix2oci.yaml", data)
    desk.write("popularity.json", _index())
    desk.write("good.json", _RECORDS[0])
    return ["plan", "--closure", "good.json", "--config", "nix2oci.yaml"]


def kubernetes(random: Random, desk: Desk) -> list[str]:
    """YAML and JSON that name images; nothing says where these would go."""
    data = random.choice(_kubernetes())
    desk.write("k8s/a.yaml", mutate_bytes(random, data))
    return ["resolve", "-f", "k8s", "--store", str(desk.terminal.fake.root)]


@cache
def _kubernetes() -> tuple[bytes, ...]:
    """Half of them without a mention, so that they are printed."""
    found = [path.read_bytes() for path in sorted(DIRECTORY.iterdir())]
    return (*found, *(each.replace(b"nix2oci://", b"docker://") for each in found))


@cache
def _index() -> bytes:
    scratch = Path(os.environ["FUZZ_SCRATCH"])  # noqa: TID251
    for number, each in enumerate(_RECORDS):
        (scratch / f"{number}.json").write_bytes(each)
    words = [word for number in range(3) for word in ("--closure", f"{number}.json")]
    return run(["popularity", *words, "-o", "-"], scratch, {}).output.encode()


def popularity(random: Random, desk: Desk) -> list[str]:
    """An index of what many images share."""
    desk.write("popularity.json", mutate_json(random, _index()))
    desk.write("good.json", _RECORDS[0])
    return ["plan", "--closure", "good.json", "--popularity", "popularity.json"]


def cache_entries(random: Random, desk: Desk) -> list[str]:
    """What is in the cache, half of it under a seal that is right."""
    there = desk.directory / "cache/nix2oci"
    shutil.copytree(desk.terminal.fake.directory / ".cache/nix2oci", there)
    for _ in range(random.choice((1, 2, 5))):
        path = random.choice(sorted(path for path in there.rglob("*") if path.is_file()))
        head, newline, body = path.read_bytes().partition(b"\n")
        if path.parent.name in ("layers", "facts") and random.random() < 0.7:
            body = mutate_json(random, body)
            head = hashlib.sha256(path.name.encode() + b"\n" + body).hexdigest().encode()
            path.write_bytes(head + newline + body)
        else:
            path.write_bytes(mutate_bytes(random, path.read_bytes()))
    desk.env["XDG_CACHE_HOME"] = str(desk.directory / "cache")
    if random.random() < 0.12:
        return ["build", ".#app", "-o", "out", "--store", str(desk.terminal.fake.root)]
    action = random.choice(("show", "show", "prune", "clear"))
    size = random.choice(([], ["--cache-size", "1K"]))
    return ["cache", action, *size, *random.choice(([], ["--json"]))]


def nix_answers(random: Random, desk: Desk) -> list[str]:
    """What Nix says of packages, builds and closures."""
    script = (desk.terminal.fake.bin / "nix").read_text(encoding="utf-8")
    lines = script.split("\n")
    said = [n for n, text in enumerate(lines) if "printf %s '" in text and "{" in text]
    place = random.choice(said)
    before, start, answer = lines[place].rpartition("printf %s '")
    document, end, after = answer.rpartition("'; exit")
    made = mutate_json(random, document.encode()).decode("utf-8", "replace")
    made = made.replace("\0", "").replace("'", "")[:50_000]
    lines[place] = before + start + made + end + after
    program = desk.directory / "bin/nix"
    program.parent.mkdir()
    program.write_text("\n".join(lines), encoding="utf-8", errors="replace")
    program.chmod(0o755)
    desk.env["PATH"] = f"{program.parent}:/usr/bin:/bin"
    return ["plan", ".#app", "--store", str(desk.terminal.fake.root)]


_AUTH = base64.b64encode(b"u:p").decode()


def credentials(random: Random, desk: Desk) -> list[str]:
    """auth.json, config.json, certs.d, and what credential helpers answer."""
    host = desk.server.host
    entry = random.choice(({"auth": _AUTH}, {"identitytoken": "x"}, {"registrytoken": "y"}))
    document = {
        "auths": {host: entry, f"https://{host}/v1/": {"auth": _AUTH}},
        "credHelpers": {host: "fuzz"} if random.random() < 0.3 else {},
        "credsStore": "fuzz" if random.random() < 0.2 else "",
    }
    answer = b'{"ServerURL": "x", "Username": "<token>", "Secret": "s"}'
    of_helper = random.random() < 0.3
    desk.write("answer", mutate_json(random, answer) if of_helper else answer)
    helper = desk.directory / desk.write(
        "bin/docker-credential-fuzz",
        f"#!/bin/sh\ncat {desk.directory}/answer\nexit {random.choice((0, 0, 0, 1))}\n".encode(),
    )
    helper.chmod(0o755)
    data = json.dumps(document).encode()
    data = data if of_helper else mutate_json(random, data)
    name = random.choice(("config.json", "auth.json", "variable"))
    desk.env["PATH"] = f"{desk.directory}/bin:/usr/bin:/bin"
    if name == "variable":
        desk.env["DOCKER_AUTH_CONFIG"] = data.decode("utf-8", "surrogateescape").replace("\0", "")
    elif name == "config.json":
        desk.env["DOCKER_CONFIG"] = str(desk.directory)
    else:
        desk.env["REGISTRY_AUTH_FILE"] = str(desk.directory / "auth.json")
    desk.write(name, data)
    if random.random() < 0.1:
        place = f".config/containers/certs.d/{host}/{random.choice(('ca.crt', 'x.cert', 'x.key'))}"
        desk.write(place, mutate_bytes(random, b"-----BEGIN CERTIFICATE-----\nAAAA\n"))
    found = images.written()
    desk.server.put(
        Shelf(
            _manifests(found),
            {digest: found.blob(part) for part, digest in found.digests.items()},
            random.choice(('Basic realm="x"', _BEARER)),
        )
    )
    return ["inspect", f"{host}/team/web:1.0", _plain(desk)]


_CONF = """\
[[registry]]
prefix = "example.com"
location = "example.com"
[[registry.mirror]]
location = "HOST/team"
insecure = true
pull-from-mirror = "all"
"""
_LOCK = b'version: 1\nimages:\n  "example.com/web:1.0": sha256:DIGEST\n'


def base_image(random: Random, desk: Desk) -> list[str]:
    """A base image from a mirror, with the lock and registries.conf that lead there."""
    what = random.choice(("lock", "conf", "image", "image"))
    found = images.changed(random)[0] if what == "image" else images.written()
    desk.server.put(
        Shelf(
            _manifests(found),
            {digest: found.blob(part) for part, digest in found.digests.items()},
        )
    )
    conf = _CONF.replace("HOST", desk.server.host).encode()
    lock = _LOCK.replace(b"sha256:DIGEST", found.digests["manifest"].encode())
    desk.write("conf", mutate_bytes(random, conf) if what == "conf" else conf)
    desk.env["CONTAINERS_REGISTRIES_CONF"] = str(desk.directory / "conf")
    desk.write("nix2oci.lock.yaml", mutate_bytes(random, lock) if what == "lock" else lock)
    local = what == "image" and random.random() < 0.7
    found.write(desk.directory / "base")
    base = "./base" if local else "example.com/web:1.0"
    desk.write("nix2oci.yaml", f"base: {base}\n".encode())
    command = ["build", "-o", "out"] if random.random() < 0.3 else ["plan"]
    return [*command, ".#app", "--config", "nix2oci.yaml", "--store", str(desk.terminal.fake.root)]


PLACES: Mapping[Place, int] = {
    layout: 370,
    archive: 150,
    registry: 160,
    closure: 80,
    settings: 70,
    kubernetes: 30,
    popularity: 20,
    cache_entries: 40,
    credentials: 60,
    base_image: 12,
    nix_answers: 8,
}
"""How often each is drawn, of a thousand."""
