"""Everything the pack asks of ComfyUI beside schemas: folders, saved files, devices, progress, pictures."""
from .devices import compute_device, intermediate_device, load, onnx_providers, patcher, raster_device
from .folders import (
    FOLDER_KEYS,
    NO_FILE,
    WEIGHT_SUFFIXES,
    file_stamp,
    model_choice,
    model_files,
    model_folders,
    model_path,
    register_folders,
)
from .images import at_rest, rgb01, to_image
from .photos import choices, chosen_path, lay_out_samples, read_photo, sample_names, stamp
from .progress import progress_callback, show_text, stop_if_interrupted, with_progress
from .saved_files import new_output_file, saved_files, saved_path, saved_stamp

__all__ = ["FOLDER_KEYS", "NO_FILE", "WEIGHT_SUFFIXES", "at_rest", "choices", "chosen_path", "compute_device", "file_stamp",
           "intermediate_device", "lay_out_samples", "load", "model_choice", "model_files", "model_folders", "model_path",
           "new_output_file", "onnx_providers", "patcher", "progress_callback", "raster_device", "read_photo",
           "register_folders", "rgb01", "sample_names", "saved_files", "saved_path", "saved_stamp", "show_text", "stamp",
           "stop_if_interrupted", "to_image", "with_progress"]
