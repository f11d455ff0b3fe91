"""Which system this machine is to Nix.

Nix says it to who evaluates impurely alone, by a process of its own. So it is read where Nix has it
from: its settings, and else what the program of Nix was compiled for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from nix2oci.errors import ConfigError, NixOutputError
from nix2oci.host.differences import here
from nix2oci.host.regular_files import open_file
from nix2oci.nix.failure import Finished, failure
from nix2oci.nix.host import program
from nix2oci.nix.json_output import read_json
from nix2oci.nix.nix_conf import Settings
from nix2oci.nix.options import setting, store_options

_QUESTION = ("--expr", "builtins.currentSystem")

# e_machine of a program (elf(5)), of which a 64-bit little-endian one is for one system alone.
_ELF_64 = b"\x7fELF\x02\x01"
_PROCESSORS = {62: "x86_64", 183: "aarch64", 243: "riscv64"}


def own_system(
    run: Callable[[tuple[str, ...]], Finished], options: Sequence[str], env: Mapping[str, str]
) -> str:
    """What Nix with these options takes this machine for: `aarch64-darwin`.

    `run` starts Nix, which is asked where its program does not tell.
    """
    if system := setting(options, "system"):
        return system
    try:
        said = Settings.of(env).text("system")
    except ConfigError:  # Nix says what is wrong
        return _asked(run, options)
    if said or not here().runs_linux:
        return said or _asked(run, options)
    return _of_program(program("nix", env)) or _asked(run, options)


def _of_program(path: str) -> str:
    """The system of a Linux program, or of this machine for a script that starts one."""
    try:
        with open_file(path) as file:
            head = file.read(20)
    except OSError:
        return ""
    if head[:2] == b"#!":
        return here().linux
    found = _PROCESSORS.get(int.from_bytes(head[18:20], "little"), "")
    return f"{found}-linux" if found and head.startswith(_ELF_64) else ""


def _asked(run: Callable[[tuple[str, ...]], Finished], options: Sequence[str]) -> str:
    done = run(("eval", "--impure", "--json", *store_options(options), *_QUESTION))
    if done.returncode:
        raise failure(done, "cannot ask Nix for its system")
    answer = read_json(done.stdout, "eval")
    if not isinstance(answer, str) or answer.count("-") != 1:
        raise NixOutputError(f"cannot read `nix eval` output: {answer!r} is not a system")
    return answer
