"""The pages say what the program has: commands, options, keys, errors; and their links lead on."""

from __future__ import annotations

import functools
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml
from support import cli_page
from support.paths import DOCS, ROOT

from nix2oci import errors
from nix2oci.config.keys import BY_FLAG, KEYS
from nix2oci.errors import Nix2OCIError

pytestmark = pytest.mark.pages

README = (ROOT / "README.md").read_text()
TABLE_ROW = re.compile(r"^\| `?([\w-]+)`? \| (\d+|[^|]*) \|", re.MULTILINE)


@functools.cache
def known_files() -> tuple[Path, ...]:
    """The files of the repository: those that git knows, or all where there is no git."""
    argv = ["git", "-C", str(ROOT), "ls-files", "-z"]
    done = subprocess.run(argv, capture_output=True, check=False)
    if done.returncode:
        return tuple(path for path in ROOT.rglob("*") if path.is_file())
    return tuple(ROOT / name for name in os.fsdecode(done.stdout).split("\0")[:-1])


PAGES = sorted(
    path for path in known_files() if path.suffix == ".md" and path.parent in {ROOT, DOCS}
)


def classes(base: type[Nix2OCIError] = Nix2OCIError) -> Iterator[type[Nix2OCIError]]:
    if base.__module__ == errors.__name__:
        yield base
    for child in base.__subclasses__():
        yield from classes(child)


def section(page: str, heading: str) -> str:
    """The text below a heading, up to the next of its level."""
    level = re.escape(heading.partition(" ")[0])
    found = re.search(
        rf"^{re.escape(heading)}\n(.*?)(?=^{level} |\Z)", page, re.DOTALL | re.MULTILINE
    )
    assert found, heading
    return found[1]


def test_cli_page_is_what_the_commands_say() -> None:
    assert (DOCS / "cli.md").read_text() == cli_page.page(), f"rewrite it: {cli_page.__doc__}"


def test_cli_page_has_every_command_and_option() -> None:
    page = (DOCS / "cli.md").read_text()
    for name, command in cli_page.commands().items():
        assert f"\n## nix2oci {name}\n" in page
        for option in command.params:
            if isinstance(option, click.Option):
                for spelling in option.opts:
                    assert re.search(rf"`{spelling}[` ]", page), f"{name} {spelling}"


def test_every_key_of_the_file_has_its_option_and_its_section() -> None:
    command, page = cli_page.commands()["build"], (DOCS / "configuration.md").read_text()
    options = {spelling for option in command.params for spelling in option.opts}
    assert {f"--{name}" for name in BY_FLAG} <= options
    for key in KEYS:
        assert f"\n### `{key}`\n" in page


def test_errors_page_has_every_class_with_its_exit_code() -> None:
    table = section((DOCS / "errors.md").read_text(), "## Each error")
    rows = {name: int(code) for name, code in TABLE_ROW.findall(table) if name.endswith("Error")}
    assert rows == {cls.__name__: cls.exit_code for cls in classes()}
    assert list(rows) == re.findall(r"(\w+Error) ", errors.__doc__ or "")


def test_the_errors_page_has_every_exit_code() -> None:
    page = (DOCS / "errors.md").read_text().partition("## Each error")[0]
    in_page = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert in_page == {0, 70, 130} | {cls.exit_code for cls in classes()}


def headings(page: Path) -> set[str]:
    """The anchors of a page, as code hosts make them of its headings."""
    found = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


def test_the_pages_are_grouped_and_each_is_there_once() -> None:
    page = (DOCS / "README.md").read_text()
    links = re.findall(r"\]\(([\w-]+\.md)\)", page)
    pages = [path.name for path in PAGES if path.parent == DOCS and path.name != "README.md"]
    assert sorted(links) == sorted(pages)
    groups = re.findall(r"^## (.*)$", page, re.MULTILINE)
    assert groups == ["Start", "Deploy", "Understand", "Reference", "Develop"]
    assert "](docs/README.md)" in README


def test_every_dev_command_that_a_page_names_is_there() -> None:
    listed = set(re.findall(r"^#: (\w+)", (ROOT / "dev").read_text(), re.MULTILINE))
    for page in PAGES:
        for name in re.findall(r"\./dev (\w+)", page.read_text()):
            assert name in {*listed, "lists"}, f"{page.name}: ./dev {name}"


WORKFLOWS = tuple(path for path in known_files() if path.is_relative_to(ROOT / ".github/workflows"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_types_what_a_developer_types_and_may_only_read(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    commands = set(re.findall(r"^#: ([\w-]+)", (ROOT / "dev").read_text(), re.MULTILINE))
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        for step in job["steps"]:
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "actions/checkout@v4"))
            script = step.get("run", "")
            assert set(re.findall(r"\./dev ([\w-]+)", script)) <= commands
            for ours in re.findall(r"^\.\S+", script):
                assert (ROOT / ours).exists(), ours


def test_the_page_of_pipelines_has_every_input_and_output_of_the_action() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    page = section((DOCS / "ci.md").read_text(), "## GitHub Actions")
    cells = re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE)
    named = [name for cell in cells for name in re.findall(r"`([\w-]+)`", cell)]
    assert named == [*action["inputs"], *action["outputs"]]


def test_every_file_that_a_page_names_is_there() -> None:
    named = re.compile(r"`((?:tests|nix2oci|flakes|docs)/[\w./-]*\w)`")
    for page in PAGES:
        for path in named.findall(page.read_text()):
            assert (ROOT / path).exists(), f"{page.name}: {path}"


def test_the_map_of_the_house_has_every_module() -> None:
    page = (DOCS / "architecture.md").read_text()
    modules = [path for path in known_files() if path.is_relative_to(ROOT / "nix2oci")]
    missing = [
        str(module.relative_to(ROOT))
        for module in modules
        if module.suffix == ".py" and module.name != "__init__.py" and module.name not in page
    ]
    assert missing == []


def test_files_of_one_name_in_two_rooms_are_named_on_the_map() -> None:
    page = (DOCS / "architecture.md").read_text()
    rooms: dict[str, set[Path]] = {}
    for path in known_files():
        if path.is_relative_to(ROOT / "nix2oci") and path.suffix == ".py":
            rooms.setdefault(path.name, set()).add(path.parent)
    shared = {name for name, places in rooms.items() if len(places) > 1} - {"__init__.py"}
    named = page[page.index("## Names that stand in two rooms") :]
    assert shared == set(re.findall(r"`(\w+\.py)`", named))


# --- what no file of the project may say -----------------------------------------------------

# With a ~ in each word, so that this file does not say it either.
FORBIDDEN = {
    rule: pattern.replace("~", "")
    for rule, pattern in {
        "a path of one machine": r"/wo~rk/|(?<!/1)(?<!pid)/ro~ot/\w|/tmp/br~ief",
        "a directory beside the repository": r"\bsha~red/",
        "a host of a package registry": r"python~hosted\.|py~pi\.org|npm~js\."
        r"|(deb|ftp|snapshot)\.deb~ian\.",
        "how it was written": r"(?i)\bcla~ude\b|\bL~LM\b|\bchat~gpt\b|\banth~ropic\b|br~ief\.md",
    }.items()
}


def test_known_files_are_there() -> None:
    """The rules below are about something."""
    names = {str(path.relative_to(ROOT)) for path in known_files()}
    assert {"pyproject.toml", "nix2oci/errors.py"} <= names


@pytest.mark.parametrize("rule", FORBIDDEN)
def test_no_file_names(rule: str) -> None:
    found = []
    for path in known_files():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        lines = (line for line in text.splitlines() if re.search(FORBIDDEN[rule], line))
        found += [f"{path.relative_to(ROOT)}: {line.strip()[:120]}" for line in lines]
    assert found == []
