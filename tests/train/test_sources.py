"""Where photos come from: the same photos whatever holds them, and broken data sets named."""
from __future__ import annotations

import io
import json
import tarfile

import pytest

from caphuman_core.check import InputError
from caphuman_train.data.sources import open_source
from caphuman_train.data.sources.photo import text_of

TOLD = {"licence": "CC-BY-4.0", "source": "https://example.org/1", "person": "anna"}


def picture(colour):
    from PIL import Image
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(buffer, "PNG")
    return buffer.getvalue()


ONE, TWO = picture((255, 0, 0)), picture((0, 255, 0))


def read_all(source):
    return {item.key: source.read(item) for item in source.items()}


def folder(path):
    (path / "anna").mkdir()
    (path / "anna" / "1.png").write_bytes(ONE)
    (path / "anna" / "1.txt").write_text("a woman,\n smiling ")
    (path / "anna" / "1.json").write_text(json.dumps(TOLD))
    (path / "2.PNG").write_bytes(TWO)
    (path / ".hidden.png").write_bytes(TWO)
    (path / "notes.md").write_text("no picture")
    return path


def test_a_folder_with_captions_and_a_folder_per_person(tmp_path):
    source = open_source(folder(tmp_path))
    assert [(item.number, item.key, item.person) for item in source.items()] == [(0, "2.PNG", ""), (1, "anna/1.png", "anna")]
    photos = read_all(source)
    photo = photos["anna/1.png"]
    assert (photo.content, photo.text, photo.licence, photo.source) == (ONE, "a woman, smiling", "CC-BY-4.0", TOLD["source"])
    assert (photos["2.PNG"].text, photos["2.PNG"].licence, photos["2.PNG"].problem) == ("", "", "")
    assert {item.person for item in open_source(tmp_path, people=False).items()} == {""}


def test_an_item_is_marked_by_what_it_holds(tmp_path):
    before = [item.mark for item in open_source(folder(tmp_path)).items()]
    (tmp_path / "2.PNG").write_bytes(TWO + b" ")
    after = [item.mark for item in open_source(tmp_path).items()]
    assert after[0] != before[0]
    assert after[1] == before[1]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_captions_that_say_their_encoding_are_read(encoding):
    assert text_of("jeune fille à l'école".encode(encoding)) == "jeune fille à l'école"


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "gb18030", "utf-16-le"])
def test_captions_in_another_encoding_are_the_photos_problem(tmp_path, encoding):
    (tmp_path / "a.png").write_bytes(ONE)
    (tmp_path / "a.txt").write_bytes("jeune fille à l'école, 女孩".encode(encoding, "replace"))
    photo = read_all(open_source(tmp_path))["a.png"]
    assert photo.problem == "the caption is in another encoding than UTF-8"


def test_a_broken_json_file_is_the_photos_problem(tmp_path):
    (tmp_path / "a.png").write_bytes(ONE)
    (tmp_path / "a.json").write_text("{licence: no")
    assert read_all(open_source(tmp_path))["a.png"].problem == "the JSON file beside it cannot be read"


def write_tar(path, members):
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_webdataset_tars(tmp_path):
    write_tar(tmp_path / "b.tar", {"000.png": TWO})
    write_tar(tmp_path / "a.tar", {"in/000.png": ONE, "in/000.txt": b"a woman", "in/000.json": json.dumps(TOLD).encode(),
                                   "in/001.txt": b"no picture of its own"})
    source = open_source(tmp_path)
    photos = read_all(source)
    assert list(photos) == ["a.tar/in/000", "b.tar/000"]
    assert (photos["a.tar/in/000"].text, photos["a.tar/in/000"].person, photos["b.tar/000"].content) == ("a woman", "anna", TWO)
    assert list(read_all(open_source(tmp_path / "b.tar"))) == ["b.tar/000"]


@pytest.mark.parametrize("kept", [700, 512 + 300, 1024, 100])
def test_a_truncated_tar_is_named(tmp_path, kept):
    """Within a picture, within a header, behind a whole member, at the very beginning."""
    path = write_tar(tmp_path / "a.tar", {"000.png": ONE * 5, "001.png": TWO * 5})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"tar 'a.tar' must be whole, but got one that .*: copy or download it again"):
        open_source(tmp_path).items()


def write_parquet(path, columns, rows_per_group=2):
    import pyarrow
    from pyarrow import parquet
    parquet.write_table(pyarrow.table(columns), path, row_group_size=rows_per_group)
    return path


def test_parquet_files_as_hugging_face_writes_them(tmp_path):
    write_parquet(tmp_path / "a.parquet", {"image": [{"bytes": one, "path": None} for one in (ONE, TWO, ONE)],
                                           "caption": ["a", "b", None], "license": ["CC0", "", "CC-BY"], "identity": [7, 7, 9]})
    photos = read_all(open_source(tmp_path))
    assert list(photos) == [f"a.parquet/{row:08}" for row in range(3)]
    assert [photo.content for photo in photos.values()] == [ONE, TWO, ONE]
    assert [photo.text for photo in photos.values()] == ["a", "b", ""]
    assert [photo.licence for photo in photos.values()] == ["CC0", "", "CC-BY"]
    assert [photo.person for photo in photos.values()] == ["7", "7", "9"]


def test_columns_of_other_names(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", {"portrait": [ONE], "says": ["hello"]})
    with pytest.raises(InputError, match="must have a column of pictures, but got columns portrait, says: name it: --column image"):
        open_source(path).items()
    photo = read_all(open_source(path, columns={"image": "portrait", "text": "says"}))["a.parquet/00000000"]
    assert (photo.content, photo.text) == (ONE, "hello")
    with pytest.raises(InputError, match="must have the column nowhere, but got columns portrait, says"):
        open_source(path, columns={"image": "nowhere"}).items()
    with pytest.raises(InputError, match="--column must name one of image, text"):
        open_source(path, columns={"picture": "portrait"})


def test_a_picture_that_is_only_named_is_not_fetched(tmp_path):
    write_parquet(tmp_path / "a.parquet", {"image": [{"bytes": None, "path": "https://example.org/1.jpg"}]})
    assert read_all(open_source(tmp_path))["a.parquet/00000000"].problem == "the picture is not in the file"


def test_a_broken_parquet_file_is_named(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", {"image": [ONE]})
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"parquet file 'a.parquet' must be whole"):
        open_source(tmp_path).items()


def test_a_data_set_of_hugging_face(tmp_path):
    import datasets
    import pyarrow
    from PIL import Image
    columns = {"image": [{"bytes": one, "path": None} for one in (ONE, TWO)], "text": ["a", "b"], "person": ["x", "y"]}
    features = datasets.Features({"image": datasets.Image(), "text": datasets.Value("string"), "person": datasets.Value("string")})
    table = pyarrow.table(columns, schema=features.arrow_schema)
    # With a fingerprint of its own: datasets 5.2 cannot make one where pyarrow is 26.
    data = datasets.Dataset(datasets.table.InMemoryTable(table), fingerprint="made-here")
    data.save_to_disk(str(tmp_path / "one"))
    photos = read_all(open_source(tmp_path / "one"))
    assert [(photo.text, photo.person) for photo in photos.values()] == [("a", "x"), ("b", "y")]
    with Image.open(io.BytesIO(photos["one/00000001"].content)) as picture:
        assert picture.getpixel((0, 0))[:3] == (0, 255, 0)
    datasets.DatasetDict({"train": data}).save_to_disk(str(tmp_path / "splits"))
    with pytest.raises(InputError, match="but got the splits train: name the folder of one, such as splits/train"):
        open_source(tmp_path / "splits").items()


def test_what_is_no_data_set_is_refused(tmp_path):
    with pytest.raises(InputError, match="must be a folder or a file, but got nothing there"):
        open_source(tmp_path / "nowhere")
    (tmp_path / "a.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"must be a folder, a .tar or a .parquet file, but got a .zip file"):
        open_source(tmp_path / "a.zip")
