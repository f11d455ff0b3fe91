"""Many installables evaluated at once: one `nix eval` for a flake's packages, one for its apps.

The hard part is that one of them may fail, and that a name may be found in several places. What is
not found as a package, a legacy package or an app, and what fails, is left to `NixClient.evaluate`,
which knows all places and says what is wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from msgspec.structs import replace

from nix2oci.errors import NixError
from nix2oci.nix.client import NixClient
from nix2oci.nix.installable import Installable, attribute_names
from nix2oci.nix.json_output import Source, read_json
from nix2oci.nix.package import EvalResult, Package, package_of
from nix2oci.nix.question import FINDING, quoted_text

# Applied to a set of attributes: what `EVAL_EXPRESSION` says of those at the paths, null for one
# that is not there or throws, each behind the last name of its path.
_QUESTION = """
root: with builtins; let%s
  ask = names: let found = find root names; in if found == [ ] then null else one (head found);
  safe = names:
    let answer = ask names; r = tryEval (deepSeq answer answer);
    in [ (elemAt names (length names - 1)) (if r.success then r.value else null) ];
  every = names: let found = find root names; in
    if found == [ ] then [ ] else map (name: names ++ [ name ]) (attrNames (head found));
in map safe (%s)
"""

_Answers = Mapping[Installable, EvalResult]
_Answer = tuple[Installable, EvalResult | None, EvalResult | None]
"""What an installable is as a package, and as an app: one of them at least."""

_PLACES = ("packages", "apps", "devShells", "checks", "nixosConfigurations", "defaultPackage")


def evaluate_together(
    nix: NixClient, installables: Iterable[Installable]
) -> dict[Installable, Package]:
    """What Nix knows of installables, as far as all of a flake or file can be asked at once.

    What is wrong with one, or with a flake, is not said here: who asks for it alone hears it.
    """
    nix.check_store()
    groups: dict[tuple[str, str, str, bool], list[Installable]] = {}
    for each in dict.fromkeys(installables):
        key = (each.kind, each.flake_ref, each.file, each.is_input)
        groups.setdefault(key, []).append(each)
    found: dict[Installable, Package] = {}
    for (kind, *_), group in groups.items():
        if kind != "path" and len(group) > 1:
            with suppress(NixError):
                source = nix.source(group[0]) if kind == "flake" else Source()
                answers = _of_flake(nix, group) if kind == "flake" else _of_file(nix, group)
                found |= dict(_packages(nix, answers, source))
    return found


def _packages(
    nix: NixClient, answers: Iterable[_Answer], source: Source
) -> Iterator[tuple[Installable, Package]]:
    for each, value, app in answers:
        with suppress(NixError):
            if value is None and app is None:
                continue
            yield each, nix.of_system(package_of(each, value, app, source, nix.system()))


def _of_file(nix: NixClient, group: Sequence[Installable]) -> Iterator[_Answer]:
    paths = {each: attribute_names(each.attr) for each in group if each.attr}
    for each, value in _asked(nix, ".", paths).items():
        yield each, value, None


def _of_flake(nix: NixClient, group: Sequence[Installable]) -> Iterator[_Answer]:
    values = dict(_in(nix, "packages", group))
    missing = [each for each in group if each not in values and each.attr]
    if _is_legacy(missing):
        values |= _in(nix, "legacyPackages", missing)
    apps = _in(nix, "apps", group)
    for each in group:
        if each in values or each in apps:
            yield each, values.get(each), apps.get(each)


def _is_legacy(group: Sequence[Installable]) -> bool:
    """Whether some are probably legacy packages: not what has its place in a flake named."""
    return any(attribute_names(each.attr)[0] not in _PLACES for each in group)


def _in(nix: NixClient, place: str, group: Sequence[Installable]) -> _Answers:
    """Those that a flake has in one of its places, by system and name."""
    paths = {each: _path(place, each, nix.system()) for each in group}
    return _asked(nix, group[0].at(place), paths)


def _path(place: str, installable: Installable, system: str) -> tuple[str, ...]:
    names = attribute_names(installable.attr) or ("default",)
    return names[1:] if names[0] == place else (system, *names)


def every_package(nix: NixClient, flake: Installable) -> dict[str, Package | None]:
    """What Nix knows of all packages that a flake has for the system, by name; `default` is one.

    None for what cannot be evaluated or built. Raises `NixError` and its kin.
    """
    source = nix.source(flake)
    found = dict(
        _answers(nix, flake, flake.at("packages"), f"every [ {quoted_text(nix.system())} ]")
    )
    known = {replace(flake, text=flake.at(name), attr=name): each for name, each in found.items()}
    apps = _in(nix, "apps", list(known))
    answers = ((each, value, apps.get(each)) for each, value in known.items())
    packages = {each.attr: package for each, package in _packages(nix, answers, source)}
    return {name: packages.get(name) for name in found}


def one_name_each(
    packages: Mapping[str, Package | None],
) -> tuple[dict[str, Package], dict[str, str]]:
    """Each derivation once, under its own name or else not `default`; why others are left out."""
    by_derivation: dict[object, str] = {}
    found: dict[str, Package] = {}
    left_out = {name: "it cannot be evaluated" for name, each in packages.items() if not each}
    known = {name: each for name, each in packages.items() if each}
    for name in sorted(known, key=lambda name: (name == "default", name != known[name].name, name)):
        package = known[name]
        other = by_derivation.setdefault(package.wanted or package.program, name)
        own = re.sub(r"[^a-z0-9]+", "-", package.name.lower()).strip("-")
        shown = own or "image" if name == "default" else name
        if other == name:
            found[shown] = package
        elif name != "default":
            left_out[name] = f"it is {other}"
    return dict(sorted(found.items())), dict(sorted(left_out.items()))


def _asked(nix: NixClient, operand: str, paths: Mapping[Installable, tuple[str, ...]]) -> _Answers:
    """What `EVAL_EXPRESSION` says of attributes; nothing where all of them cannot be asked."""
    if not paths:
        return {}
    listed = " ".join(f"[ {' '.join(map(quoted_text, path))} ]" for path in paths.values())
    answers = _answers(nix, next(iter(paths)), operand, f"[ {listed} ]")
    if len(answers) != len(paths):
        return {}
    pairs = zip(paths, answers, strict=True)
    return {each: answer for each, (_, answer) in pairs if answer is not None}


def _answers(
    nix: NixClient, of: Installable, operand: str, paths: str
) -> list[tuple[str, EvalResult | None]]:
    """Name and answer for each of the paths; none where Nix fails with all of them."""
    done = nix.ask(of, operand, _QUESTION % (FINDING, paths))
    found = read_json(done.stdout, "eval") if done.returncode == 0 else None
    if not isinstance(found, list):
        return []
    return [
        (str(name), EvalResult.parse(json.dumps(answer)) if isinstance(answer, dict) else None)
        for name, answer in found
    ]
