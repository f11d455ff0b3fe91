"""Which files that name a shell start none, and which Python programs call one, in a fake store."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.fakestore import FakeStore, Link, Node, Program, nar, store_path

from nix2oci.model.closure import StorePath
from nix2oci.model.shell_references import Evidence
from nix2oci.nix.fact_cache import FactCache
from nix2oci.nix.scan import scan
from nix2oci.nix.shell_evidence import gather
from nix2oci.nix.store_files import StoreFiles

APP, LIB, PYTHON, BASH = (store_path(name) for name in ("app-1", "lib-1", "python3-3.13", "bash-5"))
FILE = store_path("app.py")
NAME, ELF = str(BASH).encode(), b"\x7fELF\x02\x01 a program"
SCRIPT = Program(f"#!{BASH}/bin/bash\necho\n".encode())
SHELL: Node = {b"bin": {b"bash": Program(ELF + b"\0@(#)Bash version 5 GNU\0")}}
SITE = b"site-packages"


@pytest.fixture
def store(tmp_path: Path) -> FakeStore:
    return FakeStore(tmp_path)


def evidence(
    store: FakeStore,
    app: Node,
    lib: Node | None = None,
    *,
    evident: bool = True,
    python: Node | None = None,
    file: bytes | None = None,
    texts: str = "",
    programs: Sequence[str] = ("app",),
    replaced: Sequence[str] = (),
) -> Evidence:
    """What is found of a closure whose root `app-1` refers to `lib-1`, `app.py`, Python and bash.

    Each is in a store of its own below `store`.
    """
    store = FakeStore(store.top / str(len(list(store.top.iterdir()))))
    store.add(BASH.name, SHELL)
    others = ((PYTHON, python), (LIB, lib), (FILE, file))
    more = {path: node for path, node in others if node is not None}
    for path, node in more.items():
        store.add(path.name, node, _named(node))
    store.add(APP.name, app, {*_named(app), *more})
    closure = store.closure(APP)
    files = StoreFiles.of(closure, store.root)
    started = [f"{APP}/bin/{name}".encode() for name in programs]
    found = scan(closure, started, store.root)
    gone = [f"{APP}/bin/{name}".encode() for name in replaced]
    return gather(closure, found, files, replaced=gone, wanted=[APP], texts=texts, evident=evident)


def _named(node: Node) -> list[StorePath]:
    return [path for path in (BASH, LIB, PYTHON) if path.hash_part.encode() in nar(node)]


def rules(found: Evidence) -> dict[str, str]:
    return {each.mention.inside: each.rule for each in found.discounted}


PLAIN: Node = {b"bin": {b"app": Program(ELF)}}


def below(path: str, node: Node = SCRIPT) -> Node:
    """A tree that has a node at a path."""
    for part in reversed(path.split("/")):
        node = {part.encode(): node}
    return node


def joined(one: Node, other: Node) -> Node:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        keys = {**one, **other}
        return {k: joined(one[k], other[k]) if k in one and k in other else keys[k] for k in keys}
    return other


PROOFS = [
    ("share/doc/app/examples/run.sh", "documentation"),
    ("share/bash-completion/completions/app", "completion"),
    ("etc/init.d/app", "init"),
    ("lib/systemd/system/app.service", "init"),
    ("share/python3/runtime.d/x.rtinstall", "package-manager"),
    ("share/app/app.postinst", "package-manager"),
    ("nix-support/setup-hook", "nix-support"),
    ("lib/pkgconfig/app.pc", "build-settings"),
    ("lib/python3.13/_sysconfigdata__linux.py", "python-build-settings"),
]


@pytest.mark.parametrize(("path", "rule"), PROOFS)
def test_a_place_of_the_list_is_a_proof_without_a_search(
    path: str, rule: str, store: FakeStore
) -> None:
    found = evidence(store, joined(PLAIN, below(path)), evident=False)
    assert rules(found) == {path: rule}
    assert all(each.is_proof for each in found.discounted)


def test_an_init_in_the_closure_runs_what_is_init_s(store: FakeStore) -> None:
    app = joined(PLAIN, below("etc/init.d/app"))
    assert rules(evidence(store, app, {b"bin": {b"init": Program(ELF)}}, evident=False)) == {}


def test_what_the_configuration_names_counts(store: FakeStore) -> None:
    app = joined(PLAIN, below("etc/init.d/app"))
    assert rules(evidence(store, app, texts=f"{APP}/etc/init.d/app")) == {}
    assert rules(evidence(store, app, texts=f"{APP}/bin/app")) == {"etc/init.d/app": "init"}


@pytest.mark.parametrize("evident", [False, True])
def test_a_program_of_an_output_counts(store: FakeStore, *, evident: bool) -> None:
    app = joined(PLAIN, below("bin/app-config"))
    assert rules(evidence(store, app, evident=evident)) == {}


def test_a_script_that_is_no_program_starts_nothing(store: FakeStore) -> None:
    text = SCRIPT.content
    found = evidence(store, joined(PLAIN, below("libexec/setup", text)), evident=False)
    assert rules(found) == {"libexec/setup": "not-executable"}
    assert not any(each.is_only_purpose for each in found.discounted)


def test_a_place_of_the_shell_that_is_not_there_is_no_mention(store: FakeStore) -> None:
    app = joined(PLAIN, below("etc/app.conf", NAME + b"/share/perl5:" + NAME + b"/lib\n"))
    assert rules(evidence(store, app, evident=False)) == {"etc/app.conf": "absent-place"}


def test_one_place_that_is_there_counts_beside_others_that_are_not(store: FakeStore) -> None:
    conf = NAME + b"/share/perl5\nshell=" + NAME + b"/bin/bash\n"
    assert rules(evidence(store, joined(PLAIN, below("etc/app.conf", conf)), evident=False)) == {}


def test_no_file_leads_to_a_script_where_others_name_its_store_path_for_other_places(
    store: FakeStore,
) -> None:
    app = joined(PLAIN, below("etc/x", f"{LIB}/lib/libx.so".encode()))
    lib = joined(below("lib/libx.so", ELF), below("share/lib/clean-up"))
    assert rules(evidence(store, app, lib, evident=False)) == {"share/lib/clean-up": "no-way"}


LEADS = [
    pytest.param(f"{LIB}".encode(), id="the store path itself"),
    pytest.param(f"PATH={LIB}/share/lib:/bin".encode(), id="its directory"),
    pytest.param(f"{LIB}/share/lib/clean-up".encode(), id="the script"),
    pytest.param(f"{LIB}/lib/../share".encode(), id="a way up"),
    pytest.param(b"\0\1" + f"{LIB}/share/lib".encode() + b"z\1", id="a text of a binary"),
    pytest.param(Link(f"{LIB}/share".encode()), id="a link"),
]


@pytest.mark.parametrize("leads", LEADS)
def test_what_leads_to_a_script_makes_it_count(leads: Node, store: FakeStore) -> None:
    lib = joined(below("lib/libx.so", ELF), below("share/lib/clean-up"))
    assert rules(evidence(store, joined(PLAIN, below("etc/x", leads)), lib, evident=False)) == {}


def test_a_script_that_its_own_store_path_names_counts_as_a_proof_and_by_evidence(
    store: FakeStore,
) -> None:
    app = joined(PLAIN, below("etc/x", f"{LIB}/lib/libx.so".encode()))
    lib = joined(below("lib/libx.so", ELF + b"\0clean-up\0"), below("share/lib/clean-up"))
    assert rules(evidence(store, app, lib, evident=False)) == {}
    assert rules(evidence(store, app, lib)) == {}


def test_a_script_that_no_file_names_is_evidence_and_no_proof(store: FakeStore) -> None:
    app = joined(PLAIN, below("libexec/app/clean-up"))
    assert rules(evidence(store, app, evident=False)) == {}
    found = evidence(store, app)
    assert rules(found) == {"libexec/app/clean-up": "unnamed"}
    assert [each.is_proof for each in found.discounted] == [False]


NAMED = [
    pytest.param({b"bin": {b"app": Program(ELF + b"\0clean-up\0")}}, True, id="by the program"),
    pytest.param(joined(PLAIN, below("share/doc/x", b"run clean-up")), False, id="by a text"),
    pytest.param(joined(PLAIN, below("etc/x", b"my-clean-up")), False, id="within a longer name"),
]


@pytest.mark.parametrize(("app", "counts"), NAMED)
def test_a_name_counts_where_it_stands_alone_in_what_is_no_documentation(
    app: Node, store: FakeStore, *, counts: bool
) -> None:
    found = evidence(store, joined(app, below("libexec/app/clean-up")))
    assert (rules(found) == {}) == counts


def test_a_program_that_names_a_shell_counts_whatever_names_it(store: FakeStore) -> None:
    app = joined(PLAIN, below("libexec/app/helper", Program(ELF + NAME + b"/bin/bash\0")))
    assert rules(evidence(store, app)) == {}


# --- Python --------------------------------------------------------------------------------------

DOOR: Node = {
    b"bin": {b"python3": Program(ELF)},
    b"lib": {b"python3.13": {b"subprocess.py": b"sh = '" + NAME + b"/bin/bash'", b"os.py": b""}},
}


def application(source: str, **modules: str) -> Node:
    """A program in Python, with modules of its own."""
    head = f"#!{PYTHON}/bin/python3\n"
    site = {f"{name}.py".encode(): text.encode() for name, text in modules.items()}
    return {
        b"bin": {b"app": Program((head + source).encode())},
        b"lib": {b"python3.13": {SITE: site}},
    }


def test_the_standard_library_does_not_count_where_no_program_calls_a_shell(
    store: FakeStore,
) -> None:
    found = evidence(store, application("import x", x="import subprocess"), python=DOOR)
    assert rules(found) == {"lib/python3.13/subprocess.py": "python-calls"}
    assert (found.calls, found.modules) == ((), 2)


def test_a_program_that_is_a_store_path_itself_is_read(store: FakeStore) -> None:
    """As `${./app.py}` of a flake is, which a wrapper gives to Python."""
    wrapper = f'#! {BASH}/bin/bash -e\nexec "{PYTHON}/bin/python3"  {FILE} "$@" \n'
    app: Node = {b"bin": {b"app": Program(wrapper.encode())}}
    plain, popen = b"import subprocess\n", b"import os\nos.popen('x')\n"
    found = evidence(store, app, python=DOOR, file=plain, replaced=["app"])
    assert rules(found) == {"lib/python3.13/subprocess.py": "python-calls"}
    assert (found.calls, found.modules) == ((), 1)
    (call,) = evidence(store, app, python=DOOR, file=popen, replaced=["app"]).calls
    assert call.where == "app.py:2"


def test_a_module_that_is_a_link_out_of_the_closure_calls_nothing(store: FakeStore) -> None:
    app = joined(
        application("import x"), below(f"lib/python3.13/{SITE.decode()}/x.py", Link(b"/srv/x.py"))
    )
    found = evidence(store, app, python=DOOR)
    assert rules(found) == {"lib/python3.13/subprocess.py": "python-calls"}


def test_that_is_evidence_and_no_proof(store: FakeStore) -> None:
    found = evidence(store, application("import x", x=""), python=DOOR, evident=False)
    assert rules(found) == {}


PLANTED = [
    pytest.param("import os\nos.popen('x')\n", "os.popen", True, id="os.popen"),
    pytest.param(
        "import subprocess\nsubprocess.run('x', shell=flag)\n", "shell=…", False, id="a variable"
    ),
    pytest.param(
        "import os\ngetattr(os, 'sys' + 'tem')('x')\n", "getattr(os, …)", False, id="getattr"
    ),
]


@pytest.mark.parametrize("evident", [False, True])
@pytest.mark.parametrize(("planted", "what", "certain"), PLANTED)
def test_a_call_that_is_planted_in_the_application_keeps_the_shell(
    planted: str, what: str, store: FakeStore, *, certain: bool, evident: bool
) -> None:
    app = joined(application("import x", x=planted), below("etc/init.d/app"))
    found = evidence(
        store,
        app,
        python=DOOR if evident else {b"bin": {b"python3": Program(ELF)}},
        evident=evident,
    )
    (call,) = found.calls
    assert (call.what, call.line, call.certain) == (what, 2, certain)
    assert call.where == "app-1/lib/python3.13/site-packages/x.py:2"


def test_a_call_says_what_it_is_for(store: FakeStore) -> None:
    hooks = "import x\nx.go()\n"
    plain = "import subprocess\ndef go():\n subprocess.run('x', shell=True)\n"
    (call,) = evidence(store, application("import hooks", hooks=hooks, x=plain), python=DOOR).calls
    assert (call.function, call.feature) == ("go", "hooks")


def test_an_option_of_the_same_name_is_what_a_call_is_for(store: FakeStore) -> None:
    run = "import subprocess\nsubprocess.run('x', shell=True)\n"
    app = application("import execute\nadd('--execute')\n", execute=run)
    (call,) = evidence(store, app, python=DOOR).calls
    assert call.feature == "'--execute'"


DOUBTS = [
    pytest.param({b"bin": {b"app": Link(f"{PYTHON}/bin/python3".encode())}}, id="python itself"),
    pytest.param(application("import elsewhere"), id="a module that is not there"),
]


@pytest.mark.parametrize("app", DOUBTS)
def test_what_is_not_all_there_is_a_doubt(app: Node, store: FakeStore) -> None:
    found = evidence(store, app, python=DOOR)
    assert rules(found) == {}
    assert len(found.doubts) == 1


def test_what_completes_words_of_a_shell_keeps_none(store: FakeStore) -> None:
    asks = "import subprocess\nsubprocess.run(['bash', '-c', 'x'])\n"
    app = application("import shell_completion", shell_completion=asks)
    assert evidence(store, app, python=DOOR).calls == ()
    app = application("import other", other=asks)
    assert evidence(store, app, python=DOOR).calls != ()


def test_an_interpreter_within_a_program_is_a_doubt(store: FakeStore) -> None:
    app = joined(
        application("import x", x=""), below("bin/server", Program(ELF + b"libpython3.13.so"))
    )
    found = evidence(store, app, python=DOOR, programs=("app", "server"))
    assert [str(each) for each in found.doubts] == [
        "app-1/bin/server runs what it is given by an interpreter of its own"
    ]


@dataclass
class Notes:
    """Where facts are kept from one run to the next."""

    known: dict[str, str] = field(default_factory=dict)

    def read(self, name: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = json.loads(self.known.get(name, "null"))
        return found

    def write(self, name: str, document: dict[str, Any]) -> None:
        self.known[name] = json.dumps(document)


def test_what_was_found_is_not_looked_for_again(store: FakeStore) -> None:
    app = joined(application("import x", x="import os"), below("libexec/app/tidy-up"))
    for path, node in ((BASH, SHELL), (PYTHON, DOOR), (APP, app)):
        more = [PYTHON, BASH] if path == APP else []
        store.add(path.name, node, [BASH] if path == PYTHON else more)
    notes = Notes()

    def look() -> Evidence:
        known, closure = FactCache(notes), store.closure(APP)
        files = StoreFiles.of(closure, store.root, known)
        found = scan(closure, [f"{APP}/bin/app".encode()], store.root, known)
        asked = gather(closure, found, files, replaced=(), wanted=[], texts="", evident=True)
        known.commit(lambda _: True)
        return asked

    first = look()
    for info in store.infos:
        store.thaw(info)
    changed = Path(os.fsdecode(store.physical(APP))) / "lib/python3.13/site-packages/x.py"
    changed.write_text("import os\nos.system('x')\n")
    assert look() == first
    notes.known.clear()
    assert look() != first
