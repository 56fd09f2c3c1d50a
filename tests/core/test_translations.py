"""Every language of tools/translations says everything: nodes, editor, templates' list, titles and notes, help pages."""
from __future__ import annotations

import ast
import json
import re

import pytest

from caphuman_core.head.edit.widget_values import DIRECTIONS
from caphuman_core.head.model.head_model import load_builtin
from tools.devkit.places import ROOT
from tools.make_workflows import __main__ as generate
from tools.make_workflows import build, help_pages, server_texts, spoken

LANGUAGES = generate.translations()
each = pytest.mark.parametrize("language", LANGUAGES)
GRAPHS = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "workflows").glob("*.json"))]
FILLED = re.compile(r"\{\w*\}")


def shipped(language):
    return json.loads((generate.TEXTS / f"{language}.json").read_text(encoding="utf-8"))


def test_there_is_chinese_and_the_browser_knows_of_it():
    assert "zh" in LANGUAGES
    assert shipped("en")["languages"] == ["en", *sorted(LANGUAGES)]


@each
def test_no_text_lacks_a_translation(language):
    texts = LANGUAGES[language]
    english = json.loads(generate.LOCALE.read_text(encoding="utf-8"))
    missing = (spoken.all_texts(GRAPHS, texts) | generate.untranslated(english, texts)) - texts.keys() - {""}
    assert not missing, f"tools/translations/{language}.json lacks:\n" + "\n".join(sorted(missing))


@each
def test_no_translation_is_of_a_text_that_is_gone(language):
    english = json.loads(generate.LOCALE.read_text(encoding="utf-8"))
    said = spoken.all_texts(GRAPHS, LANGUAGES[language]) | generate.untranslated(english, {})
    assert LANGUAGES[language].keys() - said == set()


def test_the_built_in_head_s_first_directions_are_said_in_words():
    """The page of shape in the editor says them; names like head-scale-vert are the model's own."""
    directions = spoken.EDITOR.read_text(encoding="utf-8").partition("directions: {")[2].partition("}")[0]
    said = {name.strip(" \n'") for name in re.findall(r"([^,:\"]+): \"", directions)}
    model = load_builtin()
    first = {*model.identity_names[:DIRECTIONS], *model.texture_names[:DIRECTIONS]}
    assert first
    assert first <= said


def holes(text):
    """What is filled into a text. Nameless holes may be numbered in a translation, where its language has another order."""
    found = FILLED.findall(text)
    numbered = sorted(part for part in found if part[1:-1].isdigit())
    assert numbered in ([], [f"{{{place}}}" for place in range(len(found))]), text
    return sorted("{}" if part in numbered else part for part in found)


@each
def test_what_is_filled_in_is_the_same_in_both(language):
    for text, translation in LANGUAGES[language].items():
        assert translation.strip(), text
        assert holes(text) == holes(translation), text


@each
def test_the_shipped_files_follow(language):
    for name, content in spoken.files(GRAPHS, LANGUAGES).items():
        assert shipped(name) == content, f"web/texts/{name}.json: run python dev.py generate"
    definitions = json.loads((generate.LOCALES / language / generate.LOCALE.name).read_text(encoding="utf-8"))
    for node, definition in definitions.items():
        page = (generate.HELP / node / f"{language}.md").read_text(encoding="utf-8")
        assert page == spoken.help_page(node, definition, LANGUAGES[language]), f"{node}: run python dev.py generate"
        assert all(entry["tooltip"] in page for entry in definition["inputs"].values()), node


def test_templates_are_listed_in_order_each_with_a_title_and_one_sentence():
    index = shipped("en")["templates"]
    assert [entry["name"] for entry in index][:2] == ["a_first_head", "first_portrait"]
    assert index[0]["title"].startswith("Start here")
    assert {entry["name"] for entry in index} == {path.stem for path in (ROOT / "workflows").glob("*.json")}
    for entry in index:
        assert entry["title"].replace(" ", "_").lower() != entry["name"], "a title is more than a file's name"
        assert entry["description"].endswith("."), entry["name"]
        assert "\n" not in entry["description"]
    assert len({entry["title"] for entry in index}) == len(index)
    assert index == build.index()


def test_the_source_tells_what_every_error_says():
    """A text that is put together where the reader cannot follow would stay English without anybody noticing."""
    reader = server_texts.Reader(server_texts.source())
    silent = [f"line {call.lineno}: {name} of {ast.unparse(call)}" for kind, call in server_texts.refusals(server_texts.source())
              for name, part in zip(("rule", "fix"), call.args[kind == "require":][1::2], strict=True)
              if not any(re.search("[A-Za-z]{2}", text) for text in reader.read(part))]
    assert silent == []


@pytest.mark.parametrize(("text", "why"), [
    ("must be one of {}", "filled in"), ("must be {}", "a part of a class"), ("a face detector", "and what fills it in"),
    ("must be a list of at most {} numbers", "one of two"), ("use landmark_embedding.npy from DECA's data folder", "a constant"),
    ("must be an OBJ of triangles with texture coordinates", "a name given with another"), ("Next: {}", "of the doctor"),
    ("run `pip install --upgrade {}` with ComfyUI's own Python", "what a function returns")])
def test_a_text_is_found_wherever_it_is_put_together(text, why):
    assert text in server_texts.server_texts(), why


def test_a_help_page_keeps_its_order_and_takes_inputs_from_the_locale():
    page = ("# Node\n\nSays\nsomething.\n\n| input | what |\n|---|---|\n| a | old |\n\n- one\n  item\n- two\n\n"
            "| `x` | sun |\n|---|---|\n| up | `y` |\n")
    definition = {"display_name": "Knoten", "inputs": {"a": {"name": "ah", "tooltip": "neu"}}, "outputs": {}}
    texts = {"Says something.": "Sagt etwas.", "one item": "ein Teil", "sun": "Sonne", "input": "Eingang", "what it is": "was"}
    assert help_pages.texts_of(page) == {"Says something.", "one item", "two", "sun", "up"}
    assert help_pages.translated(page, definition, texts) == (
        "# Knoten\n\nSagt etwas.\n\n| Eingang | was |\n|---|---|\n| ah | neu |\n\n- ein Teil\n- two\n\n"
        "| `x` | Sonne |\n|---|---|\n| up | `y` |\n")
