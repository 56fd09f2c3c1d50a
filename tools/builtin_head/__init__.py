"""Steps of tools/export_builtin_head.py, in the order they run: source, anatomy, shape, rig, landmarks, atlas, skin."""
