"""The pictures of the pages. Each module draws one kind: `python -m tools.make_pictures.NAME`, in `dev.py test`'s .venv."""
