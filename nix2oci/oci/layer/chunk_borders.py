"""Where the content of a file is cut, so that a client finds what it has of an older version.

Borders follow the content alone: store references, whose hashes change with every rebuild, are cut
out, and what lies between is cut where its own bytes say so, so that bytes that were shifted by
an insertion are found again.
"""

from __future__ import annotations
