"""Where photos come from: folders, webdataset tars, parquet files and Hugging Face data sets. `open_source` chooses."""
from .index import open_source
from .photo import Item, Photo, Source

__all__ = ["Item", "Photo", "Source", "open_source"]
