"""Development files in an image, as a line that says how to find what keeps them."""

from __future__ import annotations

from nix2oci import text
from nix2oci.model.closure import Closure
from nix2oci.model.package_name import PackageName
from nix2oci.plan.development import development_files

_SHOWN = 6


def lines(closure: Closure, named: str, image: str = "") -> list[str]:
    """A warning, where there are any; `named` is what `nix2oci why` takes for the closure.

    `image` is its name, where there are several.
    """
    found = development_files(closure)
    if not found:
        return []
    titles = dict.fromkeys(PackageName.parse(path.name).title for path in found)
    size = text.size(sum(closure.infos[path].nar_size for path in found))
    said = f"{text.and_more([*titles], _SHOWN)}: development files in the image, {size}"
    of = f"{image}: " if image else ""
    return [f"warning: {of}{said}; what keeps them: nix2oci why {named} {found[0].name}"]
