"""The golden numbers of tests/golden, asked of any network on any device: by the tests, and by `dev.py gpu` on a card.

compare: how far two tensors are apart, and the reference's tolerances. diffusion: CapFace, noise predictions and DDIM runs.
faces: the networks that look at faces. heads: the head model and its pictures.
"""
