"""Says how it was started; with --shell it asks a shell, which needs one."""

import os
import subprocess
import sys

if "--shell" in sys.argv:
    subprocess.run("echo from a shell", shell=True, check=True)  # noqa: S602
print(sys.argv[1:], os.environ["GREETING"])
