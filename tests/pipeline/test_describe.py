"""What an image says of itself; above all the entrypoint, which is never guessed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace
from support.fakestore import store_path
from support.packages import package

from nix2oci.config.image_spec import ImageSpec
from nix2oci.errors import InvalidReferenceError
from nix2oci.model.accounts import User
from nix2oci.model.closure import Closure, PathInfo, StorePath
from nix2oci.model.closure_contents import ClosureContents, FoundFile
from nix2oci.oci.reference import Reference
from nix2oci.oci.spec import Digest, History, Platform, canonical_json
from nix2oci.pipeline.describe import (
    DEFAULT_PATH,
    ImageIdentity,
    image_config,
    image_names,
    layer_history,
    manifest_annotations,
    wanted_paths,
)
from nix2oci.plan.layers.layering import LayerPlan
from nix2oci.plan.view_switches import ViewSwitches

APP, LIB = store_path("app-1"), store_path("lib-1")


CREATED = datetime(1980, 1, 1, 0, 0, 1, tzinfo=UTC)


PREFIX = "org.opencontainers.image."


@pytest.mark.parametrize(
    ("spec", "name", "expected"),
    [
        pytest.param({}, "app", "app:latest", id="the package's name"),
        pytest.param({}, "Python3.11-Flask_x", "python3-11-flask-x:latest", id="made lower case"),
        pytest.param({}, "+++", "image:latest", id="nothing that a name may have"),
        pytest.param({}, "", "image:latest", id="no name"),
        pytest.param({"tags": ("1.0",)}, "app", "app:1.0", id="a tag"),
        pytest.param({"name": "team/web"}, "app", "team/web:latest", id="a name"),
        pytest.param(
            {"name": "ghcr.io/team/web", "tags": ("x",)},
            "app",
            "ghcr.io/team/web:x",
            id="a registry",
        ),
    ],
)
def test_the_name_of_an_image(spec: dict[str, Any], name: str, expected: str) -> None:
    assert image_names(ImageSpec(**spec), package(name)) == (Reference.parse(expected),)


def test_a_name_that_no_registry_takes_is_refused() -> None:
    with pytest.raises(InvalidReferenceError, match=r"^cannot read image reference 'UPPER:latest'"):
        image_names(ImageSpec(name="UPPER"), package())


FULL = package(
    version="1.2",
    description="An app",
    homepage="https://example.com",
    license="MIT AND Apache-2.0",
    revision="abc-dirty",
    url="https://example.com/repo",
)


def test_annotations_say_what_nix_knows() -> None:
    notes = manifest_annotations(ImageSpec(), FULL, Reference("web"), CREATED)
    assert notes == {
        PREFIX + "created": "1980-01-01T00:00:01Z",
        PREFIX + "description": "An app",
        PREFIX + "licenses": "MIT AND Apache-2.0",
        PREFIX + "revision": "abc-dirty",
        PREFIX + "source": "https://example.com/repo",
        PREFIX + "title": "app",
        PREFIX + "url": "https://example.com",
        PREFIX + "version": "1.2",
    }


def test_what_nix_does_not_know_is_absent() -> None:
    notes = manifest_annotations(ImageSpec(), package(""), Reference("team/web"), CREATED)
    assert notes == {PREFIX + "created": "1980-01-01T00:00:01Z", PREFIX + "title": "team/web"}


def test_annotations_that_are_asked_for_win() -> None:
    spec = ImageSpec(annotations={PREFIX + "title": "Mine", "com.example.x": "y"})
    notes = manifest_annotations(spec, FULL, Reference("web"), CREATED)
    assert (notes[PREFIX + "title"], notes["com.example.x"]) == ("Mine", "y")
    assert notes[PREFIX + "version"] == "1.2"


DECIDED = ImageIdentity(
    (Reference("app"),), ("/nix/store/app/bin/app", "-x"), CREATED, {"note": "n"}
)
LAYERS = [(Digest.of(b"1"), History("nix2oci", "one")), (Digest.of(b"2"), History("nix2oci"))]


def config(spec: ImageSpec, *, certificates: bool = False) -> dict[str, Any]:
    document = image_config(
        spec, DECIDED, LAYERS, platform=Platform("amd64"), certificates=certificates
    ).to_json()
    found: dict[str, Any] = json.loads(canonical_json(document))
    return found


def test_a_configuration_without_wishes() -> None:
    assert config(ImageSpec())["config"] == {
        "Entrypoint": ["/nix/store/app/bin/app", "-x"],
        "Env": [f"PATH={DEFAULT_PATH}"],
        "Labels": {"note": "n"},
        "User": "65532:65532",
        "WorkingDir": "/",
    }
    assert DEFAULT_PATH == "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def test_a_configuration_with_every_wish() -> None:
    spec = ImageSpec(
        cmd=("serve",),
        user="1000",
        working_dir="/data",
        ports=("80/tcp",),
        volumes=("/data",),
        labels={"a": "b"},
        stop_signal="SIGINT",
    )
    assert config(spec)["config"] == {
        "Cmd": ["serve"],
        "Entrypoint": ["/nix/store/app/bin/app", "-x"],
        "Env": [f"PATH={DEFAULT_PATH}"],
        "ExposedPorts": {"80/tcp": {}},
        "Labels": {"a": "b", "note": "n"},
        "StopSignal": "SIGINT",
        "User": "1000",
        "Volumes": {"/data": {}},
        "WorkingDir": "/data",
    }


def test_layers_and_their_history_keep_their_order() -> None:
    document = config(ImageSpec())
    assert document["rootfs"]["diff_ids"] == [str(digest) for digest, _ in LAYERS]
    assert document["history"] == [
        {"created": "1980-01-01T00:00:01Z", "created_by": "nix2oci", "comment": "one"},
        {"created": "1980-01-01T00:00:01Z", "created_by": "nix2oci"},
    ]
    assert document["created"] == "1980-01-01T00:00:01Z"


def test_the_certificates_are_named_where_they_are_in_the_image() -> None:
    bundle = "/etc/ssl/certs/ca-certificates.crt"
    assert config(ImageSpec(), certificates=True)["config"]["Env"] == [
        f"NIX_SSL_CERT_FILE={bundle}",
        f"PATH={DEFAULT_PATH}",
        f"SSL_CERT_FILE={bundle}",
    ]


def test_the_environment_that_is_asked_for_wins_and_is_sorted() -> None:
    spec = ImageSpec(env={"Z": "", "PATH": "/x", "SSL_CERT_FILE": "/y", "A": "="})
    assert config(spec, certificates=True)["config"]["Env"] == [
        "A==",
        "NIX_SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
        "PATH=/x",
        "SSL_CERT_FILE=/y",
        "Z=",
    ]


def test_a_label_wins_over_an_annotation_of_its_name() -> None:
    assert config(ImageSpec(labels={"note": "mine"}))["config"]["Labels"] == {"note": "mine"}


@pytest.mark.parametrize(
    ("names", "comment"),
    [
        pytest.param(["a-1"], "store paths: a-1", id="one"),
        pytest.param(["a-1", "b-2", "c-3"], "store paths: a-1, b-2, c-3", id="three"),
        pytest.param(["a", "b", "c", "d"], "store paths: a, b, c and 1 more", id="one more"),
        pytest.param(
            [f"p{n:02}" for n in range(50)], "store paths: p00, p01, p02 and 47 more", id="50"
        ),
    ],
)
def test_the_history_of_a_store_layer_names_what_is_in_it(names: list[str], comment: str) -> None:
    layer = LayerPlan(tuple(store_path(name) for name in names), 0, 1, 0.5, None)
    assert layer_history(layer) == History("nix2oci", comment)
    rebuilt = tuple(store_path(name, salt="rebuilt") for name in names)
    assert layer_history(replace(layer, paths=rebuilt)) == History("nix2oci", comment)


def test_the_history_of_the_view_says_so() -> None:
    assert layer_history(None) == History("nix2oci", "file system: /bin, /etc, users, certificates")


def test_the_history_of_the_view_counts_launchers() -> None:
    comment = "file system: /bin, /etc, users, certificates; launchers for wrappers: 3"
    assert layer_history(None, 3) == History("nix2oci", comment)


# --- store paths that are asked for ------------------------------------------------------------

BASH, DASH, ENV = store_path("bash-5"), store_path("dash-1"), store_path("env-1")


CLOSURE = Closure.of(
    [
        PathInfo(APP, bytes(32), 1, (BASH, ENV, LIB)),
        PathInfo(ENV, bytes(32), 1, (DASH,)),
        *(PathInfo(path, bytes(32), 1, ()) for path in (BASH, DASH, LIB)),
    ],
    [APP],
)


NAMED = "the configuration names it"


ASKED = "--view sh asks for it"


def sh(owner: StorePath) -> ClosureContents:
    return ClosureContents(shell=FoundFile(b"sh", f"{owner}/bin/sh".encode(), owner, b"sh"))


@pytest.mark.parametrize(
    ("spec", "found", "expected"),
    [
        pytest.param(ImageSpec(), sh(BASH), {}, id="nothing asks"),
        pytest.param(
            ImageSpec(env={"SHELL": f"{BASH}/bin/sh"}), ClosureContents(), {BASH: NAMED}, id="env"
        ),
        pytest.param(
            ImageSpec(env={"LIB": f"a:{LIB}/lib:b"}),
            ClosureContents(),
            {LIB: NAMED},
            id="any store path",
        ),
        pytest.param(
            ImageSpec(env={"LIB": f"/nix/store/{'0' * 32}-x"}),
            ClosureContents(),
            {},
            id="a path of another",
        ),
        pytest.param(
            ImageSpec(cmd=(f"{DASH}/bin/sh",)), ClosureContents(), {DASH: NAMED}, id="cmd"
        ),
        pytest.param(
            ImageSpec(users=(User("me", 1, 1, "", f"{BASH}/bin/sh"),)),
            ClosureContents(),
            {BASH: NAMED},
            id="the shell of a user",
        ),
        pytest.param(
            ImageSpec(entrypoint=("x", f"{BASH}/bin/sh")),
            ClosureContents(),
            {BASH: NAMED},
            id="entrypoint",
        ),
        pytest.param(
            ImageSpec(view=ViewSwitches(sh=True)), sh(DASH), {DASH: ASKED}, id="the view's shell"
        ),
        pytest.param(
            ImageSpec(view=ViewSwitches(sh=True)),
            sh(ENV),
            {ENV: ASKED, DASH: ASKED},
            id="a view's shell that is a link, and what is behind it",
        ),
        pytest.param(
            ImageSpec(view=ViewSwitches(sh=True)), ClosureContents(), {}, id="there is none"
        ),
    ],
)
def test_a_path_is_wanted_where_the_image_spec_says_so(
    spec: ImageSpec, found: ClosureContents, expected: dict[StorePath, str]
) -> None:
    assert wanted_paths(spec, found, CLOSURE, (BASH, DASH)) == expected
