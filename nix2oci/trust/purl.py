"""Package URLs and CPEs: the names by which scanners know packages.

The package URL type of Nix is not settled (package-url/purl-spec, candidate types), so it is
written here and nowhere else; as it is, syft writes the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from nix2oci.model.closure import StorePath
from nix2oci.model.package_name import PackageName

_CPE_PART = r"(?:[A-Za-z0-9._*?-]|\\[!-/:-@\[-`{-~])+"
_CPE = re.compile(rf"cpe:2\.3:[aho*-](?::{_CPE_PART}){{10}}")
_PURL = re.compile(r"pkg:[a-z][a-z0-9.+-]*/[!-~]+")
_GITHUB = re.compile(
    r"https://github\.com/([\w.-]+)/([\w.-]+)/(?:archive/(?:refs/tags/)?|releases/download/)"
    r"([\w.+-]+?)(?:\.tar\.gz|\.zip|/[\w.+-]+)"
)
_PYPI = re.compile(r"(?:mirror://pypi|https://[\w.]+/packages/source)/\w/([\w.-]+)/[\w.+-]+")
_PUBLIC = re.compile(r"(?:https?|ftp|mirror)://[\w.:-]+/[\w./+~%,=-]*")
_DISTRIBUTION = re.compile(r"[-_.]+")


def purl(
    kind: str, name: str, version: str = "", qualifiers: Mapping[str, str] | None = None
) -> str:
    """A package URL; slashes of `name` divide its namespace (purl-spec, PURL-SPECIFICATION.rst).

    Qualifiers are sorted, those without a value left out.
    """
    path = "/".join(quote(part, safe="") for part in name.split("/") if part)
    at = f"@{quote(version, safe='')}" if version else ""
    known = sorted((qualifiers or {}).items())
    rest = "&".join(f"{key}={quote(value, safe='')}" for key, value in known if value)
    return f"pkg:{kind}/{path}{at}{'?' + rest if rest else ''}"


def nix_purl(path: StorePath, named: PackageName) -> str:
    """That of a store path, whose hash part tells it from others of the same version."""
    known = {"output": named.output, "outputhash": path.hash_part}
    return purl("nix", named.package.replace("/", "-"), named.version, known)


def language_purl(kind: str, name: str, version: str) -> str:
    """That of a package of a language, by the name that its ecosystem has for it."""
    if kind == "pypi":
        name = _DISTRIBUTION.sub("-", name).lower()
    elif kind == "maven":
        name = name.replace(":", "/")
    elif kind == "golang":  # Go calls its own version go1.23, and that of any module v1.23
        version = re.sub(r"^go(?=\d)", "v", version)
    return purl(kind, name, version)


def source_purl(url: str, name: str, version: str) -> str:
    """That of a source, by where it comes from; empty where that is no public place.

    A place that needs a password, or has what may be one in its query, is none.
    """
    if match := _GITHUB.fullmatch(url):
        owner, repository, revision = match[1], match[2].removesuffix(".git"), match[3]
        return purl("github", f"{owner}/{repository}".lower(), revision)
    if match := _PYPI.fullmatch(url):
        return language_purl("pypi", match[1], version)
    if name and _PUBLIC.fullmatch(url):
        return purl("generic", name, version, {"download_url": url})
    return ""


def is_purl(text: str) -> bool:
    """Whether text that others wrote may stand where a package URL is expected."""
    return _PURL.fullmatch(text) is not None


def is_cpe(text: str) -> bool:
    """Whether it is a CPE 2.3 name (NIST IR 7695, formatted string)."""
    return _CPE.fullmatch(text) is not None


def guessed_cpe(name: str, version: str) -> str:
    """A CPE as scanners guess it: the package is its own vendor."""
    product = _escaped(name.lower())
    return f"cpe:2.3:a:{product}:{product}:{_escaped(version) or '*'}" + ":*" * 7


def _escaped(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", lambda found: "\\" + found[0], text)
