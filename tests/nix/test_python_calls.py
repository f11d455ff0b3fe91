"""What of a Python module starts a shell, and what its functions are called by."""

from __future__ import annotations

import pytest

from nix2oci.nix.python.calls import read_module
from nix2oci.nix.python.module import Module, all_sites


def module(source: str) -> Module:
    found = read_module(source.encode())
    assert found is not None
    return found


def sites(source: str) -> list[tuple[int, str, bool]]:
    return [(site.line, site.what, site.certain) for site, _ in all_sites(module(source))]


CERTAIN = [
    pytest.param("import os\nos.system('x')", "os.system", id="os.system"),
    pytest.param("import os as o\no.popen('x')", "os.popen", id="a module by another name"),
    pytest.param(
        "from os import system as s\ns('x')", "os.system", id="a function by another name"
    ),
    pytest.param("import os\nrun = os.system", "os.system", id="a function that is handed on"),
    pytest.param("import os; o = os\no.system('x')", "os.system", id="a module in a variable"),
    pytest.param("from os import *\nsystem('x')", "os.system", id="all of a module"),
    pytest.param("\n__import__('os').system('x')", "os.system", id="an import in an expression"),
    pytest.param("import sys\nsys.modules['os'].system('x')", "os.system", id="sys.modules"),
    pytest.param("import os\ngetattr(os, 'system')('x')", "os.system", id="getattr of a text"),
    pytest.param("import subprocess\nsubprocess.run('x', shell=True)", "shell=True", id="run"),
    pytest.param("from subprocess import Popen\nPopen('x', shell=1)", "shell=True", id="Popen"),
    pytest.param(
        "from .tools import run\nrun('x', shell=True)", "shell=True", id="a function of ours"
    ),
    pytest.param(
        "import subprocess\nsubprocess.Popen('x', 0, None, None, None, None, None, True, True)",
        "shell=True",
        id="shell by its place",
    ),
    pytest.param(
        "import subprocess\nsubprocess.getoutput('x')", "subprocess.getoutput", id="getoutput"
    ),
    pytest.param(
        "from gevent import subprocess\nsubprocess.getoutput('x')",
        "subprocess.getoutput",
        id="a module that stands for another",
    ),
    pytest.param(
        "import asyncio\nasyncio.create_subprocess_shell('x')",
        "asyncio.create_subprocess_shell",
        id="asyncio",
    ),
    pytest.param("\nloop.subprocess_shell(P, 'x')", "subprocess_shell", id="of an event loop"),
    pytest.param("import subprocess\nopts = {'shell': True}", "'shell': …", id="in a dictionary"),
    pytest.param("import subprocess\nopts = dict(shell=True)", "shell=True", id="in dict()"),
    pytest.param(
        "import subprocess\nopts['shell'] = True", "'shell': …", id="put into a dictionary"
    ),
    pytest.param("import subprocess\nargv = ['sh', '-c', x]", "['sh', '-c', …]", id="sh -c"),
    pytest.param("import os\nos.execv('/bin/bash', argv)", "os.execv('/bin/bash', …)", id="exec"),
]


@pytest.mark.parametrize(("source", "what"), CERTAIN)
def test_a_call_of_a_shell_is_found_with_its_line(source: str, what: str) -> None:
    assert sites(source) == [(2, what, True)]


NOT_JUDGED = [
    pytest.param("import os\ngetattr(os, 'sys' + 'tem')('x')", "getattr(os, …)", id="getattr"),
    pytest.param("import subprocess\nsubprocess.run('x', shell=flag)", "shell=…", id="a variable"),
    pytest.param(
        "import subprocess\nsubprocess.run('x', **load())", "**…", id="arguments from a call"
    ),
    pytest.param("import os\nos.__dict__[name]('x')", "os.__dict__", id="the names of a module"),
    pytest.param(
        "import importlib\nimportlib.import_module(x).system()", "….system", id="a module"
    ),
    pytest.param("\nexec('import os; os.system()')", "exec(…)", id="code in a text"),
    pytest.param("import os\nrun([os.environ['SHELL']])", "$SHELL", id="the user's shell"),
    pytest.param("import pty\npty.spawn(argv)", "pty.spawn", id="pty"),
]


@pytest.mark.parametrize(("source", "what"), NOT_JUDGED)
def test_what_depends_on_a_value_is_told_and_not_judged(source: str, what: str) -> None:
    assert sites(source) == [(2, what, False)]


NONE = [
    pytest.param("import platform\nplatform.system()", id="another module's function"),
    pytest.param("import os\nself.system('x')", id="a method of that name"),
    pytest.param("import os\nif os.system == x: pass", id="a function that is compared"),
    pytest.param("import subprocess\nsubprocess.run(['x'], shell=False)", id="shell switched off"),
    pytest.param(
        "import subprocess\ndef run(*a, **k):\n return subprocess.run(*a, **k)", id="handed on"
    ),
    pytest.param("import os\ngetattr(os, 'O_' + name)", id="another name of os"),
    pytest.param("import os, sys\nif sys.platform == 'win32': os.system('cls')", id="Windows"),
    pytest.param("import os\nif os.name == 'nt': os.system('cls')", id="Windows by os.name"),
    pytest.param("'os.system(x)' # os.system", id="a text and a comment"),
]


@pytest.mark.parametrize("source", NONE)
def test_what_starts_no_shell_is_not_told(source: str) -> None:
    assert sites(source) == []


def test_what_is_no_python_is_none() -> None:
    assert read_module(b"print 'x'") is None
    assert read_module(b"\0") is None


def test_a_call_has_the_names_of_its_functions() -> None:
    source = "import os\nclass A:\n def run(self):\n  def inner():\n   os.system('x')\n"
    ((_, names),) = all_sites(module(source))
    assert names == ("run", "inner")


def test_imports_are_those_of_functions_too_and_may_be_guarded() -> None:
    source = "import a.b\ntry:\n import c\nexcept ImportError: pass\ndef f():\n from . import d\n"
    found = [(i.level, i.module, i.names, i.guarded) for i in module(source).imports]
    assert found == [(0, "a.b", (), False), (0, "c", (), True), (1, "", ("d",), True)]


def test_an_import_by_a_computed_name_is_told() -> None:
    assert module("import importlib\nimportlib.import_module(name)").computed
    assert not module("import importlib\nimportlib.import_module('a')").computed
