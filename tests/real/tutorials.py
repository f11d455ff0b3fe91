"""The pages that are one session from their first line to their last."""

from support.paths import DOCS

ON_BARE_DEBIAN = DOCS / "tutorial-without-nix.md"
TYPED_HERE = (DOCS / "tutorial-nix.md", *sorted(DOCS.glob("from-*.md")))
TUTORIALS = (*TYPED_HERE, ON_BARE_DEBIAN)
