"""The miniature: a small trained family (autoencoder, base model, CapFace, a second style) made of pictures that our own renderer
draws, and widened exactly to Stable Diffusion 1.5's sizes. `python -m caphuman_train.miniature --help`."""
