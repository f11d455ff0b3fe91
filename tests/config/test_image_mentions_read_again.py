"""Text with images resolved, read by another parser: all but the references is the same."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from support.second_reader import documents

from nix2oci.config.image_mentions import SCHEME, read_mentions
from nix2oci.errors import ConfigError

REFERENCES = {
    f"{SCHEME}.#app": "r.example/app@sha256:" + "a" * 64,
    f"{SCHEME}.#it's": "r.example/its@sha256:" + "b" * 64,
    f"{SCHEME}#web": "[::1]:5000/web@sha256:" + "c" * 64,
}
BY_INSTALLABLE = {name.removeprefix(SCHEME): there for name, there in REFERENCES.items()}
SCALARS = st.one_of(
    st.sampled_from(tuple(REFERENCES)),
    st.sampled_from([f"{SCHEME}.#app ", f"run {SCHEME}.#app", "---", "a\n--- b\n", "x: y", "# z"]),
    st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=12),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(SCALARS, inner, max_size=4),
    max_leaves=12,
)
STYLES = st.sampled_from([None, "'", '"', "|", ">"])


class Dumper(yaml.SafeDumper):
    """Writes each scalar in the next of some styles."""

    styles: list[str | None]

    def represent_scalar(self, tag: str, value: str, style: str | None = None) -> yaml.ScalarNode:
        self.styles = [*self.styles[1:], self.styles[0]]
        return super().represent_scalar(tag, value, style or self.styles[0])

    def ignore_aliases(self, data: object) -> bool:
        return not isinstance(data, list | dict) or not data


def check(data: bytes) -> None:
    """All but the references is the same, to the byte and to the reader."""
    found = read_mentions(data, "f.yaml")
    after = found.resolved(BY_INSTALLABLE)
    assert documents(after) == documents(data, REFERENCES)
    text, kept, done = data.decode().removeprefix("\ufeff"), [], 0
    for mention in found.mentions:
        kept.append(text[done : mention.start])
        done = mention.end
    rest = after.decode().removeprefix("\ufeff")
    for piece in kept:
        assert piece in rest
        rest = rest[rest.index(piece) + len(piece) :]
    assert rest.endswith(text[done:])


@given(
    trees=st.lists(TREES, min_size=1, max_size=3),
    styles=st.lists(STYLES, min_size=1, max_size=7),
    flow=st.sampled_from([True, False, None]),
    width=st.sampled_from([20, 80]),
    line_break=st.sampled_from(["\n", "\r\n"]),
)
@settings(max_examples=150, deadline=None)
def test_what_a_program_writes(
    *, trees: list[object], styles: list[str | None], flow: bool | None, width: int, line_break: str
) -> None:
    kind = type("Styled", (Dumper,), {"styles": styles})
    text = yaml.dump_all(
        trees, Dumper=kind, default_flow_style=flow, width=width, line_break=line_break,
        allow_unicode=True, explicit_start=True,
    )  # fmt: skip
    check(text.encode())


NAMES = tuple(REFERENCES)
MARKS = (
    "- ",
    "? ",
    ": ",
    "a:",
    "&x ",
    "*x ",
    "!t ",
    "!!str ",
    "'",
    '"',
    "|",
    ">",
    "-",
    "+",
    "2",
    "#",
)
BREAKS = ("\n", "\n  ", "\n    ", "\r\n", "\n\n", "\n---\n", "\n...\n", "\u2028", "\x85", "\t", " ")
FLOW = ("{", "}", "[", "]", ", ", '"a":', "\\", "a", "é", "😀", "%YAML 1.1\n---\n")
PIECES = st.lists(st.sampled_from([*NAMES, *MARKS, *BREAKS, *FLOW]), max_size=7).map("".join)


@given(st.tuples(PIECES, st.sampled_from(NAMES), PIECES).map("".join))
@example("- &x  !t\n  # c\n  'nix2oci://.#app'\n- *x")
@example("a: |\u2028  nix2oci://.#app")
@settings(max_examples=500, deadline=None)
def test_what_nobody_would_write(text: str) -> None:
    """Where both parsers read it at all."""
    try:
        documents(text.encode())
        found = read_mentions(text.encode(), "f.yaml")
    except (yaml.YAMLError, ConfigError):
        return
    assume({each.installable for each in found.mentions} <= BY_INSTALLABLE.keys())
    check(text.encode())


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_the_second_reader_sees_what_was_replaced(name: str) -> None:
    data = f"a: {name}\n{name}: |\n  {name}\n".encode()
    assert documents(data) != documents(data, REFERENCES)
    check(data)
