"""Which system this machine is to Nix."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nix2oci.errors import NixOutputError
from nix2oci.nix.failure import Finished, failure
from nix2oci.nix.json_output import read_json
from nix2oci.nix.options import setting, store_options

_QUESTION = ("--expr", "builtins.currentSystem")


def own_system(run: Callable[[tuple[str, ...]], Finished], options: Sequence[str]) -> str:
    """What Nix with these options takes this machine for: `aarch64-darwin`; `run` starts it."""
    if system := setting(options, "system"):
        return system
    done = run(("eval", "--impure", "--json", *store_options(options), *_QUESTION))
    if done.returncode:
        raise failure(done, "cannot ask Nix for its system")
    answer = read_json(done.stdout, "eval")
    if not isinstance(answer, str) or answer.count("-") != 1:
        raise NixOutputError(f"cannot read `nix eval` output: {answer!r} is not a system")
    return answer
