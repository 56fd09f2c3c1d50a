"""Everything that the repository's own work needs and no user does: never shipped, never imported by the pack.

devkit: what dev.py is made of (environment, ComfyUI's tree, servers, test suite). demo: what `dev.py demo` runs.
make_workflows, make_head, make_pictures: makers of files that are committed. stand_ins: in the place of what cannot be shipped.
"""
