"""What of a closure is the application: the roots, and what is theirs alone in an environment."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.fakestore import store_path
from support.graphs import closure, info, names

from nix2oci.model.closure import Closure, PathInfo
from nix2oci.plan.layers.application import application
from nix2oci.plan.layers.layering import LayerHints, plan_layers

KB, MB = 1000, 1_000_000
GLIBC, TZDATA, CACERT = "glibc-2.40", "tzdata-2026a", "nss-cacert-3.123"
BELOW = (info(GLIBC, 31 * MB), info(TZDATA, 2 * MB), info(CACERT, MB))


def over(root: str, *infos: PathInfo, size: int = KB, refers_to: tuple[str, ...] = ()) -> Closure:
    """A root that refers to all these, to data and, if it says so, to more."""
    inner = tuple(each.path.name for each in infos)
    whole = info(root, size, *inner, *(refers_to or (TZDATA, CACERT)))
    every = {each.path: each for each in (whole, *infos, *BELOW)}
    reached = {TZDATA, CACERT, GLIBC} & {
        *(path.name for each in every.values() for path in each.references),
        root,
    }
    kept = [each for each in every.values() if each.path.name in {*inner, root, *reached}]
    return closure(*kept, roots=(root,))


PYTHON = info("python3-3.13.12", 118 * MB, GLIBC)
FLASK = info("python3.13-flask-3.1.2", MB, "python3-3.13.12")
SHOP = info("python3.13-shop-1.2.0", 200 * KB, "python3-3.13.12", "python3.13-flask-3.1.2")
GUNICORN = info("python3.13-gunicorn-23.0", MB, "python3-3.13.12")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(
            over("shop-env", info("shop-src", 12 * KB), info("coreutils-9.8", 2 * MB, GLIBC)),
            {"shop-src"},
            id="a path without a version in an environment",
        ),
        pytest.param(
            over("root", info("shop", 9 * MB, GLIBC), info("curl-8.17", MB, GLIBC)),
            {"shop"},
            id="the same by symlinkJoin of any name",
        ),
        pytest.param(
            over("shop-env", info("start", KB, "shop-conf", GLIBC), info("shop-conf", KB)),
            {"start", "shop-conf"},
            id="what a path without a version refers to, without one",
        ),
        pytest.param(
            over("shop-env", info("shop-1.0", 9 * MB, GLIBC), info("curl-8.17", MB, GLIBC)),
            {"shop-1.0"},
            id="the path that has the name of the environment, with a version",
        ),
        pytest.param(
            over("shop-image", info("shop-1.0", MB, GLIBC), info("curl-8.17", MB, GLIBC)),
            {"shop-1.0"},
            id="a longer name by symlinkJoin",
        ),
        pytest.param(
            over("shop", info("shop-1.0", MB, GLIBC), info("curl-8.17", MB, GLIBC)),
            {"shop-1.0"},
            id="the very same name by symlinkJoin with data",
        ),
        pytest.param(
            closure(
                info("nginx", KB, "nginx-1.22"),
                info("nginx-1.22", 2 * MB, GLIBC),
                info(GLIBC, 31 * MB),
                roots=("nginx",),
            ),
            set[str](),
            id="a link to a package of the same name",
        ),
        pytest.param(
            over("nginx-with-conf", info("nginx-1.22", 2 * MB, GLIBC), info("nginx.conf", KB)),
            {"nginx.conf"},
            id="what a package got, and not the package",
        ),
        pytest.param(
            over("nginx-wrapped", info("nginx-1.22", 2 * MB, GLIBC)),
            set[str](),
            id="a package that got a wrapper",
        ),
        pytest.param(
            over(
                "python3-3.11.2-env",
                *(info(f"python3-{name}", MB, GLIBC) for name in ("flask-2.2", "gunicorn-20.1")),
                info("python3-3.11.2", 33 * MB, GLIBC),
            ),
            set[str](),
            id="packages that begin with the name of the interpreter",
        ),
        pytest.param(
            over("python3-3.13.12-env", PYTHON, FLASK, SHOP),
            {"python3.13-shop-1.2.0"},
            id="withPackages of one that nothing else refers to",
        ),
        pytest.param(
            closure(
                info("server-env", KB, "python3-3.13.12-env", CACERT),
                info("python3-3.13.12-env", MB, *(x.path.name for x in (PYTHON, FLASK, SHOP))),
                *(PYTHON, FLASK, SHOP, info(CACERT, MB), info(GLIBC, 31 * MB)),
                roots=("server-env",),
            ),
            {"python3-3.13.12-env", "python3.13-shop-1.2.0"},
            id="an environment in an environment, and what that is about",
        ),
        pytest.param(
            over("python3-3.13.12-env", PYTHON, FLASK, SHOP, GUNICORN),
            set[str](),
            id="withPackages of two: nobody knows which",
        ),
        pytest.param(
            over("judge", info("fpc-3.2", 350 * MB, GLIBC), info("gcc-12.1.0", 200 * MB, GLIBC)),
            set[str](),
            id="an environment of packages alone",
        ),
        pytest.param(
            over("browser-wrapped", info("browser-120.0", 300 * MB, GLIBC)),
            set[str](),
            id="a large program that got a wrapper",
        ),
        pytest.param(
            over("shop-1.0", info("shop-assets", MB), info("curl-8.17", MB, GLIBC)),
            set[str](),
            id="a root that is no environment",
        ),
        pytest.param(
            over("shop", info("theme", MB), info("curl-8.17", MB, GLIBC), size=90 * MB),
            set[str](),
            id="a root that is most of the closure",
        ),
        pytest.param(
            over("tools", info("curl-8.17", MB, GLIBC, "hook"), info("hook", KB)),
            set[str](),
            id="a path without a version that a package refers to",
        ),
        pytest.param(
            closure(info("app", 1, "lib", "tool"), info("lib", MB), info("tool", MB, "lib")),
            set[str](),
            id="a closure in which nothing has a version",
        ),
    ],
)
def test_what_the_application_is(found: Closure, expected: set[str]) -> None:
    roots = {path.name for path in found.roots}
    assert {path.name for path in application(found)} - roots == expected


def test_it_is_in_the_last_layer_and_not_with_data() -> None:
    made = over("shop-env", info("shop-src", 12 * KB), info("coreutils-9.8", 2 * MB, GLIBC))
    for budget in range(2, 7):
        assert names(plan_layers(made, budget))[-1] == ["shop-env", "shop-src"]
    assert len(names(plan_layers(made, 1))) == 1


def test_what_is_said_to_be_stable_is_no_part_of_it() -> None:
    made = over("shop-env", info("shop-theme", 12 * KB), info("shop", KB, GLIBC))
    assert names(plan_layers(made, 9, LayerHints(stable=("shop-theme",))))[-1] == [
        *("shop", "shop-env"),
    ]


def test_of_several_roots_each_is_looked_at() -> None:
    one = over("shop-env", info("shop-src", KB))
    shared = info("theme", KB)
    two = closure(
        *(replace(i, references=(*i.references, shared.path)) if i.path in one.roots else i
          for i in one.infos.values()),
        info("admin-env", KB, "theme", TZDATA),
        shared,
        roots=("shop-env", "admin-env"),
    )  # fmt: skip
    own = {path.name for path in application(two)}
    assert own == {"shop-env", "admin-env", "shop-src", "theme"}
    assert store_path(TZDATA) in two
