"""What is tried for each image of a run, and which of them failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from msgspec import Struct, field

from nix2oci.errors import Nix2OCIError

T = TypeVar("T")


@contextmanager
def naming(image: str) -> Iterator[None]:
    """Say of which image of a run an error is."""
    try:
        yield
    except Nix2OCIError as err:
        if not err.image:
            err.image = image
            err.args = (f"image '{image}': {err}",)
        raise


class Attempts(Struct, frozen=True):
    """With `keep_going` a run does without the images that failed; else it ends with the first."""

    keep_going: bool
    say: Callable[[Nix2OCIError], None]
    """Told of each error that does not end the run."""
    errors: dict[str, Nix2OCIError] = field(default_factory=dict)
    """By the name of the image."""

    def run(self, name: str, work: Callable[[], T]) -> T | None:
        """What comes of the work for an image; None where it failed. The error names the image."""
        try:
            with naming(name):
                return work()
        except Nix2OCIError as err:
            self.fail(name, err)
            return None

    def fail(self, name: str, err: Nix2OCIError) -> None:
        """Note that an image failed; raises the error where the run is not to keep going."""
        if not self.keep_going:
            raise err
        self.errors[name] = err
        self.say(err)
