"""What the editor shows is what CapHuman Render Head draws: the two pictures, pixel by pixel."""
from __future__ import annotations

import head_pictures
import numpy as np
import pytest
import torch
from frontend import SCREENSHOTS
from PIL import Image

from caphuman_core.head.edit.widget_values import edited
from caphuman_core.head.model.flame_files import FlameFiles, load_flame
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.new import new_head
from caphuman_core.render.maps import render
from caphuman_core.render.portrait import sampled
from tools.stand_ins import face_synthetic

STILL = dict.fromkeys(("yaw_degrees", "pitch_degrees", "roll_degrees", "x", "y", "jaw_degrees"), 0.0)
NOTHING = {**STILL, "scale": 1.0, "mode": "add",
           "turn_light": False, "relight": False, "light_azimuth": -40.0, "light_elevation": 30.0, "light_intensity": 0.9,
           "light_ambient": 0.3, "light_colour": "#ffcc88", "frame": False, "light_fill": 0.0, "light_rim": 0.0}
CASES = {
    "as it comes": ({}, {}, (256, 256)),
    "turned and moved": ({"yaw_degrees": 25.0, "pitch_degrees": 10.0, "roll_degrees": -12.0, "x": 0.1, "y": -0.1, "scale": 1.2,
                          "jaw_degrees": 5.0, "turn_light": True}, {"smile": 0.7}, (320, 192)),
    "set": ({"mode": "set", "yaw_degrees": -40.0, "pitch_degrees": 5.0, "roll_degrees": 8.0, "x": -0.05, "scale": 0.8,
             "turn_light": True}, {"surprise": 1.0, "blink_left": 0.5}, (192, 256)),
    "set and relit": ({"mode": "set", "yaw_degrees": 75.0, "pitch_degrees": -20.0, "scale": 1.1, "relight": True}, {"anger": 1.0},
                      (256, 256)),
    "framed": ({"frame": True, "x": 0.1, "scale": 0.9, "yaw_degrees": 15.0}, {}, (256, 256)),
    "three lights": ({"relight": True, "light_fill": 0.5, "light_rim": 1.2}, {}, (256, 256)),
    "from behind": ({"yaw_degrees": 170.0, "relight": True}, {}, (256, 256)),
    "looking aside on a turned neck": ({"yaw_degrees": 40.0, "pitch_degrees": -10.0, "gaze_yaw_degrees": -25.0,
                                        "gaze_pitch_degrees": 10.0, "gaze_convergence_degrees": 4.0, "neck_share": 0.3,
                                        "x": 0.05}, {"smile": 0.5}, (256, 256)),
    "somebody else": ({"mode": "set", "yaw_degrees": -30.0, "neck_share": 0.6, "gaze_yaw_degrees": 20.0},
                      {"shape_1": 1.5, "shape_3": -1.0, "texture_1": 0.8, "texture_2": -0.5}, (256, 256)),
    "somebody else, moved": ({"x": 0.1, "y": 0.05, "roll_degrees": 20.0}, {"shape_1": 2.0, "shape_2": -2.0}, (256, 256)),
    "short hair": ({"yaw_degrees": -30.0, "roll_degrees": 15.0, "neck_share": 0.5, "relight": True},
                   {"shape_1": 1.0, "shape_6": 2.0}, (256, 256)),
    "long hair from behind": ({"yaw_degrees": 150.0, "pitch_degrees": 10.0, "relight": True, "light_rim": 1.0}, {}, (200, 256)),
    "half outside": ({"x": 0.4, "y": 0.3, "scale": 2.0}, {}, (256, 256)),
}


HAIR = {"short hair": "short", "long hair from behind": "long"}


@pytest.fixture(scope="module")
def bench(chromium):
    context = chromium.new_context()
    yield head_pictures.open_bench(context)
    context.close()


@pytest.fixture(scope="module", params=["built-in", "FLAME's format"])
def model(request, tmp_path_factory):
    if request.param == "built-in":
        return load_builtin()
    folder = tmp_path_factory.mktemp("flame")
    face_synthetic.write(folder)
    mean, basis = face_synthetic.texture(50)
    np.savez(folder / "FLAME_texture.npz", mean=mean, tex_dir=basis)
    return load_flame(FlameFiles(folder / "generic_model.pkl", folder / "landmark_embedding.npy", folder / "head_template.obj",
                                 folder / "FLAME_texture.npz"))


def person(model, size):
    """A head as a fit gives it: its own shape, skin, turn and light."""
    generator = torch.Generator().manual_seed(7)
    head = new_head(model, *size)

    def some(name, amount):
        return torch.randn(getattr(head, name).shape, generator=generator) * amount
    return head.replace(identity=some("identity", 0.5), expression=some("expression", 0.15), texture=some("texture", 0.4),
                        rotation_radians=some("rotation_radians", 0.2), jaw_radians=torch.tensor([[0.08, 0.02, 0.0]]),
                        light=head.light + some("light", 0.05), gaze_radians=some("gaze_radians", 0.1),
                        neck_share=torch.tensor([0.2]))


@pytest.mark.parametrize("case", CASES)
def test_the_editor_shows_what_the_node_renders(bench, model, case):
    change, expressions, size = CASES[case]
    values, head, hair = {**NOTHING, **change}, person(model, size), HAIR.get(case, "bald")
    made = edited(head, model, {**values, **expressions})
    wanted, seen = render(made, model, *size), sampled(made, model, hair)
    shown = head_pictures.draw(bench, model, head, values, expressions, *size, hair=hair)
    covered = seen[3].numpy() > 0
    assert covered.sum() > 1000
    # A pixel centre within float32's rounding of a face's edge may fall on either side of it: a handful of a head's outline.
    assert (covered != (shown["shaded"][..., 3] > 0)).sum() <= 8
    for name, picture in (("shaded", seen[:3]), ("normal", wanted.normal[0] * 0.5 + 0.5)):
        both = (covered if name == "shaded" else wanted.mask[0].numpy() > 0) & (shown[name][..., 3] > 0)
        there = picture.clamp(0, 1).permute(1, 2, 0).numpy()[both] * 255
        apart = np.abs(there - shown[name][both][:, :3])
        assert apart.mean() < 0.6, f"{name}: half a level comes from rounding to bytes"
        # Where two surfaces meet at one depth (eyelid and eye) either may be in front.
        assert (apart.max(1) > 6).mean() < 0.004, name
    if case == "turned and moved":
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        node = (seen[:3].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        pair = np.concatenate([node, shown["shaded"][..., :3]], 1)
        Image.fromarray(pair).save(SCREENSHOTS / f"node_and_editor_{model.name.split('.')[0]}.png")


def test_the_light_turns_with_the_head_as_in_the_node(bench, model):
    """With turn_light the shading of a turned head is that of the unturned one: the middle of the forehead keeps its colour."""
    size, head = (128, 128), new_head(model, 128, 128).replace(light=person(model, (8, 8)).light)
    still = head_pictures.draw(bench, model, head, NOTHING, {}, *size)["shaded"]
    tilted = [{**NOTHING, "roll_degrees": 90.0, "turn_light": turn} for turn in (True, False)]
    follow, stay = (head_pictures.draw(bench, model, head, values, {}, *size)["shaded"] for values in tilted)
    quarter = np.rot90(still, -1)
    both = (quarter[..., 3] > 0) & (follow[..., 3] > 0) & (stay[..., 3] > 0)
    shift = [np.abs(quarter[both].astype(int) - other[both].astype(int))[:, :3].mean() for other in (follow, stay)]
    assert shift[0] < shift[1]


def test_skin_sliders_lie_on_the_skin_of_a_photo(bench):
    """The sheet, plus what the smaller texture below it changes by, drawn out as `skin_sized` does."""
    draws = torch.Generator().manual_seed(3)
    sheet = torch.randint(0, 256, (1, 3, 32, 32), generator=draws)
    before, after = (torch.randint(60, 90, (1, 3, 20, 20), generator=draws) for _ in range(2))
    shown = bench.evaluate("""async ([sheet, before, after]) => {
        const { changedSheet } = await import('/editor/photo_skin.js');
        const texture = ([side, data]) => ({ width: side, height: side, data: Uint8Array.from(data) });
        return Array.from(changedSheet(texture(sheet), texture(before), texture(after)).data);
    }""", [[part.shape[2], part[0].permute(1, 2, 0).flatten().tolist()] for part in (sheet, before, after)])
    change = torch.nn.functional.interpolate((after - before).float(), (32, 32), mode="bilinear", align_corners=False)
    expected = (sheet + change).clamp(0, 255)[0].permute(1, 2, 0).flatten()
    assert (torch.tensor(shown) - expected).abs().max() <= 0.51              # rounded
