"""One case, run three times: the script under bash, the launcher, the model in Python."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from msgspec.structs import replace
from support.wrapper_run import apply

from fuzz.cases import Case, Places
from fuzz.scripts import Form, script
from nix2oci.launcher.encoder import encode
from nix2oci.pipeline.templates import launcher_template
from nix2oci.wrappers.operations import Chdir, Launch, preset

HERE = Path(__file__).parent

# What bash adds or drops by itself, and the launcher leaves alone (docs/launcher.md).
SHELLS_OWN = (b"SHLVL=", b"_=")
DIRECTORIES = (b"PWD=", b"OLDPWD=")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended, and what the program behind the wrapper was given, if it was run."""

    status: int
    directory: bytes
    argv: tuple[bytes, ...]
    environment: tuple[bytes, ...]
    stderr: bytes

    @classmethod
    def read(cls, done: subprocess.CompletedProcess[bytes]) -> Self:
        if not done.stdout:
            return cls(done.returncode, b"", (), (), done.stderr)
        directory, _, rest = done.stdout.partition(b"\0")
        before, _, after = (b"\0" + rest).partition(b"\0\xff\0")
        argv = tuple(before.split(b"\0")[1:])
        environment = tuple(after.split(b"\0")[:-1])
        return cls(done.returncode, directory, argv, environment, done.stderr)


def compile_probe(output: Path) -> None:
    """The program that the wrappers start, for the machine that the tests run on."""
    target = f"{platform.machine()}-linux-none"
    command = [sys.executable, "-m", "ziglang", "cc", "-target", target, "-Os", "-s"]
    freestanding = ["-ffreestanding", "-nostdlib", "-static", "-fno-pie", "-fno-stack-protector"]
    cache = {f"ZIG_{kind}_CACHE_DIR": str(output.parent / "cache") for kind in ("GLOBAL", "LOCAL")}
    subprocess.run(
        [*command, *freestanding, "-fno-sanitize=all", str(HERE / "probe.c"), "-o", str(output)],
        check=True,
        env=os.environ | cache,  # noqa: TID251
    )


@dataclass(frozen=True, slots=True)
class Bench:
    """Directories and programs for cases, below a directory of its own."""

    root: bytes
    bash: bytes
    machine: str
    emulator: bytes
    places: Places

    @classmethod
    def make(cls, root: Path, probe: Path, machine: str, bash: bytes) -> Self:
        top = os.fsencode(root)
        real = [top + b"/one", top + b"/two words", top + b"/it's $HOME \\ \xc3\xa9\n\xff*"]
        for directory in real:
            os.makedirs(directory + b"/linked")
            os.symlink(top + b"/wrapper", directory + b"/wrapper")
            os.symlink(b"../wrapper", directory + b"/linked/w")
        os.symlink(b"two words", top + b"/link")
        targets = (top + b"/probe", top + b"/a probe! 'x' ~ *")
        for target in targets:
            os.link(probe, target)
        Path(root / "not-executable").write_bytes(b"\x7fELF")
        broken = (top + b"/missing", top + b"/not-executable", top + b"/one")
        preset_path = subprocess.run(
            [bash, "-c", 'printf %s "$PATH"'], env={}, stdout=subprocess.PIPE, check=True
        ).stdout
        places = Places(
            targets,
            broken,
            (*real, top + b"/link"),
            (top + b"/missing", top + b"/probe/x"),
            preset_path,
        )
        emulator = os.fsencode(shutil.which(f"qemu-{machine}-static") or "")
        return cls(top, bash, machine, emulator, places)

    def as_script(self, case: Case) -> Outcome:
        text = script(case.launch, case.form, self.bash, utf8=case.utf8)
        return self._run(text, case, emulator=())

    def as_launcher(self, case: Case) -> Outcome:
        launch = self.with_preset(case.launch)
        file = encode(launch, self.machine, launcher_template(self.machine))
        if self.machine == platform.machine():
            return self._run(file, case, emulator=())
        return self._run(file, case, (self.emulator, b"-0", case.argv[0]))

    def as_model(self, case: Case) -> Outcome:
        pwd = case.environment.get(b"PWD", b"")
        there = (
            pwd.startswith(b"/") and os.path.exists(pwd) and os.path.samefile(pwd, case.directory)
        )
        done = apply(
            self.with_preset(case.launch),
            [name + b"=" + value for name, value in case.environment.items()],
            case.execfn,
            case.argv,
            pwd if there else os.path.realpath(case.directory),
        )
        return Outcome(0, os.path.realpath(done.directory), done.argv, done.environment, b"")

    def with_preset(self, launch: Launch) -> Launch:
        return replace(launch, ops=preset(launch.ops, b"PATH", self.places.path_preset))

    def _run(self, content: bytes, case: Case, emulator: tuple[bytes, ...]) -> Outcome:
        new = self.root + b"/new"
        with open(new, "wb", opener=lambda path, flags: os.open(path, flags, 0o755)) as file:
            file.write(content)
        os.replace(new, self.root + b"/wrapper")
        argv = [*emulator, case.execfn, *case.argv[1:]] if emulator else list(case.argv)
        done = subprocess.run(
            argv,
            executable=None if emulator else case.execfn,
            cwd=case.directory,
            env=case.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=600,  # the machine may be busy
        )
        return Outcome.read(done)


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A wrapper on disk, as a script and as a launcher, for the machine of the tests."""

    script: Path
    launcher: Path

    @classmethod
    def write(cls, directory: Path, launch: Launch, form: Form = Form.BLOCKS) -> Wrapped:
        wrapped = cls(directory / "script" / "wrapper", directory / "launcher" / "wrapper")
        machine = platform.machine()
        template = launcher_template(machine)
        for path, content in (
            (wrapped.script, script(launch, form, b"/bin/bash")),
            (wrapped.launcher, encode(launch, machine, template)),
        ):
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
            path.chmod(0o755)
        return wrapped


def judge(case: Case, bash: Outcome, launcher: Outcome, model: Outcome, *, ordered: bool) -> str:
    """What differs, in words; empty when nothing does. `ordered`: the order counts, too."""
    if bash.status or launcher.status:
        return _judge_failure(bash, launcher)
    differences = [
        _difference("working directory", bash.directory, launcher.directory, model.directory),
        _difference("argv", bash.argv, launcher.argv, model.argv),
        _difference("environment", *(_comparable(o, case) for o in (bash, launcher, model))),
    ]
    if ordered and launcher.environment != model.environment:
        differences.append(f"order: {launcher.environment} is not {model.environment}")
    return "\n".join(filter(None, differences))


def _judge_failure(bash: Outcome, launcher: Outcome) -> str:
    found = [_difference("exit status", bash.status, launcher.status, bash.status)]
    if launcher.argv or launcher.environment or launcher.directory:
        found.append("the launcher failed and ran the program")
    if not (launcher.stderr.endswith(b"\n") and launcher.stderr.count(b": ") > 1):
        found.append(f"the launcher's message is {launcher.stderr!r}")
    return "\n".join(filter(None, found))


def _difference(what: str, bash: object, launcher: object, model: object) -> str:
    if bash == launcher == model:
        return ""
    return f"{what}\n  bash     {bash!r}\n  launcher {launcher!r}\n  model    {model!r}"


def _comparable(outcome: Outcome, case: Case) -> list[bytes]:
    """The entries that are claimed to be equal, in an order of their own."""
    changes_directory = any(isinstance(op, Chdir) for op in case.launch.ops)
    ignored = SHELLS_OWN if changes_directory else SHELLS_OWN + DIRECTORIES
    return sorted(entry for entry in outcome.environment if not entry.startswith(ignored))
