#!/usr/bin/env python3
"""One command for a fresh machine: prepare everything inside this checkout, then run the demo, the tests or the checks.

    python dev.py demo [--photo FILE] [--serve] [--port N]
    python dev.py test [--thorough] [pytest arguments]
    python dev.py check
    python dev.py generate
    python dev.py benchmark NAME [its arguments]
    python dev.py gpu [--minutes 9] [--device cuda|cpu] [--out FOLDER] [--size full|narrow] [--only PART ...]
    python dev.py matrix [--full] [--hosts 0.16.3 ...] [--pythons 3.12 ...]
    python dev.py mutants [--count N] [--seed N] [--only PART_OF_PATH]

Standard library only. The work is done in tools/devkit; this file stays readable by any Python 3,
so that a wrong version is told in a sentence instead of a syntax error.
"""
import sys

OLDEST, NEWEST = (3, 10), (3, 13)


def main():
    """Refuse Pythons that the host or torch has no packages for, then hand over to devkit."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        sys.stderr.write("dev.py needs Python {}.{} to {}.{}, but this is Python {}: run it with another one, for example "
                         "python3.12 dev.py.\n".format(*OLDEST, *NEWEST, sys.version.split()[0]))
        return 2
    from tools.devkit.cli import run
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
