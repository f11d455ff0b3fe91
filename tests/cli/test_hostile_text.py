"""Nothing that others wrote gives orders to a terminal: it is shown escaped, wherever it is said.

That is what images, files, arguments, Nix, registries and engines say. Every command runs on one
image, one registry and one flake whose every text is hostile; the bytes that it writes are looked
at, on pipes and on a terminal.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from support.fakeengine import FakeEngine
from support.fakenix import OUT, value
from support.fakeregistry import FakeRegistry, answer
from support.fakeserver import running
from support.fakestore import Node, Program, nar, sri, store_path, write
from support.smallimage import STORE_ENTRIES, STORE_PATH, Json, Layer, SmallImage, entry, tar
from support.terminal import Terminal, on_pty

from nix2oci.cli.help import COMMANDS as ALL_COMMANDS

ORDERS = "\x1b]0;PWN\x07\x1b[2J\x9b31m\r\x7f\u202e\u2066\nfake: line"
"""A title for the window, a cleared screen, a colour, a line over the line, text from right to
left, and a line that looks like one of ours."""

BY_NAME = STORE_PATH[1:] + "/lib/" + ORDERS
"""A file whose name is hostile."""

IN_A_LINE = "PWN " + ORDERS.replace("\n", "")
"""For who speaks in lines: a new line of Nix is one of Nix, which shows no orders."""

SURROGATE = "\ud800"
"""Half of a character, as JSON can have it."""

STYLES = re.compile(rb"\x1b\[[0-9]{1,2}m")
"""What we send to a terminal: colours and weights, one at a time."""

BARS = re.compile(rb"\x1b\[\?25[lh]|\x1b\[[12][AK]|\r")
"""What rich sends for a bar that is drawn again: the cursor hidden, one line up, a line erased."""


def hostile(root: Path) -> Path:
    """An image whose every text is hostile."""
    files = entry(BY_NAME), entry(f"b{ORDERS}", STORE_PATH.encode())
    layer = Layer(tar(*STORE_ENTRIES, *files))
    return SmallImage(layers=(layer,), config=_config, manifest=_manifest, index=_index).write(root)


def _config(config: Json) -> None:
    config["created"] = f"2020{ORDERS}"
    config["architecture"] = f"amd64{ORDERS}"
    config["author"] = ORDERS
    config["config"] = {
        "Entrypoint": ["/bin/app", ORDERS],
        "Cmd": [ORDERS],
        "Env": [f"A={ORDERS}", f"B={ORDERS}"],
        "User": ORDERS,
        "WorkingDir": f"/{ORDERS}",
        "ExposedPorts": {f"80{ORDERS}": {}},
        "Volumes": {f"/v{ORDERS}": {}},
        "Labels": {f"l{ORDERS}": ORDERS},
        "Healthcheck": {"Test": ["CMD", ORDERS, ORDERS]},
    }


def _manifest(manifest: Json) -> None:
    manifest["annotations"] = {f"a{ORDERS}": ORDERS, "nix2oci.popularity": ORDERS}


def _half_a_character(manifest: Json) -> None:
    manifest["annotations"] = {"a": ORDERS + SURROGATE}


def _index(index: Json) -> None:
    index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] = f"1{ORDERS}"
    index["manifests"][0]["platform"] = {"os": "linux", "architecture": f"amd64{ORDERS}"}


BASH = str(store_path("bash-5.2"))
BASH_ELF = b"\x7fELF\x02\x01\0/no-such-path\0@(#)Bash version 5.2.15(1) release GNU\0"
NAME = os.fsencode(ORDERS).replace(b"/", b"")
WRAPPER = f'#! {BASH}/bin/bash -e\nexport A=\'{ORDERS}\'\nexec "{OUT}/bin/real"  "$@" \n'.encode()
APP: Node = {
    b"bin": {
        b"app": Program(WRAPPER),
        b"real": Program(b"\x7fELF\x02\x01 a program"),
        NAME: Program(f"#! {BASH}/bin/bash\nmkdir {ORDERS}\n".encode()),
    },
    b"share": {NAME: f"{BASH} {ORDERS}".encode()},
}


def hostile_flake(terminal: Terminal) -> None:
    """Its metadata, its files and what Nix says of it."""
    infos = {}
    for path, node, references in (
        (OUT, APP, [BASH]),
        (BASH, {b"bin": {b"bash": Program(BASH_ELF)}}, []),
    ):
        place = terminal.fake.root / path[1:]
        if path == OUT:
            (place / "bin/app").unlink()
            (place / "bin").rmdir()
            place.rmdir()
        write(os.fsencode(place), node)
        infos[path] = {"narHash": sri(node), "narSize": len(nar(node)), "references": references}
    fake = terminal.fake
    fake.rules.clear()
    error = f"trace: {IN_A_LINE}\nwarning: {IN_A_LINE}\nerror: {IN_A_LINE}\n"
    fake.answer(".#broken", stderr=error, code=1)
    fake.answer(".#names", json.dumps({"kind": "set", "names": [ORDERS, SURROGATE]}))
    fake.answer("path-info", json.dumps(infos), stderr=f"copying {IN_A_LINE}\n")
    texts = {"description": ORDERS, "homepages": [ORDERS], "licenses": [ORDERS], "version": ORDERS}
    fake.answer("flakes eval --json", value(**texts, mainProgram="app"), stderr=error)
    resolved = {"type": "git", "url": f"https://example.com/{ORDERS}"}
    fake.answer("flake metadata", json.dumps({"resolved": resolved, "revision": f"abc{ORDERS}"}))
    fake.nix()


def hostile_registry(registry: FakeRegistry) -> FakeRegistry:
    """What it says in bodies and headers; a header cannot have a line end."""
    header = ORDERS.replace("\n", "").replace("\r", "").encode().decode("latin-1")
    body = {"errors": [{"code": ORDERS, "message": ORDERS}]}
    said = json.dumps(body).encode()
    registry.script(
        "GET|HEAD|POST", "/broken/", answer(400, said, Warning=f'299 - "{header}"'), always=True
    )
    registry.script("GET|POST", "/plain/", answer(403, ORDERS.encode()), always=True)
    digest = {"Docker-Content-Digest": f"sha256:{header}"}
    registry.script("GET|HEAD", "/digest/", answer(200, b"{}", **digest), always=True)
    return registry


@pytest.fixture(scope="module")
def registry() -> Iterator[FakeRegistry]:
    with running(hostile_registry(FakeRegistry())) as found:
        yield found


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """Where all commands run; none of them changes what another one reads."""
    made = Terminal.make(tmp_path_factory.mktemp("hostile"))
    hostile_flake(made)
    engine = FakeEngine(made.fake.directory)
    engine.answer("load", stdout=f"Loaded {ORDERS}\n", stderr=f"Error: {ORDERS}\n", code=1)
    hostile(made.directory / "hostile")
    SmallImage(manifest=_half_a_character).write(made.directory / "surrogate")
    SmallImage().write(made.directory / "plain")
    real = made.directory / "real"
    shutil.copy("/bin/true", real)
    here = WRAPPER.replace(f"{OUT}/bin/real".encode(), os.fsencode(real))
    for name, text in {"wrapper": here, "refused": here.replace(b"export", b"mkdir")}.items():
        (made.directory / name).write_bytes(text)
        (made.directory / name).chmod(0o755)
    (made.directory / "bad.yaml").write_text(f"env: {json.dumps({ORDERS: [ORDERS]})}\n")
    (made.directory / "key.yaml").write_text(f"{json.dumps(ORDERS)}: 1\n")
    mentions = {"image": "nix2oci://.#broken", "note": f"see nix2oci://{ORDERS}", ORDERS: ORDERS}
    (made.directory / "mentions.yaml").write_text(json.dumps(mentions))
    turned = {"image": f"nix2oci://#{ORDERS}", "other": f"nix2oci://.#{ORDERS}"}
    (made.directory / "turned.yaml").write_text(json.dumps(turned))
    (made.directory / "named.yaml").write_text(json.dumps({"images": {ORDERS: {}}}))
    several = {"a": {"installable": ".#app", ORDERS: 1}, "b": {"installable": ORDERS}}
    (made.directory / "several.yaml").write_text(json.dumps({"images": several}))
    (made.directory / "bad.json").write_text(json.dumps({f"/nix/store/{ORDERS}": {}}))
    return made


COMMANDS = [
    *(("inspect", "hostile", *more) for more in ((), ("-v",), ("--json",), ("-vvv",))),
    *(("validate", "hostile", *more) for more in ((), ("-v",), ("--json",))),
    *(("diff", "plain", "hostile", *more) for more in ((), ("-v",), ("--json",))),
    *(("why", "hostile", "app", *more) for more in ((), ("-v",), ("--json",))),
    *((command, "surrogate") for command in ("inspect", "validate")),
    *(("sbom", "hostile", "--format", each) for each in ("cyclonedx", "spdx")),
    *(("popularity", "--image", "hostile", *more) for more in ((), ("-o", "/dev/null"))),
    *(("index", "hostile", "-o", "joined", "--tag", "x:1", *more) for more in ((), ("--json",))),
    *(("ls", "hostile", *more) for more in ((), ("--json",), (f"/b{ORDERS}",), (ORDERS,))),
    ("cat", "hostile", ORDERS),
    ("export", "hostile", "-o", f"absent/{ORDERS}"),
    ("help", ORDERS),
    *(("resolve", "-f", name, "--push", "REGISTRY/broken") for name in ("mentions.yaml", ORDERS)),
    *(("resolve", "-f", f"{name}.yaml", "--push", "REGISTRY/broken") for name in ("bad", "turned")),
    *(("build", "--all", "--config", f"{name}.yaml", "-o", "o5") for name in ("named", "several")),
    *(("init", name) for name in (f"no{ORDERS}", f".#{ORDERS}")),
    ("index", "hostile", "plain", "--tag", "x:1", "-o", f"no/{IN_A_LINE}"),
    *(("cache", "show", *more) for more in ((), ("--json",))),
    ("cache", ORDERS),
    ("completion", "bash"),
    ("completion", ORDERS),
    *(("wrapper", name, *more) for name in ("wrapper", "refused") for more in ((), ("--json",))),
    ("wrapper", f"no{ORDERS}"),
    ("wrapper", "wrapper", "-o", f"no/{ORDERS}"),
    *(("plan", ".#app", *more) for more in ((), ("-v",), ("--json",), ("--html", "page"))),
    ("plan", "--closure", "bad.json"),
    ("plan", "--closure", f"{ORDERS}.json"),
    *(("why", ".#app", "bash", *more) for more in ((), ("-v",), ("--json",))),
    *(("diff", "hostile", ".#app", *more) for more in ((), ("-v",), ("--json",))),
    *(("build", ".#app", "-o", "out", *more) for more in ((), ("-v",), ("-vvv",), ("--json",))),
    *(("build", ".#app", "-o", "out2", "--shell", mode) for mode in ("drop", "forbid")),
    *(("build", f".#{name}", "-o", "out3", "-vv") for name in ("broken", "names")),
    *(("build", ".#app", "--config", f"{name}.yaml") for name in ("bad", "key")),
    ("build", ".#app", "--entrypoint", ORDERS),
    ("build", ".#app", "--base", "hostile", "-v", "-o", "out4"),
    ("build", ".#app", "--load", "docker", "-v"),
    ("build", ".#app", "--name", ORDERS),
    ("build", f"--{ORDERS}"),
    (ORDERS,),
    ("inspect", "hostile:no"),
    ("inspect", "hostile", "--platform", "linux/s390x"),
    ("inspect", "hostile", "-vv", "--platform", "a/b"),
    ("inspect", f"no{ORDERS}"),
    ("why", "plain", ORDERS),
    ("push", "hostile", ORDERS),
    ("push", f"no{ORDERS}", "localhost:1/x"),
    *(("push", "plain", f"REGISTRY/{name}/x:1", "-vvv") for name in ("broken", "plain", "digest")),
    *(("inspect", f"REGISTRY/{name}/x:1", "-vvv") for name in ("broken", "plain", "digest")),
    ("push", "hostile", "REGISTRY/team/x:1", "--json"),
    *(("pull", f"REGISTRY/{name}/x:1", "-o", "pulled", "-vvv") for name in ("broken", "plain")),
    ("pull", f"no{ORDERS}", "-o", "pulled"),
    ("verify", "hostile", "--key", f"no{ORDERS}"),
    *(("attach", f"no{ORDERS}", f"REGISTRY/{name}/x:1") for name in ("broken", "plain")),
    ("sign", f"no{ORDERS}", "--sign-key", "key"),
    ("sign", f"localhost:1/x@sha256:{64 * '0'}", "--sign-key", f"no{ORDERS}"),
]
"""All commands, on what is hostile: with -v and --json, and as errors."""


SILENT = frozenset(
    {"completion bash", "inspect surrogate", "validate surrogate"}
    | {"push hostile REGISTRY/team/x:1 --json"}
    | {f"push plain REGISTRY/{name}/x:1 -vvv" for name in ("broken", "digest")}
    | {"popularity --image hostile", "popularity --image hostile -o /dev/null"}
)
"""Commands that have nothing to say of what is hostile."""


def named(args: Sequence[str]) -> str:
    return " ".join(args).replace(ORDERS, "HOSTILE").replace(IN_A_LINE, "HOSTILE")


def test_every_command_is_among_them() -> None:
    assert {args[0] for args in COMMANDS} >= set(ALL_COMMANDS)


@pytest.mark.parametrize("args", COMMANDS, ids=named)
def test_a_pipe_gets_no_control_characters(
    args: Sequence[str], terminal: Terminal, registry: FakeRegistry
) -> None:
    done = _piped(terminal, _with(args, registry))
    printed = (done.stdout + done.stderr).decode()
    assert done.returncode != 70, printed
    assert "PWN" in printed or named(args) in SILENT
    check(printed)


@pytest.mark.parametrize("args", COMMANDS, ids=named)
def test_a_terminal_gets_no_orders_but_ours(
    args: Sequence[str], terminal: Terminal, registry: FakeRegistry
) -> None:
    seen = on_terminal(terminal, _with(args, registry)).replace(b"\r\n", b"\n")
    check(BARS.sub(b"", STYLES.sub(b"", seen)).decode())


def check(printed: str) -> None:
    assert printed.strip()
    assert [c for c in printed if not c.isprintable() and c != "\n"] == []
    assert "\nfake: line" not in printed


def _with(args: Sequence[str], registry: FakeRegistry) -> list[str]:
    plain = ["--plain-http"] if any("REGISTRY" in arg for arg in args) else []
    return [*(arg.replace("REGISTRY", registry.registry) for arg in args), *plain]


def test_nothing_is_drawn_on_a_dumb_terminal(terminal: Terminal) -> None:
    argv, env = terminal.argv("inspect", "hostile"), terminal.env(TERM="dumb")
    assert b"\x1b" not in on_pty(argv, env, terminal.directory)


def test_an_archive_is_not_written_to_a_terminal(terminal: Terminal) -> None:
    assert b"cannot write an image to a terminal" in on_terminal(terminal, ["build", "-o", "-"])


def test_a_bar_on_a_terminal_takes_its_text_as_it_is() -> None:
    """Neither orders, nor markup of rich, nor fields of a format string."""
    code = (
        "from nix2oci.cli.render.console import Bars\n"
        f"with Bars().bytes('[red]x{{y}}' + {ORDERS!r}, 9) as counter:\n"
        f"    counter(1 << 30)\n    counter.step({ORDERS!r})\n"
    )
    seen = on_pty((sys.executable, "-c", code), {"TERM": "xterm"})
    assert b"[red]x{y}" in seen
    assert b"\x1b]0;" not in seen
    assert b"\x1b[2J" not in seen
    assert "\u202e".encode() not in seen


def test_json_has_every_text_as_it_is(terminal: Terminal) -> None:
    done = _piped(terminal, ("inspect", "hostile", "--json"))
    assert done.returncode == 0
    assert rb"\u001b]0;PWN\u0007" in done.stdout
    assert b"\x1b" not in done.stdout


def _piped(terminal: Terminal, args: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        terminal.argv(*args),
        cwd=terminal.directory,
        env=_env(terminal),
        capture_output=True,
        check=False,
        timeout=60,
    )


def on_terminal(terminal: Terminal, args: Sequence[str]) -> bytes:
    return on_pty(terminal.argv(*args), {**_env(terminal), "TERM": "xterm"}, terminal.directory)


def _env(terminal: Terminal) -> Mapping[str, str]:
    return terminal.env(XDG_CACHE_HOME=f"{terminal.directory}/cache{ORDERS}")
