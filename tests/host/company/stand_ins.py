"""What other packs do to control objects, written from reading them (docs/COMPANY.md names what each was read for).

Each function does to a CapFace what the pack does, in its order and with its names; nothing of the pack beside that is here.
"""
from __future__ import annotations

import math

import comfy.controlnet
import comfy.patcher_extension
import comfy.samplers
import comfy.utils
import torch

# --- ComfyUI-AnimateDiff-Evolved: windows of frames


def hand_out_frames(control, indices, total, length):
    """Every object of the chain must have `sub_idxs`, and is told the frames of the window. Nothing is taken back afterwards."""
    if control.previous_controlnet is not None:
        hand_out_frames(control.previous_controlnet, indices, total, length)
    if not hasattr(control, "sub_idxs"):
        raise ValueError(f"Control type {type(control).__name__} may not support required features for sliding context window")
    control.sub_idxs, control.full_latent_length, control.context_length = indices, total, length


def windowed_conditioning(conditioning, indices, total):
    """A copy whose tensors of `total` entries are cut to the window."""
    def cut(value):
        if isinstance(value, torch.Tensor):
            return value[indices] if len(value) == total else value
        if isinstance(getattr(value, "cond", None), torch.Tensor) and len(value.cond) == total:
            return value._copy_with(value.cond[indices])
        return value
    found = {}
    for key, value in conditioning.items():
        if key == "control":
            hand_out_frames(value, indices, total, len(indices))
        found[key] = {name: cut(inner) for name, inner in value.items()} if isinstance(value, dict) else cut(value)
    return found


def animatediff(base, windows, tell_options=True):
    """A model that samples `windows` (lists of frame indices) one after the other and averages where they overlap.

    tell_options: the pack also writes the indices into the transformer options; older and other ones do not.
    """
    def in_windows(executor, model, conds, x, timestep, options):
        sums, counts = [torch.zeros_like(x) for _ in conds], torch.zeros(len(x), 1, 1, 1)
        for indices in windows:
            told = dict(options)
            if tell_options:
                parameters = {"full_length": len(x), "sub_idxs": indices, "context_length": len(indices)}
                told["transformer_options"] = {**options["transformer_options"], "ad_params": parameters}
            cut = [None if cond is None else [windowed_conditioning(each, indices, len(x)) for each in cond] for cond in conds]
            for total, part in zip(sums, executor(model, cut, x[indices], timestep[indices], told), strict=True):
                total[indices] += part
            counts[indices] += 1
        return [total / counts for total in sums]
    model = base.clone()
    model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.CALC_COND_BATCH, "windows", in_windows)
    return model


class WindowedControlNet(comfy.controlnet.ControlNet):
    """Advanced-ControlNet's object, as far as windows go: it takes the hints of the frames it is told."""

    sub_idxs = None

    @classmethod
    def of(cls, plain, hints):
        """plain: the host's object. hints: [N, 3, H, W], one a frame."""
        made = cls(plain.control_model, load_device=plain.load_device)
        made.control_model_wrapped = plain.control_model_wrapped
        made.hints = hints
        return made.set_cond_hint(hints)

    def pre_run(self, model, percent_to_timestep_function):
        super().pre_run(model, percent_to_timestep_function)
        self.model_sampling_current = model.model_sampling

    def get_control(self, x_noisy, t, cond, batched_number, transformer_options):
        self.cond_hint, self.cond_hint_original = None, self.hints if self.sub_idxs is None else self.hints[self.sub_idxs]
        return super().get_control(x_noisy, t, cond, batched_number, transformer_options)

    def cleanup(self):
        super().cleanup()
        self.sub_idxs = None


# --- Ultimate SD Upscale: a sampling run for each tile


def crop_conditioning(conditioning, regions, canvas, tile):
    """A conditioning for tiles of one run. regions: x1, y1, x2, y2 in the canvas; canvas, tile: width, height in pixels."""
    cropped = []
    for embedding, options in conditioning:
        options = dict(options)
        if "control" in options:
            options["control"] = crop_chain(options["control"], regions, canvas, tile)
        if "area" in options:
            options["area"] = crop_area(options["area"], regions[0], tile)
        cropped.append([embedding, options])
    return cropped


def crop_chain(control, regions, canvas, tile):
    """A copy of a chain in which every hint shows the regions, at the tile's size, one after the other in the batch."""
    first = copied = control.copy()
    while control is not None:
        hint = copied.cond_hint_original
        height, width = hint.shape[-2:]
        parts = []
        for left, top, right, bottom in regions:
            across = math.floor(left * width / canvas[0]), math.ceil(right * width / canvas[0])
            down = math.floor(top * height / canvas[1]), math.ceil(bottom * height / canvas[1])
            part = hint[:, :, down[0]:down[1], across[0]:across[1]]
            parts.append(torch.nn.functional.interpolate(part, size=tile[::-1], mode="nearest-exact"))
        copied.cond_hint_original = torch.cat(parts)
        control = control.previous_controlnet
        copied.set_previous_controlnet(None if control is None else control.copy())
        copied = copied.previous_controlnet
    return first


def crop_area(area, region, tile):
    """An area of the canvas, in cells, as one of the tile. The canvas has the size of the picture here."""
    height, width, top, left = (8 * side for side in area)
    x1, y1 = max(left, region[0]) - region[0], max(top, region[1]) - region[1]
    x2, y2 = min(left + width, region[2]) - region[0], min(top + height, region[3]) - region[1]
    scale = tile[0] / (region[2] - region[0])
    return tuple(int(side * scale) // 8 for side in (y2 - y1, x2 - x1, y1, x1))


# --- ComfyUI-TiledDiffusion: tiles within each step


class TiledDiffusion:
    """The model's function wrapper. tile, overlap: cells; batch: tiles in one call; weights: of a tile's cells; shifts: rows and
    columns that the latent is rolled by, one pair for each call (SpotDiffusion)."""

    def __init__(self, tile, overlap, batch, gaussian=False, shifts=()):
        self.tile, self.overlap, self.batch, self.gaussian, self.shifts = tile, overlap, batch, gaussian, list(shifts)
        self.kept = {}

    def boxes(self, height, width):
        """(top, left) of each tile, row by row."""
        def starts(total):
            count = max(1, -(-(total - self.overlap) // (self.tile - self.overlap)))
            step = (total - self.tile) / (count - 1) if count > 1 else 0
            return [min(int(index * step), max(0, total - self.tile)) for index in range(count)]
        return [(top, left) for top in starts(height) for left in starts(width)]

    def weights(self, height, width):
        if not self.gaussian:
            return torch.ones(height, width)
        down, across = (torch.exp(-((torch.arange(side) - (side - 1) / 2) / side) ** 2 / 0.02) for side in (height, width))
        return torch.outer(down, across)

    def __call__(self, model_function, arguments):
        x, sigma, told = arguments["input"], arguments["timestep"], arguments["c"]
        down, across = self.shifts.pop(0) if self.shifts else (0, 0)
        x = x.roll((down, across), (-2, -1))
        rows, columns = min(self.tile, x.shape[-2]), min(self.tile, x.shape[-1])
        weights, total, summed = self.weights(rows, columns), torch.zeros(x.shape[-2:]), torch.zeros_like(x)
        boxes = self.boxes(*x.shape[-2:])
        for start in range(0, len(boxes), self.batch):
            batch = boxes[start:start + self.batch]
            tiles = torch.cat([x[..., top:top + rows, left:left + columns] for top, left in batch])
            inner = {key: value.repeat(len(batch), *[1] * (value.ndim - 1)) if isinstance(value, torch.Tensor) else value
                     for key, value in told.items()}
            steps = sigma.repeat(len(batch))
            if "control" in told:
                self.cut_hints(told["control"], x.shape, batch, (rows, columns), (8 * down, 8 * across))
                inner["control"] = told["control"].get_control_orig(tiles, steps, inner, len(arguments["cond_or_uncond"]),
                                                                    told["transformer_options"])
            for (top, left), part in zip(batch, model_function(tiles, steps, **inner).split(len(x)), strict=True):
                summed[..., top:top + rows, left:left + columns] += part * weights
                total[top:top + rows, left:left + columns] += weights
        return (summed / total).roll((-down, -across), (-2, -1))

    def cut_hints(self, control, shape, batch, sides, shift):
        """`cond_hint` of every object of the chain: the whole hint at the latent's size, repeated for all rows, then cut."""
        while control is not None:
            ratio = control.compression_ratio
            hint = comfy.utils.common_upscale(control.cond_hint_original, shape[-1] * ratio, shape[-2] * ratio,
                                              control.upscale_algorithm, "center")
            hint = control.preprocess_image(hint.to(getattr(control, "manual_cast_dtype", None) or torch.float32))
            hint = hint.repeat(-(-shape[0] // len(hint)), 1, 1, 1)[:shape[0]].roll(shift, (-2, -1))
            control.cond_hint = torch.cat([hint[..., top * ratio:(top + sides[0]) * ratio, left * ratio:(left + sides[1]) * ratio]
                                           for top, left in batch])
            control = control.previous_controlnet


def tiled_diffusion(base, monkeypatch, **options):
    """A model that samples in tiles. The pack replaces two functions of the host for good; here until the test's end."""
    if not hasattr(comfy.samplers.get_area_and_mult, "hands_over"):
        _hand_over_controls(monkeypatch)
    model = base.clone()
    model.set_model_unet_function_wrapper(TiledDiffusion(**options))
    model.model_options["tiled_diffusion"] = True
    return model


def _hand_over_controls(monkeypatch):
    """In a tiled run the host would call get_control for the whole picture: it is given the object itself, for later. The
    replacement stays on the object until it is met in a run without tiles."""
    area_and_mult, sample, now = comfy.samplers.get_area_and_mult, comfy.samplers.KSAMPLER.sample, {}

    def note_run(self, wrapped, sigmas, extra_args, *arguments, **named):
        now["tiled"] = "tiled_diffusion" in extra_args["model_options"]
        return sample(self, wrapped, sigmas, extra_args, *arguments, **named)

    def hand_over(conds, *arguments):
        control = conds.get("control")
        if control is not None and now["tiled"]:
            if not hasattr(control, "get_control_orig"):
                control.get_control_orig = control.get_control
            control.get_control = lambda *_, **__: control
        elif control is not None and hasattr(control, "get_control_orig"):
            control.get_control = control.get_control_orig
        return area_and_mult(conds, *arguments)
    hand_over.hands_over = True
    monkeypatch.setattr(comfy.samplers, "get_area_and_mult", hand_over)
    monkeypatch.setattr(comfy.samplers.KSAMPLER, "sample", note_run)


# --- ComfyUI-Impact-Pack: a part of the picture sampled with the whole conditioning


def crop_region(bbox, factor, width, height):
    """The square-cornered region round a face that a detailer samples: x1, y1, x2, y2, within the picture."""
    left, top, right, bottom = bbox
    wide, high = (right - left) * factor, (bottom - top) * factor
    x1, y1 = int((left + right - wide) / 2), int((top + bottom - high) / 2)
    x1, y1 = max(0, min(x1, width - int(wide))), max(0, min(y1, height - int(high)))
    return [x1, y1, min(width, x1 + int(wide)), min(height, y1 + int(high))]
