"""The root of a real image is the one people know, and programs in it find what they look for."""

import json
import re

from real.engines import Engine, Job, Runc
from real.images import Images
from support.paths import DATA
from support.treedump import treedump

# What a root can have, it has from these: certificates, time zones, services, media types.
RICH = ("sed", "ca-certificates", "tzdata", "netbase", "media-types")
PYTHON = ("python3", "ca-certificates")
GOLDEN = DATA / "real" / "root.txt"

LOOKUPS = """\
import grp, json, os, pwd
users = [list(pwd.getpwnam(name))[2:] for name in ("root", "nobody", "nonroot")]
print(json.dumps([users, os.getuid(), grp.getgrgid(os.getgid()).gr_name, os.path.expanduser("~")]))
"""
CERTIFICATES = """\
import json, ssl
print(json.dumps(ssl.create_default_context().cert_store_stats()))
"""


def without_versions(line: str) -> str:
    """A line of a listing with what differs by the machine's distribution taken out."""
    return re.sub(r"/nix/store/[a-z0-9]{32}-([a-z0-9-]+?)-[0-9][^/]*", r"/nix/store/…-\1", line)


def test_the_root_is_exactly_this(images: Images) -> None:
    layout = images.layout(*RICH)
    listing = [without_versions(line) for line in treedump(layout.blob(layout.layers[-1]))]
    assert listing == GOLDEN.read_text().splitlines()


def test_an_unpacked_image_has_the_root_and_the_store_and_no_more(
    images: Images, runc_engine: Runc
) -> None:
    rootfs = runc_engine.rootfs(images.loaded(runc_engine, *RICH))
    listing = [
        without_versions(line) for line in treedump(rootfs) if " nix" not in line.split(" -> ")[0]
    ]
    assert listing == GOLDEN.read_text().splitlines()


def test_there_is_no_shell(engine: Engine, images: Images) -> None:
    done = engine.run(Job(images.loaded(engine, *RICH), ("-c", "true"), entrypoint="/bin/sh"))
    assert done.returncode in (1, 127)
    assert "/bin/sh" in done.stderr
    assert "no such file or directory" in done.stderr


def test_programs_find_the_users(engine: Engine, images: Images) -> None:
    done = engine.run(Job(images.loaded(engine, *PYTHON), ("-c", LOOKUPS)))
    users = [
        [0, 0, "root", "/root", "/sbin/nologin"],
        [65534, 65534, "nobody", "/nonexistent", "/sbin/nologin"],
        [65532, 65532, "nonroot", "/home/nonroot", "/sbin/nologin"],
    ]
    assert json.loads(done.stdout) == [users, 65532, "nonroot", "/home/nonroot"], done.stderr


def test_a_tls_client_finds_the_certificates(engine: Engine, images: Images) -> None:
    done = engine.run(Job(images.loaded(engine, *PYTHON), ("-c", CERTIFICATES)))
    assert json.loads(done.stdout)["x509_ca"] > 100, done.stderr
