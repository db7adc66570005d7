"""lock.py: renew lock.txt with the newest versions that pyproject.toml allows, and say what has changed.

The lock is universal: one file for every Python from 3.11 on and every platform, of all extras. pip takes it
as constraints, so whatever part of labkit is installed has the versions that are written there. uv, which can
make such a file, must be beside the Python that runs this: `make update` installs it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "lock.txt"
HEAD = """\
# The version of every package that `make` and Binder install, for all extras and every Python from 3.11 on.
# Written by `make update`.
"""


def versions(text: str) -> dict[str, str]:
    """Package to version; to several if they depend on the Python or the platform."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, equal, rest = line.partition("==")
        if equal and not line.startswith("#"):
            found.setdefault(name, []).append(rest.partition(" ;")[0])
    return {name: ", ".join(sorted(set(each))) for name, each in found.items()}


def changes(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """A line for each package that has another version."""
    return [
        f"{name}  {before.get(name, 'new')} -> {after.get(name, 'not needed')}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def main() -> int:
    """Write the file: the exit status."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--all-extras"]
    options = ["--upgrade", "--no-annotate", "--no-header", "pyproject.toml"]
    made = subprocess.run([*command, *options], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if made.returncode:
        return made.returncode
    before = versions(LOCK.read_text()) if LOCK.exists() else {}
    LOCK.write_text(HEAD + made.stdout)
    found = changes(before, versions(made.stdout))
    print("\n".join(found) if found else "lock.txt is as it was: there is nothing newer.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
