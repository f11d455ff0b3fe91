"""The root of an image as people know it: /bin, /etc, users, certificates, /tmp.

The store holds every byte that is large; here are directories, links into the store, and four
small files. The hard part is sharing names fairly: what the outputs have in etc/ and bin/ and
what every image has meet in the same directories, and nobody may win in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from nix2oci.errors import ConfigError, ConflictError
from nix2oci.model.accounts import Accounts, Group, User
from nix2oci.model.closure_contents import (
    ETC_DIRECTORIES,
    ETC_FILES,
    ClosureContents,
    FoundFile,
    digest_content,
)
from nix2oci.model.links import At, resolve
from nix2oci.model.tree import (
    ROOT,
    Directory,
    Entry,
    File,
    Owned,
    Symlink,
    Tree,
    parents,
    sort_key,
    text_file,
)
from nix2oci.text import display

_OWN = "nix2oci's own"
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
"""Where the certificates are in an image that has them: the value of SSL_CERT_FILE."""

# glibc has `files` and `dns` built in; every other service is a library that an image lacks.
_NSSWITCH = """\
passwd:    files
group:     files
shadow:    files
gshadow:   files
hosts:     files dns
networks:  files
protocols: files
services:  files
ethers:    files
rpc:       files
"""

# os-release(5). Scanners choose a feed of advisories by ID: an image holds no distribution's
# packages, so it has an ID of its own. No version, lest every release change every image.
_OS_RELEASE = """\
ID=nix2oci
ID_LIKE=nixos
NAME="nix2oci"
PRETTY_NAME="nix2oci image"
"""

# Runtimes mount over dev, proc and sys.
_DIRECTORIES = (
    *(Directory(path, 0o755) for path in (ROOT, b"dev", b"etc", b"home", b"proc", b"run", b"sys")),
    *(Directory(b"usr" + path, 0o755) for path in (b"", b"/bin", b"/lib")),
    *(Directory(b"var" + path, 0o755) for path in (b"", b"/cache", b"/empty", b"/lib", b"/log")),
    Directory(b"root", 0o700),
    Directory(b"home/nonroot", 0o700, 65532, 65532),
    Directory(b"tmp", 0o1777),
    Directory(b"var/tmp", 0o1777),
)

_LINKS = (
    Symlink(b"bin", b"usr/bin"),
    Symlink(b"etc/os-release", b"../usr/lib/os-release"),
    Symlink(b"lib", b"usr/lib"),
    Symlink(b"lib64", b"usr/lib"),
    Symlink(b"sbin", b"usr/bin"),
    Symlink(b"usr/sbin", b"bin"),
    Symlink(b"var/run", b"../run"),
)

# The names that OpenSSL, Go, Python, curl and nixpkgs look for.
_CA_ALIASES = (
    Symlink(b"etc/pki/tls/certs/ca-bundle.crt", b"../../../ssl/certs/ca-certificates.crt"),
    Symlink(b"etc/ssl/cert.pem", b"certs/ca-certificates.crt"),
    Symlink(b"etc/ssl/certs/ca-bundle.crt", b"ca-certificates.crt"),
)


class ViewSwitches(Struct, frozen=True):
    """What of the view an image has; the directories, users and os-release are always there.

    `programs` and `etc` are what the outputs have in bin/ and etc/, `databases` is /etc/services,
    /etc/protocols and /etc/mime.types, `sh` is /bin/sh.
    """

    programs: bool = True
    etc: bool = True
    certificates: bool = True
    databases: bool = True
    zoneinfo: bool = True
    sh: bool = False


class _Claim(Struct, frozen=True):
    """An entry that somebody wants; two for one path agree when their contents do."""

    owned: Owned
    content: bytes


def is_common(path: bytes) -> bool:
    """Whether a path of the view is there for every program, and not what one output brings."""
    if path in {link.path for link in (*_LINKS, *_CA_ALIASES)}:
        return True
    in_etc = path.startswith(b"etc/") and path[4:] in ETC_FILES | {b"zoneinfo"}
    return in_etc or path.startswith((b"usr/lib/", b"usr/share/zoneinfo"))


def _text_content(data: bytes) -> bytes:
    import hashlib  # noqa: PLC0415  # start-up counts

    return digest_content(hashlib.sha256(data).digest())


def rootfs(
    survey: ClosureContents,
    switches: ViewSwitches,
    users: tuple[User, ...] = (),
    groups: tuple[Group, ...] = (),
    decided: Iterable[bytes] = (),
) -> Tree:
    """The whole root but the store: what is in the last layer.

    Directories that the view and an output, or several outputs, have in etc/ are merged; all
    else that an output has in bin/ or etc/ is one link to it. Where several have a thing of
    equal content, the link leads to the view's own, then to the first store path.

    `decided` are paths of which `files` says what they are: nobody clashes there, and directories
    above them are entered, so that the others in there stay.

    Raises `ConflictError` where contents differ,
    `ConfigError` for accounts that cannot be (`Accounts.of`), a home in the store, and a shell
    that is asked for and not there, and `RepresentationError` for a name no layer can carry.
    """
    accounts = Accounts.of(users, groups)
    at = set(map(_followed, decided))
    hints = [*_base(accounts), *_homes(users, survey.store_dir), *_shared(survey, switches)]
    if switches.programs:
        hints += _programs(survey.programs, with_sh=switches.sh)
    if switches.etc:
        made = {claim.owned.entry.path for claim in hints}
        hints += _etc(survey.etc, made, {above for path in at for above in parents(path)})
    return Tree.merge(_settle(hints, at))


def entered_in_etc(decided: Iterable[bytes]) -> frozenset[bytes]:
    """The directories below etc/ in which something is decided, by their names there."""
    above = {each for path in decided for each in parents(_followed(path))}
    return frozenset(each[4:] for each in above if each.startswith(b"etc/"))


def _followed(path: bytes) -> bytes:
    """Where a path is, links that every image has followed."""
    links = {b"/" + link.path: link.target for link in _LINKS}
    above, _, name = path.rpartition(b"/")
    real = resolve(above, lambda at: links.get(at, At.DIRECTORY)).path[1:]
    return real + b"/" + name if real else name


def _base(accounts: Accounts) -> Iterator[_Claim]:
    """What every image has."""
    files = (
        text_file("etc/passwd", accounts.passwd()),
        text_file("etc/group", accounts.group()),
        text_file("etc/nsswitch.conf", _NSSWITCH),
        text_file("usr/lib/os-release", _OS_RELEASE),
    )
    entries: tuple[Entry, ...] = (*_DIRECTORIES, *_LINKS, *files)
    return map(_own, entries)


def _own(entry: Entry, content: bytes | None = None) -> _Claim:
    if content is None:
        content = _own_content(entry)
    return _Claim(Owned(entry, f"{_OWN} /{display(entry.path)}"), content)


def _own_content(entry: Entry) -> bytes:
    if isinstance(entry, File):
        return _text_content(b"".join(entry.chunks))
    if entry.path == b"etc/os-release":
        return _text_content(_OS_RELEASE.encode())
    return b"directory" if isinstance(entry, Directory) else b"link to " + entry.target


def _homes(users: Iterable[User], store_dir: str) -> Iterator[_Claim]:
    """A home for each user, but none where the image has a directory already, or never has one."""
    there = {directory.path for directory in _DIRECTORIES} | {b"", b"nonexistent"}
    for user in users:
        path = user.home_path.strip("/")
        if f"{store_dir}/".startswith(f"/{path}/") or f"/{path}/".startswith(f"{store_dir}/"):
            raise ConfigError(
                f"cannot add user '{user.name}': home '{user.home_path}' is in the way of the store"
            )
        if path.encode() not in there:
            home = Directory(path.encode(), 0o700, user.uid, user.gid)
            yield _Claim(
                Owned(home, f"user '{user.name}'"), b"home of %d:%d" % (user.uid, user.gid)
            )


def _shared(survey: ClosureContents, switches: ViewSwitches) -> Iterator[_Claim]:
    """What any path of the closure may provide."""
    for loader in survey.loaders:
        yield _link(b"usr/lib/" + loader.name, loader)
    if switches.certificates and survey.ca_bundle:
        yield from _certificates(survey.ca_bundle)
    if switches.databases:
        for name, found in (
            (b"services", survey.services),
            (b"protocols", survey.protocols),
            (b"mime.types", survey.mime_types),
        ):
            if found:
                yield _link(b"etc/" + name, found)
    if switches.zoneinfo and survey.zoneinfo:
        yield _link(b"usr/share/zoneinfo", survey.zoneinfo)
        yield _link(b"etc/zoneinfo", survey.zoneinfo)
    if switches.sh:
        if survey.shell is None:
            raise ConfigError(
                "cannot link /bin/sh: there is no shell in the closure",
                hint="add one to the image, such as nixpkgs#bash, or do not ask for /bin/sh",
            )
        yield _link(b"usr/bin/sh", survey.shell)


def _certificates(bundle: FoundFile) -> Iterator[_Claim]:
    for path in sorted(ETC_DIRECTORIES):
        yield _own(Directory(b"etc/" + path, 0o755))
    yield _link(CA_BUNDLE[1:].encode(), bundle)
    for alias in _CA_ALIASES:
        yield _own(alias, bundle.content)


def _link(path: bytes, found: FoundFile) -> _Claim:
    return _Claim(Owned(Symlink(path, found.target), str(found.owner)), found.content)


def _programs(programs: Iterable[FoundFile], *, with_sh: bool) -> Iterator[_Claim]:
    for found in sorted(programs, key=_by_owner):
        if with_sh or found.name != b"sh":
            yield _link(b"usr/bin/" + found.name, found)


def _etc(etc: Iterable[FoundFile], made: set[bytes], wanted: set[bytes]) -> Iterator[_Claim]:
    """Links to what the outputs have in etc/; shared directories are entered and merged."""
    groups: dict[bytes, list[FoundFile]] = {}
    for found in sorted(etc, key=_by_owner):
        groups.setdefault(found.name, []).append(found)
    entered = {b""}
    for name in sorted(groups, key=sort_key):
        path, group = b"etc/" + name, groups[name]
        if name.rpartition(b"/")[0] not in entered:
            continue
        is_made = (path in made and name in ETC_DIRECTORIES) or path in wanted
        if all(f.directory for f in group) and (is_made or len({f.content for f in group}) > 1):
            entered.add(name)
            yield _Claim(Owned(Directory(path, 0o755), str(group[0].owner)), b"directory")
        else:
            yield from (_link(path, found) for found in group)


def _by_owner(found: FoundFile) -> tuple[tuple[bytes, ...], str, str, str]:
    owner = found.owner
    return sort_key(found.name), owner.name, owner.hash_part, owner.store_dir


def _settle(hints: Iterable[_Claim], decided: set[bytes]) -> Iterator[Owned]:
    """The first wish for each path; the others must want the same content there.

    But where it is decided elsewhere what is there.
    """
    chosen: dict[bytes, _Claim] = {}
    for claim in hints:
        path = claim.owned.entry.path
        first = chosen.setdefault(path, claim)
        if path in decided:
            continue
        if first.content != claim.content and first.owned.entry != claim.owned.entry:
            raise _clash(path, first.owned.owner, claim.owned.owner)
    return (claim.owned for claim in chosen.values())


def _clash(path: bytes, one: str, other: str) -> ConflictError:
    error = ConflictError("/" + display(path), (one, other))
    error.hint = _remedy(path, one)
    return error


def _remedy(path: bytes, first: str) -> str:
    part = "programs" if path.startswith(b"usr/bin/") else "etc"
    switch = f"all such links are left out with: --view no-{part}"
    if path in (b"etc/passwd", b"etc/group"):
        return (
            "name users and groups under 'users' and 'groups', from which nix2oci makes this file, "
            "and leave the package out (fakeNss and the like)"
        )
    if first.startswith(_OWN):
        return f"leave it out of the package; {switch}"
    return (
        "leave one of them out, or join them in the flake with buildEnv, where the lower "
        f"meta.priority wins, and name that; {switch}"
    )
