"""The program of an image, and whether it can be started: decided before a layer is written."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from msgspec import Struct

from nix2oci.config.image_spec import ImageSpec
from nix2oci.errors import ConfigError
from nix2oci.host.progress import Progress
from nix2oci.model.closure import store_path_of
from nix2oci.model.links import At, Resolved, resolve
from nix2oci.model.tree import Directory, File, Symlink, Tree, Whiteout
from nix2oci.nix.fact_cache import as_bytes, as_text
from nix2oci.nix.machine import check_machines
from nix2oci.nix.store_files import StoreFiles, unreadable
from nix2oci.oci.spec import ImageConfig, Platform
from nix2oci.oci.validate.interpreter import HEAD, Start, start_of
from nix2oci.oci.validate.merged import LayeredFiles
from nix2oci.oci.validate.program import (
    Behind,
    Command,
    Fault,
    command_of,
    program_fault,
    program_of,
)
from nix2oci.pipeline import describe
from nix2oci.pipeline.on_base import run_config
from nix2oci.pipeline.prepared import Prepared
from nix2oci.plan.shell import ShellDecision
from nix2oci.text import and_more, display
from nix2oci.wrappers.refusal import Reason, Refusal
from nix2oci.wrappers.script import SHELLS

_SHELLS = (b"/bin/sh", b"/usr/bin/sh")
_SHOWN = 20

Remedy = Callable[[str], str | None]


def entrypoint(
    prepared: Prepared, spec: ImageSpec, progress: Progress, remedy: Remedy = lambda _: None
) -> tuple[str, ...]:
    """The program that the image starts, and its fixed arguments; none for an image of data.

    That of the health check is looked at as well. `progress` is told what may be wrong, `remedy`
    may know for the name of another processor how to build for that. Raises `ConfigError` where
    there is none to choose, or one that no engine can start, and `RepresentationError` for one of
    another machine.
    """
    argv = describe.entrypoint(spec, prepared.built[0], prepared.survey)
    on, closure, store = prepared.on_base, prepared.closure, prepared.store
    disk = StoreFiles.of(
        *(closure, store.root, prepared.notes, store.fetch), case_hack=store.case_hack
    )
    files = _Files(
        prepared.rootfs, disk, LayeredFiles(on.base.nodes, on.base.contents) if on else None
    )
    config = run_config(spec, prepared.package.system, on.base if on else None, argv)
    variables = dict(pair.partition("=")[::2] for pair in config.env)
    started = list(argv[:1])
    for code, words in _commands(config):
        command = command_of(words, config.working_dir, variables)
        if fault := _fault_of(prepared, files, command, code):
            if code != "entrypoint" or not _may_come_later(fault, spec, closure.store_dir):
                _check_damage(prepared, files.resolve(os.fsencode(words[0])).path)
                raise _unstartable(command.argv[0], fault, prepared, code)
            progress.step(str(fault.finding))
        elif code != "entrypoint":
            started.append(os.fsdecode(program_of(files, command) or b""))
    _check_machines(prepared, disk, started, remedy)
    return argv


def _commands(config: ImageConfig) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What is started, each with the rule of `validate` for it."""
    yield "entrypoint", (*config.entrypoint, *config.cmd)
    if config.healthcheck and config.healthcheck.argv:
        yield "healthcheck", config.healthcheck.argv


def _fault_of(prepared: Prepared, files: _Files, command: Command, code: str) -> Fault | None:
    """What keeps a program from being started."""
    behind = _behind(prepared.shells, files.store.store_dir)
    try:
        return program_fault(files, command, behind, code=code)
    except OSError as err:
        raise unreadable(err) from err


class _Files(Struct, frozen=True):
    """What will be in the image: the last layer, over the store paths, over the base."""

    tree: Tree
    store: StoreFiles
    base: LayeredFiles | None

    def resolve(self, path: bytes) -> Resolved:
        """As `program.Files` has it."""
        return resolve(path.rstrip(b"/"), self._look)

    def _look(self, path: bytes) -> bytes | At:
        match self.tree.get(path[1:]):
            case Symlink(target=target):
                return target
            case Directory():
                return At.DIRECTORY
            case File():
                return At.FILE
        if Whiteout.of(path[1:]).path in self.tree.owned:
            return At.NOTHING
        found = self.store.look(path)
        if found is not At.NOTHING or self.base is None or self.tree.hides(path[1:]):
            return found
        return self.base.look(path)

    def is_executable(self, path: bytes) -> bool:
        """As `program.Files` has it."""
        entry = self.tree.get(path[1:])
        if isinstance(entry, File):
            return bool(entry.mode & 0o111)
        if self.store.look(path) is At.FILE:
            return self.store.is_program(path)
        return self.base is not None and self.base.is_executable(path)

    def start(self, path: bytes) -> Start | None:
        """As `program.Files` has it."""
        entry = self.tree.get(path[1:])
        if isinstance(entry, File):
            return start_of(b"".join(entry.chunks)[:HEAD])
        if self.store.look(path) is At.FILE:
            return _started(self.store, path)
        return self.base.start(path) if self.base else Start()


def _started(store: StoreFiles, path: bytes) -> Start | None:
    """How a file of the store is started; known of an earlier run, as its bytes do not change."""

    def read() -> list[Any] | None:
        with open(store.content(path), "rb") as file:
            start = start_of(file.read(HEAD))
        if start is None:
            return None
        found = start.interpreter, start.argument
        return [*map(as_text, found), start.is_script]

    known = store.get_or_compute(path, "start", read)
    if known is None:
        return None
    interpreter, argument, is_script = known
    return Start(as_bytes(interpreter), as_bytes(argument), is_script)


def _behind(shells: ShellDecision, store_dir: bytes) -> Behind:
    """What wrappers of the closure start, be they replaced or not, as far as it is in the store.

    A file without `#!` is one that bash runs itself, where bash starts it.
    """
    chains = (*shells.scripts.values(), *shells.programs.values())

    def behind(path: bytes) -> bytes | None:
        for chain in chains:
            names = [step.path for step in chain.steps]
            if path not in names[:-1]:
                continue
            after = chain.steps[names.index(path) + 1]
            refused = isinstance(after.what, Refusal) and after.what.reason
            in_store = after.path.startswith(store_dir + b"/")
            return after.path if in_store and refused is not Reason.TARGET_NO_SHEBANG else None
        return None

    return behind


def _may_come_later(fault: Fault, spec: ImageSpec, store_dir: str) -> bool:
    """Whether a missing interpreter may be there at run time, where the user says what is.

    That is who names the program by its path in the image, not in the store: a volume, or an image
    on top, may bring the interpreter. Nobody brings a shell, `env` or a loader that way.
    """
    named, store = "".join(spec.entrypoint[:1]), f"{store_dir}/"
    path, name = os.fsdecode(fault.missing), fault.missing.rpartition(b"/")[2]
    expected = name in (b"env", *SHELLS) or b".so" in name or not name.isalnum()
    outside = all(one.startswith("/") and not one.startswith(store) for one in (named, path))
    return outside and fault.is_nowhere and not expected


def _check_damage(prepared: Prepared, program: bytes) -> None:
    """Raise `StoreError` where the program is not as Nix recorded it: that is what to mend."""
    owner = store_path_of(os.fsdecode(program), prepared.closure.store_dir)
    if owner is not None and owner in prepared.closure:
        for entry in prepared.store.entries(prepared.closure.infos[owner]):
            for _ in entry.chunks if isinstance(entry, File) else ():
                pass


def _unstartable(name: str, fault: Fault, prepared: Prepared, code: str) -> ConfigError:
    about = "" if fault.where in ("config", name) else f"{fault.where}: "
    message = fault.message.removeprefix(f"'{name}' ")
    message = message if message == fault.message else f"it {message}"
    remedy = _remedy if code == "entrypoint" else _remedy_of_check
    return ConfigError(
        f"cannot use {code} {name}: {about}{message}", hint=remedy(fault, name, prepared)
    )


def _remedy(fault: Fault, used: str, prepared: Prepared) -> str:
    other = "start another program with --entrypoint"
    if fault.missing:
        return f"{_missing_remedy(fault.missing, prepared)}, or {other}"
    found = prepared.survey.programs
    programs = sorted({display(each.name) for each in found if each.target != os.fsencode(used)})
    if programs:
        return "choose one with --entrypoint: " + and_more(programs, _SHOWN)
    return f"{other}; an image of data that starts nothing has --entrypoint {describe.NO_PROGRAM}"


def _remedy_of_check(fault: Fault, used: str, prepared: Prepared) -> str:
    if fault.missing:
        return f"{_missing_remedy(fault.missing, prepared)}, or test with another program"
    name = used.rpartition("/")[2]
    if not re.fullmatch(r"[\w.+-]+", name):
        return "test with another program"
    return (
        f'name its path, such as "{{nixpkgs#{name}}}/bin/{name}", or add it to the image, such as '
        f"with --contents nixpkgs#{name}"
    )


def _missing_remedy(missing: bytes, prepared: Prepared) -> str:
    directory, _, name = missing.rpartition(b"/")
    dropped = tuple(f"{info.path}/".encode() for info in prepared.shells.dropped)
    if name.endswith(b"\r"):
        return "its lines end in CR LF: convert it to LF alone"
    if missing.startswith(dropped):
        return "keep its shell with --shell auto"
    if missing in _SHELLS:
        shell = "" if prepared.survey.shell else "--contents nixpkgs#bash "
        return f"give the image /bin/sh with {shell}--view sh"
    if b".so." in name:
        build = "build it with the loader of the store (nixpkgs: autoPatchelfHook)"
        return f"{build}, add one, such as --contents nixpkgs#glibc"
    if directory in (b"", b"/bin", b"/usr/bin") and re.fullmatch(rb"[\w.+-]+", name):
        package = "coreutils" if name == b"env" else name.decode()
        link = "(--view programs links it in /usr/bin)"
        return f"add what has bin/{name.decode()}, such as --contents nixpkgs#{package} {link}"
    return "add what has it with --contents"


def _check_machines(
    prepared: Prepared, disk: StoreFiles, programs: Sequence[str], remedy: Remedy
) -> None:
    """Raise `RepresentationError` for a program that the image's platform cannot run."""
    steps = (step.path for chain in prepared.shells.programs.values() for step in chain.steps)
    system = prepared.package.system
    started = [*map(os.fsencode, programs), *steps]
    platform = str(Platform.of_system(system))
    check_machines(disk, prepared.closure, started, system, platform, remedy=remedy)
