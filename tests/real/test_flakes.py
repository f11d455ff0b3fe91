"""The sample flakes, and the stand-in for nixpkgs that they are tested with: what they promise.

Every program runs in a root that has nothing but the store, with an empty environment.
"""

import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from real.distro import FLAKES, MAKE, NOBODY, StoreRoot, distro_flake, nix, out_path, run, sample
from support.tools import require

pytestmark = pytest.mark.nix

CACHE = FLAKES.parent / ".cache"
SYSTEM = f"{platform.machine()}-linux"
SAMPLES = ("hello-c", "web-python", "server-config", "guestbook", "tools", "metadata")
PAGE = "<p>served from the store</p>\n"

# The name that a Nix user knows, its program, and what that says.
PROGRAMS = [
    ("bash", ["bash", "-c", "echo $BASH_VERSION"], r"\d+\.\d+"),
    ("busybox", ["sh", "-c", "echo from sh"], "from sh"),
    ("coreutils", ["ls", "/nix"], "^store$"),
    ("curl", ["curl", "--version"], r"^curl \d"),
    ("findutils", ["find", "/nix", "-maxdepth", "1"], "^/nix/store$"),
    ("gawk", ["awk", "BEGIN { print 6 * 7 }"], "^42$"),
    ("git", ["git", "--version"], r"^git version \d"),
    ("gnugrep", ["grep", "--version"], "GNU grep"),
    ("gnused", ["sed", "--version"], "GNU sed"),
    ("nginx", ["nginx", "-v", "-e", "stderr"], "^nginx version: nginx/"),
    ("openssl", ["openssl", "version"], "^OpenSSL 3"),
    ("perl", ["perl", "-MPOSIX", "-MData::Dumper", "-e", "print floor(4.2)"], "^4$"),
    ("postgresql", ["psql", "--version"], r"^psql \(PostgreSQL\) \d"),
    ("python3", ["python3", "-c", "import ssl, sqlite3, zlib; print(ssl.OPENSSL_VERSION)"], "^O"),
    ("python3-flask", ["flask", "--version"], r"^Flask \d"),
    ("redis", ["redis-server", "--version"], "^Redis server v="),
    ("tini", ["tini", "--version"], "^tini version"),
]
FILES = [
    ("cacert", "etc/ssl/certs/ca-bundle.crt", "-----BEGIN CERTIFICATE-----"),
    ("iana-etc", "etc/protocols", "tcp\t6\tTCP"),
    ("iana-etc", "etc/services", "https\t\t443/tcp"),
    ("mailcap", "etc/mime.types", "text/html"),
    ("nginx", "conf/mime.types", "text/html"),
    ("tzdata", "share/zoneinfo/tzdata.zi", "Europe/Berlin"),
]


@pytest.fixture(scope="session")
def distro() -> Path:
    return distro_flake(CACHE)


@pytest.fixture(scope="session")
def packages(distro: Path) -> Mapping[str, Path]:
    """The store path of each package that a test runs, built."""
    names = sorted({row[0] for row in (*PROGRAMS, *FILES)})
    nix("build", "--no-link", "--max-jobs", "auto", *(f"path:{distro}#{name}" for name in names))
    apply = "builtins.mapAttrs (_: p: p.outPath)"
    paths = json.loads(nix("eval", "--json", f"path:{distro}#packages.{SYSTEM}", "--apply", apply))
    return {name: Path(paths[name]) for name in names}


@pytest.fixture(scope="session")
def samples(distro: Path) -> Mapping[str, Path]:
    require("cc", "make")
    return {name: out_path(*sample(distro, name)) for name in SAMPLES}


@pytest.fixture
def root(tmp_path: Path) -> StoreRoot:
    return StoreRoot.make(tmp_path)


@pytest.mark.parametrize(("name", "argv", "says"), PROGRAMS, ids=[row[0] for row in PROGRAMS])
def test_a_program_runs_with_nothing_but_the_store(
    name: str, argv: list[str], says: str, packages: Mapping[str, Path], root: StoreRoot
) -> None:
    done = root.run(packages[name] / "bin" / argv[0], *argv[1:])
    assert done.returncode == 0, done.stderr
    assert re.search(says, done.stdout + done.stderr, re.MULTILINE), done.stdout + done.stderr


@pytest.mark.parametrize(("name", "file", "has"), FILES, ids=[row[1] for row in FILES])
def test_a_file_is_where_nixpkgs_has_it(
    name: str, file: str, has: str, packages: Mapping[str, Path]
) -> None:
    assert has in (packages[name] / file).read_text()


def test_redis_keeps_a_value(packages: Mapping[str, Path], root: StoreRoot) -> None:
    bin_ = packages["redis"] / "bin"
    with root.start(bin_ / "redis-server", "--port", "0", "--unixsocket", "/tmp/s"):
        root.wait_for("tmp/s")
        assert root.run(bin_ / "redis-cli", "-s", "/tmp/s", "set", "k", "v").stdout == "OK\n"
        assert root.run(bin_ / "redis-cli", "-s", "/tmp/s", "get", "k").stdout == "v\n"


def test_nginx_serves_a_page(packages: Mapping[str, Path], root: StoreRoot) -> None:
    (root.path / "tmp/index.html").write_text(PAGE)
    temporary = "".join(
        f"{kind}_temp_path /tmp/{kind};"
        for kind in ("client_body", "fastcgi", "proxy", "scgi", "uwsgi")
    )
    (root.path / "etc/nginx.conf").write_text(
        "daemon off; master_process off; pid /tmp/pid; events {} "
        f"http {{ access_log off; {temporary} include {packages['nginx']}/conf/mime.types; "
        "server { listen unix:/tmp/s; root /tmp; } }"
    )
    with root.start(packages["nginx"] / "bin/nginx", "-e", "stderr", "-c", "/etc/nginx.conf"):
        root.wait_for("tmp/s")
        client = packages["curl"] / "bin/curl"
        assert root.run(client, "-s", "--unix-socket", "/tmp/s", "http://x/").stdout == PAGE


@pytest.mark.parametrize("how", ["--local", "--no-local"], ids=["by links", "by its protocol"])
def test_git_clones_a_local_repository(
    how: str, packages: Mapping[str, Path], root: StoreRoot
) -> None:
    git = packages["git"] / "bin/git"
    who = ("-c", "user.name=n", "-c", "user.email=e")
    for step in (
        ("init", "-q", "/tmp/source"),
        ("-C", "/tmp/source", *who, "commit", "-q", "--allow-empty", "-m", "first"),
        ("clone", "-q", how, "/tmp/source", "/tmp/copy"),
        ("-C", "/tmp/copy", "submodule", "status"),
    ):
        done = root.run(git, *step)
        assert (done.returncode, done.stderr) == (0, "")
    assert root.run(git, "-C", "/tmp/copy", "log", "--format=%s").stdout == "first\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be the user that postgres wants")
def test_postgres_makes_a_cluster_and_answers_a_query(
    packages: Mapping[str, Path], root: StoreRoot
) -> None:
    bin_ = packages["postgresql"] / "bin"
    # initdb starts its parts by popen(3), for which the C library wants a shell there.
    (root.path / "bin").mkdir()
    (root.path / "bin/sh").symlink_to(packages["bash"] / "bin/sh")
    made = root.run(bin_ / "initdb", "-D", "/tmp/d", "--no-sync", user=NOBODY)
    assert made.returncode == 0, made.stderr
    query = "select sum(n) as total from generate_series(1, 9) n"
    done = root.run(
        bin_ / "postgres", "--single", "-D", "/tmp/d", "postgres", user=NOBODY, stdin=query
    )
    assert 'total = "45"' in done.stdout, done.stdout + done.stderr


def test_flask_can_be_imported_by_an_interpreter_that_was_made_with_it(
    distro: Path, root: StoreRoot
) -> None:
    expression = f"(import {distro} {{}}).python3.withPackages (ps: [ ps.flask ])"
    environment = run("nix-build", "--no-out-link", "-E", expression).stdout.strip()
    code = "import flask, sys; print(sys.prefix, flask.__file__.removeprefix(sys.prefix))"
    prefix, module = root.run(f"{environment}/bin/python3", "-c", code).stdout.split()
    assert prefix == environment
    assert re.fullmatch(r"/lib/python3\.\d+/site-packages/flask/__init__\.py", module)


def test_running_python_as_root_leaves_the_store_as_it_was(
    packages: Mapping[str, Path], root: StoreRoot
) -> None:
    assert root.run(packages["python3-flask"] / "bin/flask", "--version").returncode == 0
    closure = run("nix-store", "--query", "--requisites", packages["python3-flask"]).stdout.split()
    nix("store", "verify", "--no-trust", *closure)


@pytest.mark.parametrize("name", ["busybox", "gawk", "git", "python3-click"])
def test_building_again_gives_the_same_bytes(
    name: str, distro: Path, packages: Mapping[str, Path]
) -> None:
    assert packages  # --rebuild wants a result to compare with
    nix("build", "--no-link", f"path:{distro}#{name}")
    nix("build", "--no-link", "--rebuild", f"path:{distro}#{name}")


def test_a_package_has_the_names_of_both_worlds_and_the_meta_of_the_one(distro: Path) -> None:
    facts = "p: { inherit (p.redis) pname version meta; path = p.redis.outPath; "
    facts += "debian = p.redis-server.outPath; }"
    installable = f"path:{distro}#legacyPackages.{SYSTEM}"
    done = run("nix", "eval", "--json", installable, "--apply", facts)
    redis = json.loads(done.stdout)
    assert "warning" not in done.stderr
    assert redis["pname"] == "redis"
    assert redis["path"].endswith(f"-redis-{redis['version']}")
    assert redis["path"] == redis["debian"]
    assert redis["meta"]["mainProgram"] == "redis-cli"
    assert redis["meta"]["homepage"] == "https://redis.io/"
    assert "key-value" in redis["meta"]["description"]


def snapshot(directory: Path) -> dict[Path, tuple[int, bytes]]:
    files = (file for file in directory.rglob("*") if file.is_file())
    return {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in files}


def test_making_the_flake_again_changes_no_file(distro: Path) -> None:
    before = snapshot(distro)
    assert run(MAKE, distro).returncode == 0
    assert snapshot(distro) == before


def test_a_missing_tool_is_named_with_the_package_that_has_it(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "bash", "apt-get", "apt-cache", "dpkg-deb", "nix-store"):
        (tools / name).symlink_to(shutil.which(name) or "/nonexistent")
    done = subprocess.run(
        [MAKE, tmp_path / "distro"],
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (
        1,
        "error: cannot make a flake: no 'patchelf' on PATH\nhint: apt-get install patchelf\n",
    )
    assert not (tmp_path / "distro").exists()


def test_the_c_sample_greets_with_its_arguments_and_user(
    samples: Mapping[str, Path], root: StoreRoot
) -> None:
    hello = samples["hello-c"] / "bin/hello"
    said = root.run(hello, "a", "b c").stdout
    assert said == f"hello from nix\nargv[0]={hello}\nargv[1]=a\nargv[2]=b c\nuid=0 gid=0\n"


def test_the_python_sample_serves_a_page_and_its_health(
    samples: Mapping[str, Path], packages: Mapping[str, Path], root: StoreRoot
) -> None:
    curl = (packages["curl"] / "bin/curl", "-s", "--unix-socket", "/tmp/s")
    web = (
        packages["coreutils"] / "bin/env",
        "HOST=unix:///tmp/s",
        samples["web-python"] / "bin/web",
    )
    with root.start(*web):
        root.wait_for("tmp/s")
        assert "<h1>hello from flask</h1>" in root.run(*curl, "http://x/").stdout
        assert json.loads(root.run(*curl, "http://x/healthz").stdout) == {"status": "ok"}


def test_the_server_sample_starts_with_its_configuration(
    samples: Mapping[str, Path], packages: Mapping[str, Path], root: StoreRoot
) -> None:
    server = samples["server-config"] / "bin/redis-cache"
    client = (packages["redis"] / "bin/redis-cli", "-s", "/tmp/s")
    with root.start(server, "--port", "0", "--unixsocket", "/tmp/s"):
        root.wait_for("tmp/s")
        said = root.run(*client, "config", "get", "maxmemory-policy").stdout
        assert said == "maxmemory-policy\nallkeys-lru\n"


def test_the_tools_sample_has_several_programs_and_no_main_one(
    distro: Path, samples: Mapping[str, Path], root: StoreRoot
) -> None:
    programs = samples["tools"] / "bin"
    assert sorted(os.listdir(programs)) == ["lower", "rot13", "upper"]
    assert root.run(programs / "rot13", stdin="Hello\n").stdout == "Uryyb\n"
    meta = json.loads(nix("eval", "--json", *sample(distro, "tools", "default.meta")))
    assert "mainProgram" not in meta


def test_the_default_app_of_the_sample_prints_its_page(distro: Path) -> None:
    assert "<h1>hello from an app</h1>\n" in nix("run", *sample(distro, "app"))


def test_the_serving_app_of_the_sample_listens_and_ends_when_told(distro: Path) -> None:
    command = ["nix", "run", *sample(distro, "app", "serve")]
    environment = {**os.environ, "PORT": "0"}  # noqa: TID251
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith("listening on port")
        running.terminate()
    assert running.returncode == 0


def test_the_metadata_sample_says_all_about_itself(
    distro: Path, samples: Mapping[str, Path], root: StoreRoot
) -> None:
    meta = json.loads(nix("eval", "--json", *sample(distro, "metadata", "default.meta")))
    assert meta["mainProgram"] == "motto"
    assert meta["license"]["spdxId"] == "MIT"
    assert meta["homepage"] == "https://example.org/motto"
    said = root.run(samples["metadata"] / "bin/motto").stdout
    assert said == "the same inputs give the same bytes (motto 2.3.1)\n"
    outputs = json.loads(nix("eval", "--json", *sample(distro, "metadata", "default.outputs")))
    assert outputs == ["out", "dev"]


def test_no_sample_leaves_a_lock_file(samples: Mapping[str, Path]) -> None:
    assert samples
    assert not list(FLAKES.rglob("flake.lock"))


# What nixpkgs' own tests of makeWrapper expect: options, VAR before, what the program sees.
WRAPPERS = [
    pytest.param(["--set", "VAR", "abc"], None, "abc", id="set when unset"),
    pytest.param(["--set", "VAR", "abc"], "foo", "abc", id="set over a value"),
    pytest.param(["--set-default", "VAR", "abc"], "foo", "foo", id="a default gives way"),
    pytest.param(["--set-default", "VAR", "abc"], None, "abc", id="a default when unset"),
    pytest.param(["--unset", "VAR"], "foo", "unset", id="unset"),
    pytest.param(["--run", "export VAR=foo", "--set", "VAR", "bar"], None, "bar", id="in order"),
    pytest.param(["--prefix", "VAR", ":", "abc"], "foo", "abc:foo", id="prefix"),
    pytest.param(["--prefix", "VAR", ":", "abc"], "foo:abc", "abc:foo", id="prefix once only"),
    pytest.param(["--prefix", "VAR", ":", "a:b:b"], "a:b:c", "a:b:c", id="several"),
    pytest.param(["--prefix", "VAR", ":", "./*"], "f?oo", "./*:f?oo", id="no globbing"),
    pytest.param(["--suffix", "VAR", ":", "abc"], None, "abc", id="suffix when unset"),
    pytest.param(["--suffix", "VAR", ":", "abc"], "abc:foo", "abc:foo", id="suffix stays in place"),
    pytest.param(["--suffix-each", "VAR", ":", "a b:c"], "x", "x:a:b:c", id="suffix each"),
    pytest.param(["--prefix-each", "VAR", ":", "a b:c"], "x", "b:c:a:x", id="prefix each"),
    pytest.param(["--set", "VAR", "a'b $(c) \n\"d\""], None, "a'b $(c) \n\"d\"", id="quotes"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "before", "after"), WRAPPERS)
def test_a_wrapper_does_to_a_variable_what_nixpkgs_does(
    options: list[str], before: str | None, after: str, tmp_path: Path
) -> None:
    target, wrapper = tmp_path / "target", tmp_path / "wrapper"
    target.write_text('#!/bin/sh\nprintf %s "${VAR-unset}"\n')
    target.chmod(0o755)
    source = FLAKES / "distro/nix/builders/make-wrapper.sh"
    bash = shutil.which("bash") or "bash"
    subprocess.run(
        [
            bash,
            "-euc",
            f'runtimeShell={bash}; . "$0"; makeWrapper "$@"',
            source,
            target,
            wrapper,
            *options,
        ],
        check=True,
    )
    environment = {} if before is None else {"VAR": before}
    done = subprocess.run([wrapper], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == after
