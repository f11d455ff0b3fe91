"""What a program reaches: modules by their imports, functions by their names."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from nix2oci.nix.python.calls import read_module
from nix2oci.nix.python.index import Index
from nix2oci.nix.python.module import all_sites
from nix2oci.nix.python.reach import Reached, reach

SITE = "/nix/store/a/lib/python3.13/site-packages"
APP = "/nix/store/b/share/app.py"
CALLS = "import os\ndef go():\n os.system('x')\n"


def reached(files: Mapping[str, str], *points: tuple[str, str, str], program: str = APP) -> Reached:
    data = {path.encode(): text.encode() for path, text in files.items()}
    index = Index.of(data)
    return reach([program.encode()], [], index, lambda path: read_module(data[path]), points)


def called(files: Mapping[str, str], *points: tuple[str, str, str]) -> bool:
    """Whether a call of a shell is among what is reached."""
    found = reached(files, *points)
    return any(
        site.scope in found.live[path]
        for path, module in found.modules.items()
        for site, _ in all_sites(module)
    )


REACHED = [
    pytest.param({APP: CALLS}, id="in any function of the program itself"),
    pytest.param({APP: CALLS + "go()"}, id="in the program itself"),
    pytest.param({APP: "from x import go\ngo()", f"{SITE}/x.py": CALLS}, id="a function imported"),
    pytest.param({APP: "import x\nx.go()", f"{SITE}/x.py": CALLS}, id="a function of a module"),
    pytest.param({APP: "import x as y\ny.go()", f"{SITE}/x.py": CALLS}, id="by another name"),
    pytest.param({APP: "from x import go as f\nf()", f"{SITE}/x.py": CALLS}, id="renamed"),
    pytest.param(
        {
            APP: "import p",
            f"{SITE}/p/__init__.py": "from .x import go\ngo()",
            f"{SITE}/p/x.py": CALLS,
        },
        id="by a package",
    ),
    pytest.param(
        {APP: "def f():\n import x\n x.go()\nf()", f"{SITE}/x.py": CALLS}, id="in a function"
    ),
    pytest.param({APP: "import x\ngetattr(x, 'go')()", f"{SITE}/x.py": CALLS}, id="getattr"),
    pytest.param({APP: f"{CALLS}@app.route('/')\ndef page(): go()"}, id="from a page of the web"),
    pytest.param(
        {APP: "import os\nclass A:\n def __init__(self):\n  os.system('x')\n"},
        id="a special method",
    ),
    pytest.param(
        {APP: "import os, threading\nclass A(threading.Thread):\n def run(self): os.system('x')\n"},
        id="a method that the standard library calls",
    ),
    pytest.param(
        {APP: "import y", "/nix/store/b/share/y.py": CALLS + "go()"},
        id="beside it",
    ),
    pytest.param(
        {
            APP: "import p",
            f"{SITE}/p/__init__.py": "import importlib\nimportlib.import_module('p.' + x)",
            f"{SITE}/p/x.py": "import os\nos.system('x')",
        },
        id="a computed import of its own package",
    ),
    pytest.param({APP: f"{CALLS}if __name__ == '__main__':\n go()"}, id="as the program"),
    pytest.param(
        {
            APP: "class A:\n def visit_x(self): go()\n"
            f" def v(self, n): getattr(self, f'visit_{{n}}')\n{CALLS}A().v(1)"
        },
        id="a name that is put together",
    ),
]


@pytest.mark.parametrize("files", REACHED)
def test_a_call_is_reached(files: Mapping[str, str]) -> None:
    assert called(files)


NOT_REACHED = [
    pytest.param({APP: "import x", f"{SITE}/x.py": CALLS}, id="a function that nobody names"),
    pytest.param({APP: "pass", f"{SITE}/x.py": CALLS + "go()"}, id="a module that nobody imports"),
    pytest.param({APP: "from x import go", f"{SITE}/x.py": CALLS}, id="imported and not used"),
    pytest.param({APP: "import x\nx.clear()", f"{SITE}/x.py": CALLS}, id="another function"),
    pytest.param({APP: "import x\nself.go()", f"{SITE}/x.py": CALLS}, id="a method of that name"),
    pytest.param(
        {APP: "import x", f"{SITE}/x.py": f"{CALLS}if __name__ == '__main__':\n go()"},
        id="what a module does as a program",
    ),
    pytest.param(
        {
            APP: "import x",
            f"{SITE}/x.py": "import os, unittest\n"
            "class A(unittest.TestCase):\n def help(self): os.system('x')",
        },
        id="a method of a test that no test calls",
    ),
    pytest.param(
        {APP: "import os", "/nix/store/p/lib/python3.13/os.py": CALLS + "go()"},
        id="the standard library",
    ),
]


@pytest.mark.parametrize("files", NOT_REACHED)
def test_a_call_is_not_reached(files: Mapping[str, str]) -> None:
    assert not called(files)


def test_plugins_are_reached_where_their_group_is_named() -> None:
    asks = "from importlib.metadata import entry_points\nentry_points(group='app.plugins')"
    files = {APP: asks, f"{SITE}/x.py": CALLS}
    assert called(files, ("app.plugins", "x", "x:go"))
    assert not called(files, ("other.plugins", "x", "x:go"))


def test_a_script_is_followed_by_its_entry_point() -> None:
    program = "/nix/store/b/bin/.app-wrapped"
    loads = "from importlib.metadata import entry_points\nentry_points()"
    points = [("console_scripts", "app", "x:go"), ("console_scripts", "other", "y:go")]
    files = {program: loads, f"{SITE}/x.py": CALLS, f"{SITE}/y.py": CALLS}
    found = reached(files, *points, program=program)
    assert f"{SITE}/x.py".encode() in found.modules
    assert f"{SITE}/y.py".encode() not in found.modules


def test_a_file_that_cannot_be_read_is_told() -> None:
    found = reached({APP: "import x", f"{SITE}/x.py": "print 'x'"})
    assert found.unread == (f"{SITE}/x.py".encode(),)
