"""Face detectors, one file each; `index` lists them."""
