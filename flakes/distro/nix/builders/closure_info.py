"""Write what Nix says of a closure: `store-paths`, and `registration` for `nix-store --load-db`."""

import json
from pathlib import Path

attributes = json.loads(Path(".attrs.json").read_text())
out = Path(attributes["outputs"]["out"])
out.mkdir()
entries = [
    [path["path"], path["narHash"], path["narSize"], "", len(path["references"])]
    + path["references"]
    for path in attributes["closure"]
]
lines = [f"{word}\n" for entry in entries for word in entry]
(out / "registration").write_text("".join(lines))
(out / "store-paths").write_text("".join(f"{entry[0]}\n" for entry in entries))
