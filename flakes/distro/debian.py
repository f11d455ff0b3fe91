"""What apt knows, as a graph of packages that Nix can build.

Debian and Nix disagree in two ways, and this module is where they meet. Debian
splits programs that look for their own files next to themselves: such parts are
joined again, under the name that nixpkgs has for the whole (`GROUPS`). And Debian
allows packages to depend on each other in circles: each circle is cut at the edge
that closes it. Everything here is pure; make_flake.py runs the programs.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

Stanza = Mapping[str, str]

# The name that a Nix user knows, and the Debian packages that are its parts.
GROUPS = {
    name: re.compile(pattern)
    for name, pattern in {
        "glibc": r"libc6",
        "bash": r"bash",
        "busybox": r"busybox-static",
        "cacert": r"ca-certificates",
        "git": r"git|git-man",
        "gnugrep": r"grep",
        "gnused": r"sed",
        "iana-etc": r"netbase",
        "libssl": r"libssl\d+(t64)?|openssl-provider-legacy",
        "mailcap": r"media-types",
        "nginx": r"nginx|nginx-common|nginx-light|nginx-core",
        "perl": r"perl|perl-base|perl-modules-.*|libperl5.*",
        "postgresql": r"postgresql-\d+|postgresql-client-\d+",
        "python3": r"python3(\.\d+)?(-minimal)?|libpython3(\.\d+)?-(minimal|stdlib)"
        r"|python3-(distutils|lib2to3)",
        "redis": r"redis-server|redis-tools|redis-sentinel",
        "ruby": r"ruby|ruby\d+\.\d+|libruby(\d+\.\d+)?",
        "tzdata": r"tzdata|tzdata-legacy",
        "zlib": r"zlib1g",
    }.items()
}

# What runs while a package is installed, or starts it at boot; a program that is
# run out of the store needs none of it.
INSTALL_TIME = frozenset(
    {
        *("adduser", "cdebconf", "dbus", "debconf", "debconf-2.0", "debianutils", "dpkg"),
        *("init-system-helpers", "install-info", "iproute2", "libpam-modules"),
        *("libpam-modules-bin", "libpam-runtime", "locales", "lsb-base", "passwd"),
        *("sensible-utils", "ssl-cert", "systemd", "systemd-sysv", "sysvinit-utils", "ucf", "udev"),
    }
)

# Debian marks these as essential, so no package says that it needs them.
ESSENTIAL = ("bash", "coreutils", "findutils", "gawk", "gnugrep", "gnused")

# Packages that are data, and the C library, on which all others stand.
WITHOUT_REFERENCES = frozenset(("cacert", "glibc", "iana-etc", "mailcap", "tzdata"))


@dataclass(frozen=True, slots=True)
class Deb:
    """One .deb of the archive; `file` is a name that the Nix store allows."""

    package: str
    version: str
    file: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Package:
    """What becomes one store path: its .debs, and the names of packages it may refer to."""

    name: str
    version: str
    description: str
    homepage: str
    needs: tuple[str, ...]
    debs: tuple[Deb, ...]


def stanzas(dumpavail: str) -> dict[str, Stanza]:
    """The output of `apt-cache dumpavail` by package name.

    A stanza without `Filename` is of a package that only this machine has: left out.
    """
    found: dict[str, Stanza] = {}
    for text in dumpavail.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", text, re.MULTILINE))
        if "Filename" in fields:
            found[fields["Package"]] = fields
    return found


def clauses(relation: str) -> Iterator[tuple[str, ...]]:
    """The alternatives of each clause: `a (>= 1) | b, c:any` gives (a, b), (c,)."""
    for clause in relation.split(","):
        if clause.strip():
            yield tuple(re.split(r"[\s:(]", name.strip())[0] for name in clause.split("|"))


def upstream_version(version: str) -> str:
    """`5:7.0.15-1~deb12u10` is 7.0.15: no epoch, no revision, no note about repacking."""
    plain = version.partition(":")[2] or version
    plain = plain.rpartition("-")[0] or plain
    return re.split(r"[+~]|\.dfsg", plain)[0]


def group_of(package: str) -> str:
    """The name under which Nix has a Debian package."""
    return next((name for name, part in GROUPS.items() if part.fullmatch(package)), package)


class Archive:
    """All that apt could download, with the virtual names resolved."""

    def __init__(self, known: Mapping[str, Stanza]) -> None:
        self._known = known
        self._providers: dict[str, str] = {}
        for name, fields in known.items():
            for (virtual,) in clauses(fields.get("Provides", "")):
                self._providers.setdefault(virtual, name)

    def resolve(self, name: str) -> str | None:
        """The real package for a real or virtual name, None when there is none."""
        return name if name in self._known else self._providers.get(name)

    def depends(self, package: str) -> tuple[str, ...]:
        """The real packages that one needs while it runs, in the order it names them."""
        fields = self._known[package]
        relations = (fields.get("Pre-Depends", ""), fields.get("Depends", ""))
        chosen = (self._choose(names) for relation in relations for names in clauses(relation))
        return tuple(dict.fromkeys(name for name in chosen if name and name not in INSTALL_TIME))

    def _choose(self, alternatives: tuple[str, ...]) -> str | None:
        """The first alternative that there is, as apt does; none when that is for installing."""
        if alternatives[0] in INSTALL_TIME:
            return None
        real = (self.resolve(name) for name in alternatives)
        return next((name for name in real if name), None)

    def closure(self, names: Iterable[str]) -> tuple[str, ...]:
        """The packages and all that they depend on, sorted."""
        found: set[str] = set()
        queue = list(names)
        while queue:
            name = queue.pop()
            if name not in found:
                found.add(name)
                queue += self.depends(name)
        return tuple(sorted(found))

    def deb(self, package: str) -> Deb:
        """The file of a package in the archive."""
        fields = self._known[package]
        stem = f"{package}_{fields['Version']}_{fields['Architecture']}"
        return Deb(
            package=package,
            version=fields["Version"],
            file=re.sub(r"[^A-Za-z0-9+._-]", "-", stem) + ".deb",
            sha256=fields["SHA256"],
            size=int(fields["Size"]),
        )

    def packages(self, names: Iterable[str]) -> tuple[Package, ...]:
        """The Nix packages for Debian names and all below them, sorted, free of circles."""
        members: dict[str, list[str]] = {}
        for name in self.closure(names):
            members.setdefault(group_of(name), []).append(name)
        grouped = {name: self._package(name, parts) for name, parts in members.items()}
        return without_circles(with_essentials(grouped))

    def _package(self, name: str, parts: list[str]) -> Package:
        # The part that gives the whole its version and description is the one a user
        # names: the shortest, so python3.11 and not libpython3.11-stdlib.
        leading = self._known[min(parts, key=lambda part: (-_has_version(part), len(part), part))]
        needs = (group_of(need) for part in parts for need in self.depends(part))
        return Package(
            name=name,
            version=upstream_version(leading["Version"]),
            description=leading.get("Description", ""),
            homepage=leading.get("Homepage", ""),
            needs=tuple(dict.fromkeys(need for need in needs if need != name)),
            debs=tuple(self.deb(part) for part in parts),
        )


def _has_version(part: str) -> bool:
    return bool(re.fullmatch(r"[a-z]+\d+\.\d+|postgresql-\d+", part))


def with_essentials(packages: Mapping[str, Package]) -> dict[str, Package]:
    """Every package but the essential ones, and what those need, may use the essential ones."""
    below = set(_reach(packages, ESSENTIAL)) | WITHOUT_REFERENCES
    essential = tuple(name for name in ESSENTIAL if name in packages)
    return {
        name: package
        if name in below
        else replace(package, needs=tuple(dict.fromkeys(package.needs + essential)))
        for name, package in packages.items()
    }


def _reach(packages: Mapping[str, Package], names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    queue = [name for name in names if name in packages]
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            queue += packages[name].needs
    return found


def without_circles(packages: Mapping[str, Package]) -> tuple[Package, ...]:
    """Drop each need that leads back to a package on the way to it.

    Depth first from sorted names, so that the same packages are always cut alike.
    """
    done: dict[str, Package] = {}
    on_the_way: set[str] = set()

    def visit(name: str) -> None:
        on_the_way.add(name)
        needs = () if name in WITHOUT_REFERENCES else packages[name].needs
        kept = []
        for need in needs:
            if need in on_the_way or need not in packages:
                continue
            if need not in done:
                visit(need)
            kept.append(need)
        on_the_way.remove(name)
        done[name] = replace(packages[name], needs=tuple(kept))

    for name in sorted(packages):
        if name not in done:
            visit(name)
    return tuple(done[name] for name in sorted(done))
