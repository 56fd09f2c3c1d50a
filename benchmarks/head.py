"""Speed of the head: rendering against pytorch3d's CPU rasterizer, batches, previews, loading.

    python dev.py benchmark head [--slow]      (--slow: also the minutes-long pytorch3d baseline at 512 x 512)

Prints a table of ratios, each measured side by side in this run; processor seconds, median.
"""
from __future__ import annotations

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path


def seconds(function: Callable[[], object], repeats: int) -> float:
    """Median processor seconds."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return statistics.median(times)


def main() -> None:
    from caphuman_core.files.convert import convert, find_jobs
    from caphuman_core.head.edit.edit import Edit, edit_head
    from caphuman_core.head.model.flame_files import find_flame_files, load_flame
    from caphuman_core.head.model.head_model import load_builtin, load_file
    from caphuman_core.head.new import new_head
    from caphuman_core.render.maps import render
    from caphuman_core.render.pytorch3d_raster import rasterize_pytorch3d
    from tools.stand_ins import face_synthetic
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--slow", action="store_true")
    slow = options.parse_args().slow
    import torch
    torch.set_num_threads(1)             # processor seconds of waiting threads would count too

    model = load_builtin()
    head = edit_head(new_head(model, 512, 512), model, Edit(yaw_degrees=20))
    rows = []
    render(head, model, 64, 64)
    ours = seconds(lambda: render(head, model, 512, 512), 7)
    if slow and importlib.util.find_spec("pytorch3d"):
        theirs = seconds(lambda: render(head, model, 512, 512, rasterizer=rasterize_pytorch3d), 1)
        rows.append((f"hint 512x512, {len(model.template)} vertices, CPU", "pytorch3d's CPU rasterizer", theirs, ours))
    batch = head.replace(**{name: value.repeat(64, *[1] * (value.dim() - 1)) for name, value in vars(head).items()
                            if hasattr(value, "repeat")})
    many = seconds(lambda: render(batch, model, 256, 256), 1) / 64
    one = seconds(lambda: render(head, model, 256, 256), 15)
    rows.append(("one of 64 heads in a batch, 256x256", "one head alone", one, many))
    rows.append(("preview 256x256", "hint 512x512", ours, one))
    with tempfile.TemporaryDirectory() as folder:
        face_synthetic.write(folder)
        face_synthetic.write_texture(folder)
        path = Path(folder, "generic_model.pkl")
        originals = seconds(lambda: load_flame(find_flame_files(path, [])), 3)
        job = next(job for job in find_jobs([path]) if not isinstance(job, str))
        made = convert(job, Path(folder))
        rows.append(("load the converted head model", "load the original files", originals, seconds(lambda: load_file(made), 5)))
    rows.append(("load the built-in head model", "hint 512x512", ours, seconds(load_builtin, 5)))
    print("| what | baseline | baseline, s | ours, s | times faster |\n|---|---|---|---|---|")
    for what, baseline, base, own in rows:
        print(f"| {what} | {baseline} | {base:.4f} | {own:.4f} | {base / own:.1f} |")


if __name__ == "__main__":
    main()
