"""The root of an image as people know it: /bin, /etc, users, certificates, /tmp.

The store holds every byte that is large; here are directories, links into the store, and four
small files. The hard part is sharing names fairly: what the outputs have in etc/ and bin/ and
what every image has meet in the same directories, and nobody may win in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from nix2oci.errors import ConfigError
from nix2oci.model.accounts import Accounts, Group, User
from nix2oci.model.closure_contents import (
    ETC_DIRECTORIES,
    OWN_FILES,
    ClosureContents,
    FoundFile,
    is_of_state,
)
from nix2oci.model.links import At, resolve
from nix2oci.model.tree import (
    ROOT,
    Directory,
    Owned,
    Symlink,
    Tree,
    parents,
    sort_key,
)
from nix2oci.plan.claims import Claim, link, own, settle
from nix2oci.plan.own_files import Asked, OwnFiles
from nix2oci.plan.view_switches import ViewSwitches

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
"""Where the certificates are in an image that has them: the value of SSL_CERT_FILE."""

LOCALES = b"usr/lib/locale"
"""Where a C library that is not of nixpkgs looks for locales."""

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


def is_common(path: bytes) -> bool:
    """Whether a path of the view is there for every program, and not what one output brings."""
    if path in {each.path for each in (*_LINKS, *_CA_ALIASES)}:
        return True
    if path in OWN_FILES or path == b"etc/zoneinfo":
        return True
    return path.startswith((b"usr/lib/", b"usr/share/zoneinfo"))


def rootfs(
    survey: ClosureContents,
    switches: ViewSwitches,
    users: tuple[User, ...] = (),
    groups: tuple[Group, ...] = (),
    *,
    decided: Iterable[bytes] = (),
    enter: Callable[[bytes], bool] = lambda _: False,
) -> Tree:
    """The whole root but the store: what is in the last layer.

    Directories that the root has itself, or several outputs have, are merged; all else that an
    output has for the root is one link to it. Where several have a thing of equal content, the
    link leads to the root's own, then to the first store path.

    `decided` are paths of which `files` says what they are: nobody clashes there. Directories of
    outputs that are above them, or that `enter` names, are real ones, so that something can be
    put there and the others in there stay.

    Raises `ConflictError` where contents differ,
    `ConfigError` for accounts that cannot be (`Accounts.of`), a home in the store, and a shell
    that is asked for and not there, and `RepresentationError` for a name no layer can carry.
    """
    accounts = Accounts.of(users, groups)
    asked = Asked({user.name for user in users}, {group.name for group in groups})
    at = set(map(_followed, decided))
    places = [each for each in survey.places if _is_on(each.name, switches)]
    files = OwnFiles.of(accounts, asked, places)
    claims = [*_base(), *files.claims()]
    claims += [*_homes(users, survey.store_dir), *_shared(survey, switches)]
    if switches.programs:
        claims += _programs(survey.programs, with_sh=switches.sh)
    made = {claim.path for claim in claims if isinstance(claim.owned.entry, Directory)}
    inside = real_directories(decided, users)
    inside |= {above for each in places if each.copied for above in parents(each.name)}
    claims += _places(places, made, files, lambda path: path in inside or enter(path))
    return Tree.merge(settle(claims, at))


def real_directories(
    decided: Iterable[bytes], users: Iterable[User], writable: Iterable[bytes] = ()
) -> frozenset[bytes]:
    """Directories of the root in which something is decided, a home or `writable`."""
    homes = [user.home_path.strip("/").encode() for user in users]
    inside = {_followed(path) for path in (*homes, *writable)}
    above = {each for path in (*inside, *map(_followed, decided)) for each in parents(path)}
    return frozenset(inside | above)


def _is_on(name: bytes, switches: ViewSwitches) -> bool:
    return switches.etc if name.partition(b"/")[0] == b"etc" else switches.places


def _followed(path: bytes) -> bytes:
    """Where a path is, links that every image has followed."""
    links = {b"/" + link.path: link.target for link in _LINKS}
    above, _, name = path.rpartition(b"/")
    real = resolve(above, lambda at: links.get(at, At.DIRECTORY)).path[1:]
    return real + b"/" + name if real else name


def _base() -> Iterator[Claim]:
    """The directories and links of every image."""
    yield from map(own, _DIRECTORIES)
    yield from map(own, _LINKS)


def _homes(users: Iterable[User], store_dir: str) -> Iterator[Claim]:
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
            yield Claim(Owned(home, f"user '{user.name}'"), b"home of %d:%d" % (user.uid, user.gid))


def _shared(survey: ClosureContents, switches: ViewSwitches) -> Iterator[Claim]:
    """What any path of the closure may provide."""
    for loader in survey.loaders:
        yield link(b"usr/lib/" + loader.name, loader)
    if switches.certificates and survey.ca_bundle:
        yield from _certificates(survey.ca_bundle)
    if switches.databases:
        for name, found in (
            (b"services", survey.services),
            (b"protocols", survey.protocols),
            (b"mime.types", survey.mime_types),
        ):
            if found:
                yield link(b"etc/" + name, found)
    if switches.zoneinfo and survey.zoneinfo:
        yield link(b"usr/share/zoneinfo", survey.zoneinfo)
        yield link(b"etc/zoneinfo", survey.zoneinfo)
    if switches.locales and survey.locales:
        yield link(LOCALES, survey.locales)
    if switches.sh:
        if survey.shell is None:
            raise ConfigError(
                "cannot link /bin/sh: there is no shell in the closure",
                hint="add one to the image, such as nixpkgs#bash, or do not ask for /bin/sh",
            )
        yield link(b"usr/bin/sh", survey.shell)


def _certificates(bundle: FoundFile) -> Iterator[Claim]:
    for path in sorted(ETC_DIRECTORIES):
        yield own(Directory(path, 0o755))
    yield link(CA_BUNDLE[1:].encode(), bundle)
    for alias in _CA_ALIASES:
        yield own(alias, bundle.content)


def _programs(programs: Iterable[FoundFile], *, with_sh: bool) -> Iterator[Claim]:
    for found in sorted(programs, key=_by_owner):
        if with_sh or found.name != b"sh":
            yield link(b"usr/bin/" + found.name, found)


def _places(
    places: Iterable[FoundFile],
    made: set[bytes],
    files: OwnFiles,
    enter: Callable[[bytes], bool],
) -> Iterator[Claim]:
    """Links to what the outputs have for the root; what must be a real directory is entered."""
    groups: dict[bytes, list[FoundFile]] = {}
    for found in sorted(places, key=_by_owner):
        groups.setdefault(found.name, []).append(found)
    entered = {b"", *made}
    for path in sorted(groups, key=sort_key):
        group = groups[path]
        if path.rpartition(b"/")[0] not in entered:
            continue
        if not (all(found.directory for found in group) and _is_real(path, group, made, enter)):
            yield from (files.copy(path, found) for found in group)
            continue
        entered.add(path)
        if path not in made:
            owner = str(group[0].owner)
            yield Claim(Owned(Directory(path, 0o755), owner), b"directory", group[0].priority)


def _is_real(
    path: bytes, group: list[FoundFile], made: set[bytes], enter: Callable[[bytes], bool]
) -> bool:
    """Whether a directory of outputs is one of the root, too, and no link."""
    if path in made or is_of_state(path) or enter(path):
        return True
    return all(found.is_empty for found in group) or len({found.content for found in group}) > 1


def _by_owner(found: FoundFile) -> tuple[tuple[bytes, ...], str, str, str]:
    owner = found.owner
    return sort_key(found.name), owner.name, owner.hash_part, owner.store_dir
