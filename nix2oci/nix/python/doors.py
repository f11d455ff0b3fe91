"""What of Python's standard library starts a shell, or any program, by its names."""

from __future__ import annotations

import ast
import re

from nix2oci.wrappers.script import SHELLS as SHELL_NAMES

SHELLS = frozenset(name.decode() for name in SHELL_NAMES)

SYSTEM = ("system", "popen", "popen2", "popen3", "popen4")
DOORS = frozenset(
    {
        *(f"{module}.{name}" for module in ("os", "posix") for name in SYSTEM),
        *("subprocess.getoutput", "subprocess.getstatusoutput"),
        *("commands.getoutput", "commands.getstatusoutput"),
        *("asyncio.create_subprocess_shell", "asyncio.subprocess.create_subprocess_shell"),
        *("pydoc.pager", "pydoc.pipepager", "pydoc.pipe_pager", "imaplib.IMAP4_stream"),
        *("mailcap.findmatch", "popen2.popen2", "popen2.popen3", "popen2.Popen3"),
        "pipes.Template",
    }
)
"""What of the standard library starts a shell whenever it is called (subprocess, os, asyncio)."""

BY_NAME = frozenset({"create_subprocess_shell", "subprocess_shell"})
"""The same of any object: an event loop has these (asyncio-eventloop)."""

ARGV = {
    **dict.fromkeys(("Popen", "run", "call", "check_call", "check_output"), "subprocess"),
    "create_subprocess_exec": "asyncio",
    "spawn": "pty",
}
MODULES = frozenset({"os", "posix", "subprocess", "pty", "commands"})
UNMISTAKABLE = frozenset({*SYSTEM, "getoutput", "getstatusoutput"})
WORDS = re.compile(r"\b(system|popen|subprocess|getoutput|shell)\b")


def starts_program(name: str) -> bool:
    """Whether a function of the standard library starts a program by its arguments."""
    module, _, function = name.rpartition(".")
    if module in ("os", "posix"):
        return function.startswith(("exec", "spawn", "posix_spawn"))
    return ARGV.get(function, " ") == module.partition(".")[0]


def is_users_shell(node: ast.AST) -> bool:
    """`os.environ["SHELL"]`, `os.environ.get("SHELL", …)`, `os.getenv("SHELL")`."""
    match node:
        case ast.Subscript(slice=ast.Constant(value="SHELL")):
            return True
        case ast.Call(args=[ast.Constant(value="SHELL"), *_]):
            return True
    return False
