"""What stands in for files that cannot be shipped, for tests, demo and pictures alike.

detfill: numbers that follow from a name. face_synthetic: a head in FLAME's file formats. diffusion_nets: networks with the golden
numbers' weights. narrow_nets, narrow_files, narrow_sd15: the same networks a tenth as wide, as files, and for a server.
sd15_shapes, untrained_weights: the demo's model files. people: photos of people who may be shown.
"""
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2] / "tests"
GOLDEN, PHOTOS = TESTS / "golden", TESTS / "photos"          # data only: nothing of tests/ is imported here
