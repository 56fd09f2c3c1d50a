"""The 3D head: models and their files, posing, camera, light, fitting, editing."""
