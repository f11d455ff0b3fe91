"""`Healthcheck` of a configuration: how an engine asks whether a container works.

Docker's own field beside those of the OCI specification (moby, docs for the image specification
v1.2): an engine that does not know it passes it over.
"""

from __future__ import annotations

from msgspec import Struct

from nix2oci.oci.fields import Fields, Json

EXEC, SHELL, NONE = "CMD", "CMD-SHELL", "NONE"
_UNITS = ((3_600_000_000_000, "h"), (60_000_000_000, "m"), (1_000_000_000, "s"), (1_000_000, "ms"))


class Healthcheck(Struct, frozen=True):
    """Times in nanoseconds; 0 is the engine's default."""

    test: tuple[str, ...]
    """`CMD` and a program with its arguments, `CMD-SHELL` and a line for /bin/sh, or `NONE`."""
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0

    @classmethod
    def read(cls, document: object) -> Healthcheck | None:
        """What somebody wrote, as far as it can be read; None where that is no test."""
        fields = Fields.of(document)
        test = fields["Test"].texts()
        found = cls(
            test,
            interval=fields["Interval"].whole() or 0,
            timeout=fields["Timeout"].whole() or 0,
            start_period=fields["StartPeriod"].whole() or 0,
            start_interval=fields["StartInterval"].whole() or 0,
            retries=fields["Retries"].whole() or 0,
        )
        return found if test else None

    @property
    def argv(self) -> tuple[str, ...]:
        """The program that is started, and its arguments; none where nothing is."""
        kind, rest = self.test[:1], self.test[1:]
        if kind == (SHELL,):
            return ("/bin/sh", "-c", *rest)
        return rest if kind == (EXEC,) else ()

    def to_json(self) -> Json:
        """As Docker writes it: what is 0 is left out."""
        found = {
            "Test": list(self.test),
            "Interval": self.interval,
            "Timeout": self.timeout,
            "StartPeriod": self.start_period,
            "StartInterval": self.start_interval,
            "Retries": self.retries,
        }
        return {key: value for key, value in found.items() if value}

    def __str__(self) -> str:
        """In one line: the command, and what is not the engine's default."""
        times = (
            ("interval", self.interval),
            ("timeout", self.timeout),
            ("start period", self.start_period),
            ("start interval", self.start_interval),
        )
        said = [f"{name} {_duration(time)}" for name, time in times if time]
        said += [f"retries {self.retries}"] if self.retries else []
        return " ".join(self.argv or ("none",)) + (f" ({', '.join(said)})" if said else "")


def _duration(nanoseconds: int) -> str:
    """`1m30s`."""
    text = ""
    for size, unit in _UNITS:
        count, nanoseconds = divmod(nanoseconds, size)
        text += f"{count}{unit}" if count else ""
    return text + (f"{nanoseconds}ns" if nanoseconds else "")
