"""Makes the built-in head (`python -m tools.make_head`): source, anatomy, shape, rig, landmarks, atlas, skin, in this order."""
