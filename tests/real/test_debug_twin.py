"""The debug twin: every layer of the image and one more, whose tools work in every engine."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from real.distro import out_path, sample
from real.engines import ClientContainer, ClientEngine, Engine, Job, Runc, output, read_blob
from real.images import NIX2OCI, nix2oci
from support.tools import require
from support.treedump import treedump

from nix2oci.plan.debug_layer import applet_names

pytestmark = pytest.mark.nix

# A shell that is linked dynamically and goes by the name of busybox, and a program beside it:
# what twins need that are not made of one static file.
DYNAMIC = """
{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
  outputs = { self, nixpkgs }:
    let pkgs = nixpkgs.legacyPackages.SYSTEM; in
    {
      packages.SYSTEM.default = pkgs.runCommand "dynamic" { } ''
        mkdir -p $out/bin $out/sbin
        cp ${pkgs.bash}/bin/bash $out/bin/busybox
        ln -s ../bin/busybox $out/sbin/sh
        ln -s ${pkgs.gnugrep}/bin/grep $out/bin/grep
      '';
    };
}
"""

SERVE = """\
cd /tmp && echo 'a page' > page && httpd -p 127.0.0.1:8080 -h /tmp && \
wget -q -O - http://127.0.0.1:8080/page && ps -o pid,args && id -u && echo "$PATH" && ls /
"""


@dataclass(frozen=True)
class Twins:
    """Images with their twins, as layout and archive, each built once."""

    distro: Path
    directory: Path
    printed: dict[str, Any] = field(default_factory=dict)

    def options(self, name: str) -> tuple[str, ...]:
        if name == "redis":
            return (f"path:{self.distro}#redis",)
        main = sample(self.distro, "hello-c")
        if name == "hello":
            return main
        flake = self.directory / "flake"
        if not flake.exists():
            flake.mkdir()
            system = output("nix", "eval", "--raw", "--impure", "--expr", "builtins.currentSystem")
            (flake / "flake.nix").write_text(DYNAMIC.replace("SYSTEM", system))
        tools = out_path(f"path:{flake}", *sample(self.distro, "hello-c")[1:])
        return (*main, "--debug-tools", str(tools))

    def build(self, name: str, form: str) -> Path:
        path = self.directory / f"{name}.{form}"
        if not path.exists():
            tag = ("--tag", f"nix2oci.test/twin-{name}:1")
            more = ("--format", form, "-o", path, "--json")
            self.printed[f"{name}.{form}"] = json.loads(
                nix2oci("build", *self.options(name), "--debug", *tag, *more)
            )
        return path

    def layout(self, name: str) -> Path:
        return self.build(name, "oci")

    def archive(self, name: str) -> Path:
        return self.build(name, "archive")

    def document(self, name: str) -> Any:
        """What `build --json` printed."""
        self.layout(name)
        return self.printed[f"{name}.oci"]


@pytest.fixture(scope="session")
def twins(distro: Path, scratch: Path) -> Twins:
    directory = scratch / "twins"
    directory.mkdir()
    return Twins(distro, directory)


def read(layout: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Manifest and configuration of the image, then of its twin."""
    index = json.loads((layout / "index.json").read_bytes())
    tags = [m["annotations"]["org.opencontainers.image.ref.name"] for m in index["manifests"]]
    assert tags == ["1", "1-debug"]
    plain, twin = (read_blob(layout, manifest) for manifest in index["manifests"])
    return plain, read_blob(layout, plain["config"]), twin, read_blob(layout, twin["config"])


def listing(layout: Path, layer: dict[str, Any]) -> list[str]:
    return list(treedump(layout / "blobs" / layer["digest"].replace(":", "/")))


# --- what the twin is --------------------------------------------------------------------------


def test_the_layers_are_those_of_the_image_and_one_more(twins: Twins) -> None:
    layout = twins.layout("hello")
    plain, config, twin, twin_config = read(layout)
    assert twin["layers"][:-1] == plain["layers"]
    assert len(twin["layers"]) == len(plain["layers"]) + 1
    assert twin_config["rootfs"]["diff_ids"][:-1] == config["rootfs"]["diff_ids"]
    assert twin_config["history"][:-1] == config["history"]
    assert re.fullmatch(
        r"debug tools: /busybox, of busybox-[\d.]+", twin_config["history"][-1]["comment"]
    )


def test_all_but_path_is_as_in_the_image(twins: Twins) -> None:
    plain, config, twin, twin_config = read(twins.layout("hello"))
    assert twin["annotations"] == plain["annotations"]
    env = [f"{v}:/busybox" if v.startswith("PATH=") else v for v in config["config"]["Env"]]
    assert twin_config["config"] == {**config["config"], "Env": env}
    assert twin_config["created"] == config["created"]


def test_the_layer_has_busybox_and_its_applets_and_no_more(twins: Twins) -> None:
    layout = twins.layout("hello")
    lines = listing(layout, read(layout)[2]["layers"][-1])
    paths = [re.split(r" +", line) for line in lines]
    assert any("busybox/sh -> busybox" in line for line in lines), lines[:5]
    assert sum(" -> busybox" in line for line in lines) > 200
    assert all(any(word.startswith("busybox") for word in words) for words in paths), lines
    assert not any("bin/" in line for line in lines)


def test_the_plain_image_is_the_same_without_its_twin(twins: Twins, tmp_path: Path) -> None:
    printed = nix2oci("build", *twins.options("hello"), "-o", tmp_path / "x", "--json")
    alone, beside = json.loads(printed), twins.document("hello")
    assert [layer["digest"] for layer in alone["layers"]] == [
        layer["digest"] for layer in beside["layers"]
    ]
    assert alone["image_id"] == beside["image_id"]
    assert alone["digest"] == beside["digest"]
    assert alone["debug"] is None
    text = "\n".join(line for layer in alone["layers"] for line in listing(tmp_path / "x", layer))
    assert "hello" in text
    assert "busybox" not in text


def test_both_are_valid_and_other_tools_read_both(twins: Twins, tmp_path: Path) -> None:
    require("skopeo", "umoci")
    layout, archive = twins.layout("hello"), twins.archive("hello")
    for path in (layout, archive):
        assert nix2oci("validate", path).endswith(" is valid: 0 errors, 0 warnings")
    digests: dict[str, set[str]] = {}
    for tag in ("1", "1-debug"):
        for place in (f"oci:{layout}:{tag}", f"oci-archive:{archive}:{tag}"):
            said = json.loads(output("skopeo", "inspect", place))
            digests.setdefault(tag, set()).add(said["Digest"])
        bundle = tmp_path / tag
        output("umoci", "unpack", "--rootless", "--image", f"{layout}:{tag}", bundle)
        assert (bundle / "rootfs/busybox/busybox").exists() == (tag == "1-debug")
        assert not (bundle / "rootfs/bin/sh").exists()
    document = twins.document("hello")
    assert digests == {"1": {document["digest"]}, "1-debug": {document["debug"]["digest"]}}


def test_what_is_printed_is_the_image_and_the_twin_is_told_of(twins: Twins, tmp_path: Path) -> None:
    argv = [NIX2OCI, "build", *twins.options("hello"), "--debug", "-o", f"{tmp_path}/x.oci"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout == f"oci:{tmp_path}/x.oci:latest\n"
    told = rf"nix2oci: debug twin: oci:{tmp_path}/x\.oci:latest-debug, [\d.]+ MB of tools from busy"
    assert re.search(told, done.stderr), done.stderr
    assert "does not match any input" not in done.stderr


def test_names_of_applets_in_the_bytes_are_those_of_the_links(distro: Path) -> None:
    """Debian's package of busybox is one file; `distro` makes links of what it says of itself."""
    directory = out_path(f"path:{distro}#busybox") / "bin"
    found = applet_names((directory / "busybox").read_bytes())
    assert {name.decode() for name in found} == {path.name for path in directory.iterdir()}
    assert len(found) > 200


# --- the tools work ------------------------------------------------------------------------------


def loaded(engine: Engine, twins: Twins, name: str) -> tuple[str, str]:
    plain, twin = engine.load_all(twins.archive(name))
    assert plain.endswith(f"nix2oci.test/twin-{name}:1")
    assert twin == f"{plain}-debug"
    return plain, twin


def test_the_tools_work_in_an_image_that_has_nothing_else(engine: Engine, twins: Twins) -> None:
    plain, twin = loaded(engine, twins, "hello")
    done = engine.run(Job(twin, ("-c", SERVE), entrypoint="/busybox/sh"))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "a page"
    assert any(re.fullmatch(r" *1 .*sh -c cd .*", line) for line in lines), lines
    at = lines.index("65532")
    assert lines[at + 1].endswith(":/bin:/busybox")
    assert {"bin", "busybox", "nix", "usr"} <= set(lines[at + 2 :])
    started = [engine.run(Job(image)) for image in (plain, twin)]
    assert started[0].returncode == 0
    assert started[0].stdout == started[1].stdout != ""


def test_neither_has_a_shell_where_programs_look_for_one(engine: Engine, twins: Twins) -> None:
    plain, twin = loaded(engine, twins, "hello")
    for image, shell in ((plain, "/bin/sh"), (twin, "/bin/sh"), (plain, "/busybox/sh")):
        done = engine.run(Job(image, ("-c", "true"), entrypoint=shell))
        assert done.returncode in (1, 127), image
        assert "no such file or directory" in done.stderr


def test_a_server_is_looked_at_while_it_runs(engine: Engine, twins: Twins) -> None:
    _, twin = loaded(engine, twins, "redis")
    arguments = ("--port", "7777", "--dir", "/tmp")
    with engine.start(Job(twin, arguments, entrypoint="/usr/bin/redis-server")) as container:
        processes = container.exec("/busybox/ps", "-o", "pid,comm")
        assert re.search(r"^ *1 redis-server$", processes.stdout, re.MULTILINE), processes
        listening = container.exec("/busybox/netstat", "-ltn")
        assert ":7777 " in listening.stdout, listening
        program = container.exec("/busybox/readlink", "/proc/1/exe").stdout
        assert re.search(r"^/nix/store/\w{32}-redis-[\d.]+/bin/redis-", program), program


@pytest.mark.parametrize("name", ["podman", "docker"])
@pytest.mark.parametrize(
    "rights",
    [
        pytest.param(("--user=0", "--cap-add=SYS_PTRACE"), id="root that may trace"),
        pytest.param(("--user=65532",), id="the user of the program"),
    ],
)
def test_tools_beside_a_container_see_its_processes_network_and_files(
    rights: tuple[str, ...], name: str, request: pytest.FixtureRequest, twins: Twins
) -> None:
    engine: ClientEngine = request.getfixturevalue(f"{name}_engine")
    plain, twin = loaded(engine, twins, "redis")
    server = Job(plain, ("--port", "7777", "--dir", "/tmp"), entrypoint="/usr/bin/redis-server")
    look = "readlink /proc/1/exe; netstat -ltn; readlink /proc/1/root/bin/redis-server"
    with engine.start(server) as container:
        assert isinstance(container, ClientContainer)
        there = (f"--pid=container:{container.id}", f"--network=container:{container.id}")
        argv = (*engine.client, "run", "--rm", *engine.limits, *there, *rights)
        said = output(*argv, "--entrypoint=/busybox/sh", twin, "-c", look)
    program = r"/nix/store/\w{32}-redis-[\d.]+/bin/redis-"
    assert re.match(program, said)
    assert ":7777 " in said
    assert re.search(rf"^{program}server$", said, re.MULTILINE), said


def test_dynamic_tools_bring_their_libraries(engine: Engine, twins: Twins) -> None:
    _, twin = loaded(engine, twins, "dynamic")
    line = 'echo "$BASH_VERSION"; grep -c ^root /etc/passwd'
    done = engine.run(Job(twin, ("-c", line), entrypoint="/busybox/sh"))
    assert re.fullmatch(r"5\.\S+\n1\n", done.stdout), done


def test_the_layer_of_dynamic_tools_has_what_the_image_lacks(twins: Twins) -> None:
    layout = twins.layout("dynamic")
    document = twins.document("dynamic")
    in_image = {path for layer in document["layers"] for path in layer["paths"]}
    added = document["debug"]["layer"]["paths"]
    assert in_image.isdisjoint(added)
    names = [re.sub(r"^/nix/store/\w{32}-|-[\d.]+(-.*)?$", "", path) for path in added]
    assert {"gnugrep", "libtinfo6"} <= set(names)
    assert not {"glibc", "dynamic"} & set(names), names
    lines = listing(layout, read(layout)[2]["layers"][-1])
    assert any("busybox/grep -> /nix/store/" in line for line in lines)
    assert f"{layout}:1-debug is valid: 0 errors" in nix2oci("validate", f"{layout}:1-debug")


def test_unpacked_busybox_is_a_file_that_all_may_run(twins: Twins, runc_engine: Runc) -> None:
    _, twin = loaded(runc_engine, twins, "hello")
    busybox = runc_engine.rootfs(twin) / "busybox"
    assert oct(busybox.stat().st_mode) == oct(0o40755)
    assert oct((busybox / "busybox").lstat().st_mode) == oct(0o100755)
    assert (busybox / "ls").readlink() == Path("busybox")
