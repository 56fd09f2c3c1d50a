"""Makes the built-in head (`python -m tools.make_head`): source, anatomy, shape, rig (with corrections and teeth),
landmarks, atlas, skin (with occlusion), hair, in this order."""
