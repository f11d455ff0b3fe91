"""A store on disk without Nix: files at its store paths, and the closure of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nix2oci.model.closure import Closure, PathInfo, StorePath

Files = Mapping[str, str]


def path_of(name: str, store_dir: str = "/nix/store") -> StorePath:
    """A store path whose hash part is as good as any."""
    return StorePath(store_dir, "0" * 32, name)


def store(top: Path, roots: tuple[str, ...], objects: Mapping[str, Files | str | None]) -> Closure:
    """A store at `top` and the closure of all its objects; the first root refers to all.

    An object is a mapping of its files: content (`x:` in front makes it executable), `-> target`
    for a link, `/` for an empty directory. `@name` in a target is that object's store path.
    A text is a file or link at the store path itself, None is an object that is gone.
    """
    paths = {name: path_of(name) for name in objects}
    for name, files in objects.items():
        at = Path(f"{top}{paths[name]}")
        at.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(files, str):
            put(at, files)
        elif files is not None:
            at.mkdir()
            for file, content in files.items():
                put(at / file, content)
    infos = [
        PathInfo(p, bytes(32), 0, tuple(paths.values()) if n == roots[0] else ())
        for n, p in paths.items()
    ]
    return Closure.of(infos, [paths[root] for root in roots])


def put(at: Path, content: str) -> None:
    at.parent.mkdir(parents=True, exist_ok=True)
    if content == "/":
        at.mkdir()
    elif content.startswith("-> "):
        at.symlink_to(content[3:].replace("@", f"/nix/store/{'0' * 32}-"))
    else:
        at.write_text(content.removeprefix("x:"))
        at.chmod(0o555 if content.startswith("x:") else 0o444)
