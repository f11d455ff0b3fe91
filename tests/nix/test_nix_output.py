"""Every version's JSON becomes the same values; what is not known is refused and quoted."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.paths import DATA

from nix2oci.errors import ClosureError, Nix2OCIError, NixOutputError, StoreError
from nix2oci.model.closure import Closure, PathInfo, StorePath, format_nar_hash, parse_nar_hash
from nix2oci.nix.json_output import (
    Realised,
    Source,
    Version,
    built_outputs,
    flake_source,
    path_infos,
    read_json,
)

ANSWERS = DATA / "nix"
LIBRARY = StorePath.parse("/nix/store/ai6vwhbrg1fgxn289gkabgn3d4hhfxa3-library-1.2")
PROGRAM = StorePath.parse("/nix/store/k6sbazwb84960nz7saz7z551zi6vri7k-program-3.0")
DOC = StorePath.parse("/nix/store/0b5a7w7kll7y52dcqxl9dk9x5f37p1s7-program-3.0-doc")
DRV = "/nix/store/11f2hlqgz41s6s2q495y7bkm0fn65sx6-program-3.0.drv"
RECORDED = (
    PathInfo(
        LIBRARY,
        parse_nar_hash("sha256-rcU0Sek2slflcmv68/fyNuOQkC+bd7OGN3LsBFgjyHQ="),
        120,
        (),
        "/nix/store/94flmp810fvqdv3yq5g02hrkrip8bhkz-library-1.2.drv",
    ),
    PathInfo(
        PROGRAM,
        parse_nar_hash("sha256-iAq87CIUU9SMmyzuXyG3w418eW7ib0X0doe9L1XqpNg="),
        224,
        (LIBRARY, PROGRAM),
        DRV,
    ),
)


@pytest.mark.parametrize(
    "file",
    sorted((ANSWERS / "path-info").iterdir()),
    ids=lambda file: f"as printed by {file.stem}",
)
def test_every_shape_of_path_info_is_the_same_graph(file: Path) -> None:
    infos = path_infos(file.read_text())
    assert infos == RECORDED
    assert Closure.of(infos, [PROGRAM]).references(PROGRAM) == (LIBRARY,)


@pytest.mark.parametrize("deriver", [None, "", "unknown-deriver", "no/path.drv", 1, ...])
def test_a_path_without_a_derivation_has_none(deriver: object) -> None:
    (info,) = path_infos(json.dumps({str(LIBRARY): _entry(deriver=deriver)}))
    assert info.deriver == ""


def test_all_shapes_are_recorded() -> None:
    """A shape that nobody recorded would be a shape that nobody tests."""
    answers = [json.loads(file.read_text()) for file in (ANSWERS / "path-info").iterdir()]
    kinds = {
        (type(answer).__name__, answer.get("version") if isinstance(answer, dict) else None)
        for answer in answers
    }
    assert kinds == {("list", None), ("dict", None), ("dict", 2), ("dict", 3)}


def _entry(**changes: Any) -> dict[str, Any]:
    valid = {"narHash": "sha256-" + "A" * 43 + "=", "narSize": 120, "references": []}
    return {key: value for key, value in {**valid, **changes}.items() if value is not ...}


LOST = f"cannot read {LIBRARY}: it is not in the store"
WHAT = "cannot read `nix path-info` output"


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        pytest.param(
            [{"path": str(LIBRARY), "valid": False}], StoreError, LOST, id="list says not valid"
        ),
        pytest.param({str(LIBRARY): None}, StoreError, LOST, id="map has null"),
        pytest.param(
            {"version": 2, "storeDir": "/nix/store", "info": {LIBRARY.base: None}},
            StoreError,
            LOST,
            id="format 2 has null",
        ),
        pytest.param(
            {str(LIBRARY): _entry(narSize=...)},
            NixOutputError,
            f"{WHAT}: no 'narSize' for {LIBRARY}",
            id="size is missing",
        ),
        pytest.param(
            {str(LIBRARY): _entry(narSize=True)},
            NixOutputError,
            f"{WHAT}: no 'narSize' for {LIBRARY}",
            id="size is no number",
        ),
        pytest.param(
            {str(LIBRARY): _entry(narSize=0)},
            NixOutputError,
            f"{WHAT}: no 'narSize' for {LIBRARY}",
            id="no NAR is empty",
        ),
        pytest.param(
            {str(LIBRARY): _entry(narSize=1 << 63)},
            NixOutputError,
            f"{WHAT}: no 'narSize' for {LIBRARY}",
            id="no size has 64 bits",
        ),
        pytest.param(
            {str(LIBRARY): _entry(narSize=10**400)},
            NixOutputError,
            f"{WHAT}: no 'narSize' for {LIBRARY}",
            id="a size is larger than a float can be",
        ),
        pytest.param(
            {str(LIBRARY): _entry(references=None)},
            NixOutputError,
            f"{WHAT}: no 'references' for {LIBRARY}",
            id="references are missing",
        ),
        pytest.param(
            {str(LIBRARY): _entry(references=[7])},
            NixOutputError,
            f"{WHAT}: no 'references' for {LIBRARY}",
            id="a reference is no text",
        ),
        pytest.param(
            {str(LIBRARY): _entry(narHash="md5-xyz")},
            NixOutputError,
            f"{WHAT}: no 'narHash' for {LIBRARY}: not a SHA-256 hash: 'md5-xyz'",
            id="hash is not SHA-256",
        ),
        pytest.param(
            {"/nix/store/eeeewhbrg1fgxn289gkabgn3d4hhfxa3-library-1.2": _entry()},
            ClosureError,
            "cannot read store path '/nix/store/eeeewhbrg1fgxn289gkabgn3d4hhfxa3-library-1.2': "
            "it is not one",
            id="hash part has a letter that Nix never uses",
        ),
        pytest.param(
            {f"{LIBRARY}/bin": _entry()},
            ClosureError,
            f"cannot read store path '{LIBRARY}/bin': it is not one",
            id="slash after the name",
        ),
        pytest.param(
            {f"/nix/../store/{LIBRARY.base}": _entry()},
            ClosureError,
            f"cannot read store path '/nix/../store/{LIBRARY.base}': it is not one",
            id="parent directory in the store directory",
        ),
        pytest.param(
            {f"{LIBRARY}\n": _entry()},
            ClosureError,
            f"cannot read store path '{LIBRARY}\\n': it is not one",
            id="newline in the name",
        ),
        pytest.param(
            {f"/nix/store/{LIBRARY.hash_part}-{'x' * 300}": _entry()},
            ClosureError,
            f"cannot read store path '/nix/store/{LIBRARY.hash_part}-{'x' * 256}': it is not one",
            id="name of 300 letters is quoted in part",
        ),
        pytest.param(
            {str(LIBRARY): _entry(references=["../../etc/passwd"])},
            ClosureError,
            "cannot read store path '/nix/store/../../etc/passwd': it is not one",
            id="reference that leaves the store",
        ),
    ],
)
def test_an_answer_that_cannot_be_believed_is_refused(
    answer: Any, error: type[Nix2OCIError], message: str
) -> None:
    with pytest.raises(error) as caught:
        path_infos(json.dumps(answer))
    assert str(caught.value) == message
    assert type(caught.value) is error


@pytest.mark.parametrize("read", [path_infos, built_outputs], ids=["path-info", "build"])
@pytest.mark.parametrize(
    ("stdout", "said"),
    [
        pytest.param("", "nothing", id="nothing"),
        pytest.param("\n", "nothing", id="an empty line"),
        pytest.param("[]", "'[]'", id="an empty list"),
        pytest.param("{}", "'{}'", id="an empty map"),
        pytest.param("42", "'42'", id="a number"),
        pytest.param('[["x"]]', "'[[\"x\"]]'", id="a list of lists"),
        pytest.param("<html>" + "x" * 300, "'<html>" + "x" * 194 + "'", id="a web page"),
        pytest.param('["\\ud800"]', "'[\"\\\\ud800\"]'", id="half a character"),
        pytest.param("[" * 100_000, "'" + "[" * 200 + "'", id="brackets without end"),
    ],
)
def test_an_unknown_shape_is_quoted(read: Callable[[str], object], stdout: str, said: str) -> None:
    command = "path-info" if read is path_infos else "build"
    with pytest.raises(NixOutputError) as caught:
        read(stdout)
    assert str(caught.value) == f"cannot read `nix {command}` output: it printed {said}"
    assert (
        caught.value.hint == "if this is a Nix version that nix2oci does not know, please report it"
    )


def _as_list(infos: tuple[PathInfo, ...]) -> Any:
    return [{"path": str(info.path), **_fields(info, str)} for info in infos]


def _as_map(infos: tuple[PathInfo, ...]) -> Any:
    return {str(info.path): {"ca": None, **_fields(info, str)} for info in infos}


def _as_format_2(infos: tuple[PathInfo, ...]) -> Any:
    return {
        "version": 2,
        "storeDir": "/nix/store",
        "info": {info.path.base: _fields(info, lambda path: path.base) for info in infos},
    }


def _fields(info: PathInfo, name: Callable[[StorePath], str]) -> dict[str, Any]:
    return {
        "narHash": format_nar_hash(info.nar_hash),
        "narSize": info.nar_size,
        "references": [name(path) for path in info.references],
    }


_PATHS = st.builds(
    StorePath,
    st.just("/nix/store"),
    st.text("0123456789abcdfghijklmnpqrsvwxyz", min_size=32, max_size=32),
    st.text("abcXYZ019+-_?=", min_size=1, max_size=20),
)


@given(st.data(), st.lists(_PATHS, min_size=1, max_size=8, unique=True))
def test_shapes_agree_on_any_graph(data: st.DataObject, paths: list[StorePath]) -> None:
    infos = tuple(
        PathInfo(
            path,
            data.draw(st.binary(min_size=32, max_size=32)),
            data.draw(st.integers(1, 2**53)),
            tuple(sorted(data.draw(st.sets(st.sampled_from(paths))))),
        )
        for path in sorted(paths)
    )
    for shape in (_as_list, _as_map, _as_format_2):
        assert path_infos(json.dumps(shape(infos))) == infos


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        pytest.param(
            "nix-2.8", Realised(DRV, {"out": PROGRAM}), id="a derivation, as 2.8 prints it"
        ),
        pytest.param(
            "nix-2.34",
            Realised(DRV, {"doc": DOC, "out": PROGRAM}),
            id="a derivation, as 2.34 prints it",
        ),
        pytest.param("nix-2.8-path", Realised("", {"": LIBRARY}), id="a path, as 2.8 prints it"),
        pytest.param("nix-2.34-path", Realised("", {"": LIBRARY}), id="a path, as 2.34 prints it"),
    ],
)
def test_both_shapes_of_build(file: str, expected: Realised) -> None:
    assert built_outputs((ANSWERS / "build" / f"{file}.json").read_text()) == (expected,)


def test_an_output_without_a_path_is_kept_as_such() -> None:
    answer = [{"drvPath": DRV, "outputs": {"out": None}, "startTime": 1}]
    assert built_outputs(json.dumps(answer)) == (Realised(DRV, {"out": None}),)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param([{"drvPath": DRV}], id="no outputs"),
        pytest.param([{"drvPath": {"drvPath": DRV}, "outputs": {}}], id="a dynamic derivation"),
        pytest.param([{"drvPath": DRV, "outputs": {"out": 1}}], id="an output that is a number"),
    ],
)
def test_an_unknown_element_of_build_is_quoted(answer: Any) -> None:
    with pytest.raises(NixOutputError) as caught:
        built_outputs(json.dumps(answer))
    assert str(caught.value) == f"cannot read `nix build` output: it printed {json.dumps(answer)!r}"


@pytest.mark.parametrize(
    ("text", "number", "lix", "selects", "formatted"),
    [
        pytest.param("nix (Nix) 2.3.16", (2, 3), False, False, False, id="without flakes"),
        pytest.param("nix (Nix) 2.8.0\n", (2, 8), False, False, False, id="Debian 12"),
        pytest.param("nix (Nix) 2.12.1", (2, 12), False, False, False, id="last without drv^out"),
        pytest.param("nix (Nix) 2.13.0", (2, 13), False, True, False, id="first with drv^out"),
        pytest.param(
            "nix (Nix) 2.19.0pre20231120_b5e59d5", (2, 19), False, True, False, id="a snapshot"
        ),
        pytest.param("nix (Nix) 2.33.0", (2, 33), False, True, True, id="first with --json-format"),
        pytest.param("nix (Lix, like Nix) 2.93.3", (2, 93), True, True, False, id="Lix"),
        pytest.param(
            "nix (Determinate Nix 3.22.2) 2.35.2", (2, 35), False, True, True, id="Determinate"
        ),
    ],
)
def test_versions(
    text: str, number: tuple[int, int], *, lix: bool, selects: bool, formatted: bool
) -> None:
    version = Version.parse(text)
    assert str(version) == text.strip()
    assert version.number == number
    assert version.has_flakes is (number >= (2, 4))
    assert (version.is_lix, version.selects_outputs, version.wants_json_format) == (
        lix,
        selects,
        formatted,
    )


@pytest.mark.parametrize("text", ["", "nix", "nix (Nix) two", "hello 2.8.0", "nix () 2.8"])
def test_a_version_that_is_none_is_quoted(text: str) -> None:
    with pytest.raises(NixOutputError) as caught:
        Version.parse(text)
    said = repr(text) if text else "nothing"
    assert str(caught.value) == f"cannot read `nix --version` output: it printed {said}"


REVISION = "e409f7f184e23643519fafd6e7d9d744a50f57cf"


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        pytest.param("nix-2.8-clean", Source(REVISION, 1795490740), id="2.8, clean"),
        pytest.param("nix-2.34-clean", Source(REVISION, 1795490740), id="2.34, clean"),
        pytest.param(
            "nix-2.8-dirty",
            Source(directory="/home/user/app"),
            id="2.8, with changes: git has to be asked",
        ),
        pytest.param("nix-2.34-dirty", Source(f"{REVISION}-dirty"), id="2.34, with changes"),
        pytest.param("nix-2.8-path", Source(), id="2.8, a path has the time of a file"),
        pytest.param("nix-2.34-path", Source(), id="2.34, a path has the time of a file"),
    ],
)
def test_where_a_flake_comes_from(file: str, expected: Source) -> None:
    assert flake_source((ANSWERS / "metadata" / f"{file}.json").read_text()) == expected


@pytest.mark.parametrize(
    ("resolved", "url"),
    [
        pytest.param(
            {"type": "github", "owner": "NixOS", "repo": "nixpkgs", "ref": "master"},
            "https://github.com/NixOS/nixpkgs",
            id="GitHub",
        ),
        pytest.param(
            {"type": "gitlab", "owner": "group%2Fsub", "repo": "r", "host": "git.example.org"},
            "https://git.example.org/group/sub/r",
            id="a GitLab of one's own, with a subgroup",
        ),
        pytest.param(
            {"type": "sourcehut", "owner": "~user", "repo": "r"},
            "https://git.sr.ht/~user/r",
            id="SourceHut",
        ),
        pytest.param(
            {"type": "git", "url": "https://user:token@git.example.org/r.git?token=x"},
            "https://git.example.org/r.git",
            id="git over https, with credentials",
        ),
        pytest.param(
            {"type": "git", "url": "ssh://git@git.example.org/r"},
            "ssh://git.example.org/r",
            id="git over ssh",
        ),
        pytest.param(
            {"type": "tarball", "url": "https://example.org/a.tar.gz"},
            "https://example.org/a.tar.gz",
            id="a tarball",
        ),
        pytest.param({"type": "git", "url": "file:///home/user/app"}, "", id="git on this machine"),
        pytest.param({"type": "path", "path": "/home/user/app"}, "", id="a path"),
        pytest.param({}, "", id="nothing"),
    ],
)
def test_the_address_of_a_flake_has_no_credentials(resolved: Any, url: str) -> None:
    stdout = json.dumps({"resolved": resolved, "revision": "abc", "lastModified": 1})
    assert flake_source(stdout) == Source("abc", 1, url)


def test_metadata_that_is_no_object_is_quoted() -> None:
    with pytest.raises(NixOutputError) as caught:
        flake_source("[1]")
    assert str(caught.value) == "cannot read `nix flake metadata` output: it printed '[1]'"


def test_json_that_is_none_is_quoted() -> None:
    with pytest.raises(NixOutputError) as caught:
        read_json("error: oops", "eval")
    assert str(caught.value) == "cannot read `nix eval` output: it printed 'error: oops'"
