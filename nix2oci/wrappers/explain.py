"""What a wrapper does, told to people and to machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nix2oci.text import display
from nix2oci.wrappers.binary import BinaryWrapper, Caller
from nix2oci.wrappers.chain import Chain, Step
from nix2oci.wrappers.operations import (
    Append,
    Argv0,
    Chdir,
    Default,
    Op,
    Prefix,
    PrefixWhole,
    Prepend,
    Preset,
    Set,
    Suffix,
    SuffixWhole,
    Unset,
)
from nix2oci.wrappers.refusal import Refusal
from nix2oci.wrappers.script import Native, Wrapper

Json = dict[str, object]

_KINDS = {
    Set: "set",
    Default: "set-default",
    Preset: "shell-preset",
    Unset: "unset",
    Prefix: "prefix",
    Suffix: "suffix",
    PrefixWhole: "prefix-whole",
    SuffixWhole: "suffix-whole",
    Prepend: "prepend",
    Append: "append",
    Chdir: "chdir",
}
_FIELDS = ("name", "separator", "value", "text", "directory")


def wrapper_text(wrapper: Wrapper | BinaryWrapper, chain: Chain) -> str:
    """A first line that says what the file is, then one line for each thing that it does."""
    lines = [f"{display(wrapper.path)}: {_kind(wrapper)}"]
    if isinstance(wrapper, Wrapper):
        lines += map(_operation, wrapper.launch.ops)
        argv0: Argv0 | Caller | bytes = wrapper.launch.argv0
        target, before, after = wrapper.launch.target, wrapper.launch.before, wrapper.launch.after
    else:
        lines += [_option(option.name, option.arguments) for option in wrapper.options]
        argv0, target, before, after = wrapper.argv0, wrapper.target, wrapper.before, wrapper.after
    lines += [f"runs {display(target)}", *_name(argv0, target)]
    lines += [f"  with {_words(before)} before the arguments"] if before else []
    lines += [f"  with {_words(after)} after the arguments"] if after else []
    if isinstance(wrapper, BinaryWrapper) and wrapper.resolves_argv0:
        lines.append("  looking a name without a slash up in PATH first")
    lines += _rest(wrapper, chain)
    return "\n".join([lines[0], *(f"  {line}" for line in lines[1:])])


def _rest(wrapper: Wrapper | BinaryWrapper, chain: Chain) -> Iterator[str]:
    """What the files of the chain are that come after the wrapper."""
    at = [step.what for step in chain.steps].index(wrapper) + 1
    for step in chain.steps[at : at + 1]:
        yield f"  which is {_step(step)}"
    for step in chain.steps[at + 1 :]:
        yield f"  then {display(step.path)}, {_step(step)}"


def wrapper_document(wrapper: Wrapper | BinaryWrapper, chain: Chain) -> Json:
    """The same for machines; bytes that are no UTF-8 are shown as `display` shows them."""
    if isinstance(wrapper, Wrapper):
        launch = wrapper.launch
        argv0 = launch.argv0 if isinstance(launch.argv0, bytes) else launch.argv0.name.lower()
        own: Json = {
            "form": wrapper.form.name.lower(),
            "shell": display(wrapper.shell),
            "operations": [_operation_document(op) for op in launch.ops],
        }
        target, before, after = launch.target, launch.before, launch.after
    else:
        argv0 = "caller" if wrapper.argv0 is Caller.ARGV0 else wrapper.argv0
        generation = wrapper.generation.name.lower() if wrapper.generation else None
        own = {
            "form": "binary",
            "generation": generation,
            "options": [
                [option.name.decode(), *map(display, option.arguments)]
                for option in wrapper.options
            ],
            "resolves_argv0": wrapper.resolves_argv0,
        }
        target, before, after = wrapper.target, wrapper.before, wrapper.after
    return own | {
        "target": display(target),
        "argv0": {"literal": display(argv0)} if isinstance(argv0, bytes) else {"from": argv0},
        "before": [display(word) for word in before],
        "after": [display(word) for word in after],
        "chain": chain_document(chain),
    }


def chain_document(chain: Chain) -> Json:
    """What is run, from the first file on, and what that ends in."""
    return {
        "files": [{"path": display(step.path), "is": _step(step)} for step in chain.steps],
        "end": chain.end.name.lower(),
        "needs_shell": chain.needs_shell,
        "refusal": refusal_document(chain.refusal) if chain.refusal else None,
    }


def _operation_document(op: Op) -> Json:
    """The names of an operation's fields are those of `ops`."""
    fields = {name: getattr(op, name) for name in _FIELDS if hasattr(op, name)}
    return {"op": _KINDS[type(op)], **{name: display(value) for name, value in fields.items()}}


def refusal_document(refusal: Refusal) -> Json:
    return {
        "reason": str(refusal.reason),
        "path": display(refusal.path),
        "line": refusal.line,
        "text": display(refusal.text),
        "detail": refusal.detail or refusal.reason.value,
    }


def _kind(wrapper: Wrapper | BinaryWrapper) -> str:
    if isinstance(wrapper, Wrapper):
        form = wrapper.form
        return f"a wrapper script ({form.name}, {form.value}) run by {display(wrapper.shell)}"
    if wrapper.generation is None:
        return "a wrapper binary by makeBinaryWrapper"
    generation = wrapper.generation
    return f"a wrapper binary by makeBinaryWrapper ({generation.name}, {generation.value})"


def _operation(op: Op) -> str:
    match op:
        case Chdir():
            return f"changes the working directory to '{display(op.directory)}'"
        case Unset():
            return f"removes {op.name.decode()}"
        case Prepend() | Append():
            end = "front" if isinstance(op, Prepend) else "end"
            return f"joins '{display(op.text)}' to the {end} of {op.name.decode()}"
        case Set() | Default():
            return _assignment(op)
    front = isinstance(op, Prefix | PrefixWhole)
    moved = ", and takes its first occurrence away" if isinstance(op, Prefix) else ""
    there = ", unless it is there" if isinstance(op, Suffix) else ""
    where = f"at the {'front' if front else 'end'} of {op.name.decode()}"
    separator = f"(separated by '{display(op.separator)}')"
    return f"puts '{display(op.value)}' {where} {separator}{moved}{there}"


def _assignment(op: Set | Default) -> str:
    name, value = op.name.decode(), display(op.value)
    if isinstance(op, Preset):
        return f"gives {name} bash's own value, '{value}', where it is not set"
    return f"sets {name} to '{value}'" + (" where it is not set" if isinstance(op, Default) else "")


def _option(name: bytes, arguments: Sequence[bytes]) -> str:
    variable, *values = map(display, arguments)
    match name:
        case b"--set":
            return f"sets {variable} to '{values[0]}'"
        case b"--set-default":
            return f"sets {variable} to '{values[0]}' where it is not set"
        case b"--unset":
            return f"removes {variable}"
        case b"--chdir":
            return f"changes the working directory to '{variable}'"
    end = "front" if name == b"--prefix" else "end"
    return f"puts '{values[1]}' at the {end} of {variable} (separated by '{values[0]}')"


def _name(argv0: Argv0 | Caller | bytes, target: bytes) -> Iterator[str]:
    match argv0:
        case Argv0.EXECFN:
            yield "  under the path by which the wrapper is run (argv[0])"
        case Caller():
            yield "  under the name that the caller gave (argv[0])"
        case bytes() if argv0 != target:
            yield f"  under the name '{display(argv0)}' (argv[0])"


def _words(words: Sequence[bytes]) -> str:
    return " ".join(f"'{display(word)}'" for word in words)


def _step(step: Step) -> str:
    match step.what:
        case bytes(link):
            return f"a link to {display(link)}"
        case Native() as native:
            return native.value
        case Refusal() as refusal:
            return f"not understood: {refusal}"
        case wrapper:
            return _kind(wrapper)
