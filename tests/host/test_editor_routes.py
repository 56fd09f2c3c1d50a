"""The head editor's routes over real HTTP, and what Edit Head gives the editor: only finite numbers and known names go in."""
from __future__ import annotations

import asyncio
import importlib
import json
import threading
import time

import pytest
import torch


@pytest.fixture(scope="module")
def routes(pack):
    return importlib.import_module(f"{pack.__name__}.nodes.editor_routes")


@pytest.fixture
def talk(routes):
    """talk(async function of a client, editor=None): runs it against a server with the routes alone."""
    from aiohttp import web
    from aiohttp.test_utils import TestClient, TestServer

    def _talk(talking, editor=None):
        async def go():
            application = web.Application()
            for (method, path), handler in routes.make_handlers(editor or routes.Editor()).items():
                application.router.add_route(method, path, handler)
            async with TestClient(TestServer(application)) as client:
                return await talking(client)
        return asyncio.run(go())
    return _talk


def path(routes, name):
    return f"{routes.PREFIX}/{name}"


async def post(client, path, body):
    async with client.post(path, data=body if isinstance(body, str | bytes) else json.dumps(body)) as answer:
        content = await answer.read()
        return answer.status, content


def test_a_new_head_its_mesh_texture_and_vertices(routes, talk):
    async def talking(client):
        status, head = await post(client, path(routes, "new_head"), {"model": "built-in", "width": 320, "height": 200})
        assert status == 200
        head = json.loads(head)
        assert (head["model"], head["width"], head["height"], head["photo"]) == ("built-in", 320, 200, None)
        mesh = await client.get(path(routes, "mesh"), params={"model": "built-in"})
        assert (mesh.status, len(await mesh.read()) > 100_000) == (200, True)
        known = {"If-None-Match": mesh.headers["ETag"]}
        again = await client.get(path(routes, "mesh"), params={"model": "built-in"}, headers=known)
        assert again.status == 304
        hair = await client.get(path(routes, "hair"), params={"model": "built-in", "style": "short"})
        assert (hair.status, len(await hair.read()) > 100_000) == (200, True)
        assert hair.headers["ETag"] != mesh.headers["ETag"]
        for style in ("bald", "mullet", ""):
            refused = await client.get(path(routes, "hair"), params={"model": "built-in", "style": style})
            assert (refused.status, "hair must be one of" in (await refused.json())["error"]) == (400, True)
        status, texture = await post(client, path(routes, "texture"), {"model": "built-in", "texture": head["texture"]})
        assert (status, len(texture) > 256 * 256 * 3) == (200, True)
        status, answer = await post(client, path(routes, "correct"), {**head, "corrections": '{"nose_tip": [0.52, 0.5]}'})
        shown = json.loads(answer)
        assert (status, shown["points"]["nose_tip"]) == (200, pytest.approx([0.52 * 320, 0.5 * 200], abs=1.5))
        assert shown["identity"] != head["identity"]
        status, answer = await post(client, path(routes, "correct"), {**head, "corrections": '{"ear": [0, 0]}'})
        assert (status, "must hold known landmarks" in json.loads(answer)["error"]) == (400, True)
        status, vertices = await post(client, path(routes, "vertices"), {**head, "expressions": {"smile": 1.0}})
        assert (status, 10_000 < len(vertices) < 80_000) == (200, True)
    talk(talking)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "C:\\x", "gone.safetensors", "", None, 5, ["built-in"],
                                  "(no file found)", "built-in\x00", "x" * 10_000])
def test_a_model_that_the_loader_does_not_offer_is_not_found(routes, talk, name):
    async def talking(client):
        status, answer = await post(client, path(routes, "new_head"), {"model": name, "width": 64, "height": 64})
        assert status == 404
        assert "must be one of the loader's choices" in json.loads(answer)["error"]
        assert len(answer) < 500
    talk(talking)


def test_a_model_that_vanished_is_said_so(routes, talk, monkeypatch, pack):
    loaders = importlib.import_module(f"{pack.__name__}.nodes.loaders")
    monkeypatch.setattr(loaders, "head_model_names", lambda: ["built-in", "was-there.safetensors"])

    async def talking(client):
        status, answer = await post(client, path(routes, "vertices"), {"model": "was-there.safetensors"})
        assert status == 404
        assert "was-there" in json.loads(answer)["error"]
    talk(talking)


@pytest.mark.parametrize(("body", "wanted"), [
    ("no json", 400), ("[1]", 400), ('{"model": "built-in", "identity": [NaN], "jaw_radians": [0,0,0]}', 400),
    ('{"model": "built-in", "jaw_radians": [Infinity,0,0]}', 400), ('{"model": "built-in", "jaw_radians": [1e400,0,0]}', 400),
    ("[" * 60_000, 400), (b"\xff\xfe", 400), ("9" * 50_000, 400), ('{"a": "' + "x" * 70_000 + '"}', 413), (b"", 400),
])
def test_a_body_that_is_nonsense_or_too_large_is_refused(routes, talk, body, wanted):
    async def talking(client):
        status, answer = await post(client, path(routes, "vertices"), body)
        assert status == wanted
        assert json.loads(answer)["error"]
    talk(talking)


def test_whoever_asks_too_often_waits_and_others_do_not(routes):
    now = [0.0]
    allowance = routes.Allowance(lambda: now[0])
    asked = sum(allowance.take("a") for _ in range(1000))
    assert asked == routes.BURST
    assert allowance.take("b")
    now[0] += 1.0
    assert sum(allowance.take("a") for _ in range(1000)) == routes.PER_SECOND
    for client in range(3 * routes.MAX_CLIENTS):
        allowance.take(str(client))
    assert len(allowance._left) <= routes.MAX_CLIENTS


def test_the_rate_is_kept_over_http(routes, talk, monkeypatch):
    monkeypatch.setattr(routes, "BURST", 3.0)
    monkeypatch.setattr(routes, "PER_SECOND", 0.001)

    async def talking(client):
        return [(await post(client, path(routes, "new_head"), {"model": "built-in", "width": 8, "height": 8}))[0] for _ in range(5)]
    assert talk(talking) == [200, 200, 200, 429, 429]


def test_two_clients_get_their_own_heads_only(routes, talk):
    async def talking(client):
        bodies = [{"model": "built-in", "jaw_radians": [0, 0, 0], "identity": [0.1 * k], "expressions": {"smile": k / 9}}
                  for k in range(8)]
        alone = [(await post(client, path(routes, "vertices"), body))[1] for body in bodies]
        together = await asyncio.gather(*(post(client, path(routes, "vertices"), body) for body in bodies))
        assert [content for _, content in together] == alone
        assert len(set(alone)) == len(alone)
    talk(talking)


def test_the_event_loop_is_free_while_a_model_loads(routes, talk, pack, monkeypatch):
    """A slow model file holds up its own request only: the loop goes on turning."""
    loaders = importlib.import_module(f"{pack.__name__}.nodes.loaders")
    load, turns = loaders.load_head_model, []

    def slow(name):
        time.sleep(0.5)
        return load(name)
    monkeypatch.setattr(loaders, "load_head_model", slow)

    async def talking(client):
        asked = asyncio.create_task(post(client, path(routes, "new_head"), {"model": "built-in", "width": 64, "height": 64}))
        while not asked.done():
            turns.append(threading.current_thread())
            await asyncio.sleep(0.01)
        assert (await asked)[0] == 200
    talk(talking)
    assert len(turns) > 5


def test_a_slow_model_of_somebody_else_holds_up_nobody(routes, talk, pack, monkeypatch):
    """Files are read in a lane of their own, once for all who ask; the built-in head is shown meanwhile."""
    loaders = importlib.import_module(f"{pack.__name__}.nodes.loaders")
    load, loading, go_on, loads = loaders.load_head_model, threading.Event(), threading.Event(), []

    def slow(name):
        loads.append(name)
        if name == "built-in":
            return load(name)
        loading.set()
        assert go_on.wait(60)
        return load("built-in")
    monkeypatch.setattr(loaders, "load_head_model", slow)
    monkeypatch.setattr(loaders, "head_model_names", lambda: ["built-in", "slow.pkl", "slower.pkl"])

    async def talking(client):
        names = ["slow.pkl"] * 20 + ["slower.pkl"] * 20
        asked = [asyncio.create_task(post(client, path(routes, "new_head"), {"model": name, "width": 64, "height": 64}))
                 for name in names]
        await asyncio.to_thread(loading.wait, 60)
        shown = await client.get(path(routes, "mesh"), params={"model": "built-in"})
        assert shown.status == 200
        assert not any(task.done() and task.result()[0] == 200 for task in asked)
        go_on.set()
        answers = [status for status, _ in await asyncio.gather(*asked)]
        assert set(answers) == {200, 429}                   # the lane has its own bound
        assert answers.count(200) == routes.MAX_WAITING
    talk(talking)
    assert sorted(loads) == ["built-in", "slow.pkl", "slower.pkl"]


def test_a_model_that_cannot_be_read_is_asked_for_again(routes, talk, pack, monkeypatch):
    loaders = importlib.import_module(f"{pack.__name__}.nodes.loaders")
    refusal = importlib.import_module(f"{pack.__name__}.caphuman_core.check").InputError
    load, broken = loaders.load_head_model, [True]

    def read(name):
        if broken[0]:
            raise refusal("it must be whole, but got half of it: download it again.")
        return load("built-in")
    monkeypatch.setattr(loaders, "load_head_model", read)
    monkeypatch.setattr(loaders, "head_model_names", lambda: ["half.pkl"])

    async def talking(client):
        body = {"model": "half.pkl", "width": 64, "height": 64}
        status, answer = await post(client, path(routes, "new_head"), body)
        assert (status, "half of it" in json.loads(answer)["error"]) == (404, True)
        broken[0] = False
        assert (await post(client, path(routes, "new_head"), body))[0] == 200
    talk(talking)


NEW_HEAD = {"model": "built-in", "width": 64, "height": 64}
OWN = ({}, {"Origin": "http://127.0.0.1:{port}"}, {"Host": "192.168.1.7:8188", "Origin": "http://192.168.1.7:8188"},
       {"Host": "studio.local:8188"}, {"Host": "studio", "Origin": "http://studio"}, {"Host": "localhost:8188"},
       {"Host": "[::1]:8188"},
       {"Host": "comfy.example.com", "Origin": "https://comfy.example.com"},            # through a proxy that the user has set up
       {"Host": "comfy.example.com", "Sec-Fetch-Site": "same-origin"},
       {"Host": "192.168.1.7:8188", "Origin": "https://comfy.example.com", "X-Forwarded-For": "10.0.0.1"})
FOREIGN = ({"Origin": "null"}, {"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Host": "evil.example:8188"},
           {"Host": "evil.example:8188", "Origin": "http://evil.example:8188"}, {"Sec-Fetch-Site": "cross-site"},
           {"Host": "127.0.0.1.evil.example"}, {"Host": "localhost.evil.example", "X-Forwarded-For": "1.1.1.1"},
           {"Origin": "http://127.0.0.1:1"}, {"Origin": "file://"}, {"Origin": "http://[bad"}, {"Origin": "https://evil.example"})


@pytest.mark.parametrize(("headers", "wanted"), [*((own, 200) for own in OWN), *((foreign, 403) for foreign in FOREIGN)], ids=str)
def test_pages_of_other_sites_are_refused(routes, talk, headers, wanted):
    async def talking(client):
        sent = {name: value.format(port=client.port) for name, value in headers.items()}
        async with client.post(path(routes, "new_head"), headers=sent, json=NEW_HEAD) as answer:
            assert answer.status == wanted
            assert wanted == 200 or "ComfyUI's own page" in (await answer.json())["error"]
            assert "Access-Control-Allow-Origin" not in answer.headers
        async with client.get(path(routes, "mesh"), headers=sent, params={"model": "built-in"}) as answer:
            assert answer.status == wanted
    talk(talking)


def test_a_site_that_the_user_lets_in_is_let_in(routes, talk, monkeypatch):
    async def talking(client):
        async with client.post(path(routes, "new_head"), headers={"Origin": "http://mine.example"}, json=NEW_HEAD) as answer:
            return answer.status
    assert talk(talking) == 403
    for allowed in ("*", "http://mine.example"):
        monkeypatch.setattr(routes, "_allowed_origin", lambda allowed=allowed: allowed)
        assert talk(talking) == 200
    monkeypatch.setattr(routes, "_allowed_origin", lambda: "http://another.example")
    assert talk(talking) == 403


def test_registering_twice_adds_nothing(routes, monkeypatch):
    import server
    from aiohttp import web

    class Server:
        routes = web.RouteTableDef()
    monkeypatch.setattr(server.PromptServer, "instance", Server, raising=False)
    for _ in range(2):
        routes.register()
    assert len(Server.routes) == len(routes.make_handlers(routes.Editor())) > 3


# --- what the node tells the editor

def edited(pack, host, **values):
    node = host.NODE_CLASS_MAPPINGS["CapHumanEditHead"]
    core = importlib.import_module(f"{pack.__name__}.caphuman_core.head.new")
    model = importlib.import_module(f"{pack.__name__}.caphuman_core.head.model.head_model").load_builtin()
    given = {entry.id: entry.default for entry in node.GET_SCHEMA().inputs if entry.id not in ("head", "head_model", "photo")}
    return node.execute(**{**given, "head": core.new_head(model, 96, 64), "head_model": model, **values})


def test_edit_head_sends_the_skin_of_a_photo_that_the_head_wears(pack, host):
    """As a picture: a request of the editor is no place for it."""
    from pathlib import Path

    import folder_paths
    from PIL import Image
    made = importlib.import_module(f"{pack.__name__}.caphuman_core.head.new")
    model = importlib.import_module(f"{pack.__name__}.caphuman_core.head.model.head_model").load_builtin()
    plain = made.new_head(model, 96, 64)
    worn = plain.with_sheet().replace(skin_detail=torch.full((1, 3, 512, 512), -0.25).half())
    shown = [edited(pack, host, head=head).ui["caphuman_editor"][0] for head in (plain, worn)]
    assert shown[0]["skin"] is None
    assert len(json.dumps(shown[1])) < 8000
    with Image.open(Path(folder_paths.get_temp_directory()) / shown[1]["skin"]["filename"]) as sheet:
        assert (sheet.format, sheet.size) == ("PNG", (512, 512))
        assert abs(sheet.getpixel((256, 100))[0] / 255 - float(model.texture_mean[0, 62, 160]) + 0.25) < 0.05


def test_edit_head_tells_the_incoming_head_and_its_photo(pack, host):
    from pathlib import Path

    import folder_paths
    photo = torch.rand(1, 64, 96, 3)
    out = edited(pack, host, yaw_degrees=30.0, photo=photo)
    (head,) = out.ui["caphuman_editor"]
    assert head["rotation_radians"] == [0.0, 0.0, 0.0], "the incoming head, not the edited one"
    assert (head["model"], head["width"], head["height"]) == ("built-in", 96, 64)
    assert json.loads(json.dumps(head)) == head
    file = Path(folder_paths.get_temp_directory()) / head["photo"]["filename"]
    assert file.is_file()
    again = edited(pack, host, photo=photo).ui["caphuman_editor"][0]["photo"]["filename"]
    assert again != file.name, "names do not repeat, so nobody else's photo is shown"
    assert edited(pack, host).ui["caphuman_editor"][0]["photo"] is None


def test_relight_does_what_relight_head_does(pack, host, call):
    plain = edited(pack, host)
    lit = edited(pack, host, relight=True, light_azimuth=-60.0, light_elevation=10.0, light_intensity=1.0, light_ambient=0.2,
                 light_colour="#ff8800")
    wanted, = call("CapHumanRelightHead", head=plain.result[0], azimuth=-60.0, elevation=10.0, intensity=1.0, ambient=0.2,
                   colour="#ff8800")
    assert torch.equal(lit.result[0].light, wanted.light)
    assert not torch.equal(plain.result[0].light, wanted.light)


def test_hair_is_in_the_preview_and_not_in_the_head(pack, host):
    bald, long = edited(pack, host), edited(pack, host, hair="long")
    assert not torch.equal(bald.result[1], long.result[1])
    assert torch.equal(bald.result[1], edited(pack, host, hair="bald").result[1])
    for name, value in vars(bald.result[0]).items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, getattr(long.result[0], name)), name
    assert bald.ui["caphuman_editor"] == long.ui["caphuman_editor"]


def test_the_photo_is_behind_the_preview_and_changes_no_head(pack, host):
    white = torch.ones(1, 64, 96, 3)
    plain, over = edited(pack, host), edited(pack, host, photo=white)
    assert float(plain.result[1][0, 0, 0].sum()) == 0
    assert float(over.result[1][0, 0, 0].mean()) > 0.99
    for name, value in vars(plain.result[0]).items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, getattr(over.result[0], name)), name


def test_the_photo_of_a_small_head_is_sharp_in_the_close_up(pack, host):
    """A whole picture needs few pixels; of a small head's picture only a part is seen, and that at the view's full detail."""
    from pathlib import Path

    import folder_paths
    from PIL import Image
    core = importlib.import_module(f"{pack.__name__}.caphuman_core.head.new")
    model = importlib.import_module(f"{pack.__name__}.caphuman_core.head.model.head_model").load_builtin()
    pivot = importlib.import_module(f"{pack.__name__}.caphuman_core.head.pivot")
    large, photo = core.new_head(model, 3000, 2000), torch.rand(1, 2000, 3000, 3)
    sides = []
    for factor in (1.0, 0.3, 0.01):
        head = pivot.scale_about_pivot(large, model, torch.tensor([factor]))
        told, = edited(pack, host, head=head, photo=photo).ui["caphuman_editor"]
        with Image.open(Path(folder_paths.get_temp_directory()) / told["photo"]["filename"]) as picture:
            sides.append(picture.size)
    assert sides[0] == (1024, 683)
    assert sides[1][1] * 0.3 == pytest.approx(512, rel=0.01)        # pixels of the close-up's part of the photo
    assert sides[2] == (3000, 2000), "never larger than it is"


def test_the_host_tells_the_head_again_from_its_cache(host):
    """Of a prompt that is all in the cache the host visits no node, but sends what such nodes told before."""
    assert host.NODE_CLASS_MAPPINGS["CapHumanEditHead"].HAS_INTERMEDIATE_OUTPUT
