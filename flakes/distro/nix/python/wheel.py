"""Build a wheel of a source tree, or install one: `build DIR`, `install WHEEL OUT`.

Building calls the backend that pyproject.toml names, with the modules of PYTHONPATH and no others:
what it asks for besides has to be among them. Installing reads the environment: `interpreter` is
the python of the programs, `sites` the directories of the modules that they import, and
`sitePackages` where in OUT the wheel's own go.
"""

import importlib
import importlib.metadata
import os
import re
import sys
import tomllib
import zipfile
from configparser import ConfigParser
from pathlib import Path

PROGRAM = """\
#!{interpreter} -B
import sys
sys.path[:0] = {sites}
from {module} import {function}
sys.exit({function}())
"""


def build(directory: str) -> None:
    system = tomllib.loads(Path("pyproject.toml").read_text())["build-system"]
    backend = importlib.import_module(system["build-backend"])
    for wanted in (*system["requires"], *backend.get_requires_for_build_wheel()):
        name, version = re.match(r"([\w.-]+)(?:==(.+))?", wanted).groups()
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            raise SystemExit(f"Unmet dependencies: {wanted}") from None
        if version and found != version:
            raise SystemExit(f"Unmet dependencies: {wanted}, found {found}")
    Path(directory).mkdir(exist_ok=True)
    backend.build_wheel(str(Path(directory).resolve()))


def install(wheel: str, out: Path) -> None:
    site = out / os.environ["sitePackages"]
    site.mkdir(parents=True)
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            path = Path(archive.extract(info, site))
            if info.external_attr >> 16 & 0o111 and path.is_file():
                path.chmod(0o755)
        names = archive.namelist()
    for program in site.glob("*.data/scripts/*"):  # programs that are no Python, as of ninja
        (out / "bin").mkdir(exist_ok=True)
        program.rename(out / "bin" / program.name)
    for directory in site.glob("*.data/data/*"):  # what belongs beside `lib`, such as `share`
        directory.rename(out / directory.name)
    (info,) = {name.partition("/")[0] for name in names if ".dist-info/" in name}
    sites = [str(site), *os.environ.get("sites", "").split()]
    entries = ConfigParser()
    entries.read(site / info / "entry_points.txt")
    for name, target in entries["console_scripts"].items() if "console_scripts" in entries else ():
        module, _, function = target.partition(":")
        program = out / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(
            PROGRAM.format(
                interpreter=os.environ["interpreter"], sites=sites, module=module, function=function
            )
        )
        program.chmod(0o755)


if __name__ == "__main__":
    build(sys.argv[2]) if sys.argv[1] == "build" else install(sys.argv[2], Path(sys.argv[3]))
