"""Every language of tools/translations says everything: nodes, editor, templates' list, titles and notes, help pages."""
from __future__ import annotations

import json
import re

import pytest

from caphuman_core.head.edit.widget_values import DIRECTIONS
from caphuman_core.head.model.head_model import load_builtin
from tools.devkit.places import ROOT
from tools.make_workflows import __main__ as generate
from tools.make_workflows import build, spoken

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


@each
def test_what_is_filled_in_is_the_same_in_both(language):
    for text, translation in LANGUAGES[language].items():
        assert translation.strip(), text
        assert sorted(FILLED.findall(text)) == sorted(FILLED.findall(translation)), text


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
