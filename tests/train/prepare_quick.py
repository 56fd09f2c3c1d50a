"""python prepare_quick.py DATA SHARDS [options of prepare]: the command with quick stand-ins for the networks, to be killed.

PYTHONPATH names the checkout and this folder.
"""
from __future__ import annotations

import sys

if __name__ == "__main__":
    import narrow_tools

    from caphuman_train.cli import main
    from caphuman_train.prepare.tools import ToolFiles
    ToolFiles.load = property(lambda files: narrow_tools.load_quick)
    sys.exit(main(["prepare", *sys.argv[1:]]))
