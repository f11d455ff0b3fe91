"""The key `view`: which parts of the root an image has."""

from __future__ import annotations

from msgspec import Struct


class ViewSwitches(Struct, frozen=True):
    """What of the view an image has; the directories, users and os-release are always there.

    `programs` and `etc` are what the outputs have in bin/ and etc/, `places` what they have
    elsewhere for the root, `databases` is /etc/services, /etc/protocols and /etc/mime.types, `sh`
    is /bin/sh.
    """

    programs: bool = True
    etc: bool = True
    places: bool = True
    certificates: bool = True
    databases: bool = True
    zoneinfo: bool = True
    locales: bool = True
    sh: bool = False
