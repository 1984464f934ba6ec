"""Files in any encoding: read as they were written, in training and later, or reported as doubtful."""

import numpy as np
import pytest

from tests.foreign.tables import read_later, values_of
from yisheng.core.errors import DataError
from yisheng.data import tables
from yisheng.inference.bulk.chunk import Tally
from yisheng.inference.bulk.rows import open_table
from yisheng.inference.rows import read_rows

TEXTS = {
    "gbk": "价格 城市 上海 北京 广州",
    "gb18030": "价格 城市 上海 北京 㐀㐁",
    "gb2312": "年龄 性别 男 女 未知",
    "big5": "價格 城市 臺北 高雄 臺南",
    "big5hkscs": "價格 城市 香港 九龍 新界",
    "shift_jis": "価格 都市 東京 大阪 名古屋",
    "cp932": "価格 カテゴリ ①番 みどり あか",
    "euc_jp": "価格 都市 東京 大阪 みどり",
    "iso2022_jp": "価格 都市 東京 大阪 名古屋",
    "euc_kr": "가격 도시 서울 부산 대구",
    "cp949": "가격 도시 서울 부산 똠방각하",
    "iso2022_kr": "가격 도시 서울 부산 대구",
    "cp1252": "größe straße köln münchen düsseldorf",
    "latin-1": "preço cidade são paulo maringá",
    "cp1250": "cena město přerov kůň žďár",
    "cp1251": "цена город Москва Казань Тула",
    "koi8-r": "цена город Москва Казань Тула",
    "cp866": "цена город Москва Казань Тула",
    "cp1253": "τιμή πόλη Αθήνα Πάτρα Βόλος",
    "cp1254": "fiyat şehir ağrı muğla kırşehir",
    "cp1255": "מחיר עיר ירושלים חיפה אילת",
    "cp1256": "السعر المدينة القاهرة الرياض بغداد",
    "cp1257": "kaina miestas šiauliai panevėžys kėdainiai",
    "utf-16": "价格 größe Москва 서울 東京",
    "utf-16-le": "价格 größe Москва 서울 東京",
    "utf-16-be": "价格 größe Москва 서울 東京",
    "utf-32": "价格 größe Москва 서울 東京",
    "utf-8": "价格 größe Москва 서울 東京",
    "utf-8-sig": "价格 größe Москва 서울 東京",
}


def make_table(encoding, rows=60, line_end="\n"):
    number, word, *categories = TEXTS[encoding].split()
    lines = [f"{number};{word};y", *(f"{n},5;{categories[n % len(categories)]};{n}" for n in range(rows))]
    return line_end.join([*lines, ""]).encode(encoding)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", TEXTS)
def test_a_table_is_read_in_its_encoding_in_training_and_later(tmp_path, encoding, line_end):
    number, word, *categories = TEXTS[encoding].split()
    (tmp_path / "train.csv").write_bytes(make_table(encoding, line_end=line_end))
    data = tables.from_file(tmp_path / "train.csv", target="y", task="regression")
    assert values_of(data, number)[:3] == [0.5, 1.5, 2.5]
    assert values_of(data, word)[:3] == categories
    for rows in (1, 2, 5):
        (tmp_path / "later.csv").write_bytes(make_table(encoding, rows, line_end))
        np.testing.assert_array_equal(read_rows(tmp_path / "later.csv", data.spec).x, data.x[:rows])
        np.testing.assert_array_equal(
            next(open_table(tmp_path / "later.csv", data.spec).chunks(Tally())).x, data.x[:rows]
        )
    (tmp_path / "later.csv").write_bytes(make_table(encoding, 2).decode(encoding).encode())
    np.testing.assert_array_equal(read_rows(tmp_path / "later.csv", data.spec).x, data.x[:2])
    assert read_later(tmp_path, data, word, categories[1], encoding=encoding) == categories[1]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (make_table("utf-8")[:-9] + b"\xff9;\xc3", "damaged character"),
        (make_table("utf-8") + "1,5;größe;3\n".encode("cp1252"), "damaged character"),
        (make_table("utf-16-le")[:-1], "not in utf-16-le|damaged"),
        (make_table("utf-8").replace(b"12,5", b"12\0,5"), "zero bytes"),
        (make_table("utf-8").replace(b"\n3,5;", b'\n3,5;"'), "quote"),
        (make_table("utf-8").replace(b"\n3,5;", b"\n3,5;;"), "values"),
        (make_table("utf-8") + make_table("utf-8"), "line 62 repeats the names"),
        (make_table("utf-8-sig") + make_table("utf-8-sig"), "line 62 repeats the names"),
        (make_table("utf-8", line_end="\r\n") + make_table("utf-8", line_end="\r\n"), "line 62 repeats the names"),
        (make_table("utf-8") + b"# a comment\n", "line 62 has 1 value"),
        (make_table("utf-8").replace(b";y\n", b";y;\n"), "values"),
        (b"", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"a;y\n", "no rows"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path, content, problem):
    (tmp_path / "train.csv").write_bytes(content)
    with pytest.raises(DataError, match=problem):
        tables.from_file(tmp_path / "train.csv", target="y", task="regression")


def test_a_joined_file_is_refused_in_prediction_too(tmp_path):
    (tmp_path / "train.csv").write_bytes(make_table("gbk"))
    data = tables.from_file(tmp_path / "train.csv", target="y", task="regression")
    (tmp_path / "later.csv").write_bytes(make_table("gbk", 3) + make_table("gbk", 3))
    for read in (lambda path: read_rows(path, data.spec), lambda path: open_table(path, data.spec)):
        with pytest.raises(DataError, match="line 5 repeats the names"):
            read(tmp_path / "later.csv")


@pytest.mark.parametrize(
    ("content", "names", "values"),
    [
        (b"a,y\r\n1,2\n3,4\r5,6\r\n", ["a", "y"], [1, 3, 5]),  # three kinds of line ends
        (b"\xef\xbb\xbf\xef\xbb\xbfa,y\n1,2\n3,4\n5,6\n", ["a", "y"], [1, 3, 5]),  # a mark written twice
        (b"sep=;\n" + b"a;y\n1;2\n3;4\n5;6\n", ["a", "y"], [1, 3, 5]),
        (b"\n\na,y\n1,2\n\n3,4\n5,6\n\n", ["a", "y"], [1, 3, 5]),
        (b"a,y,\n1,2,\n3,4,\n5,6,\n", ["a", "y", "column-3"], [1, 3, 5]),
        (b",a,y\n0,1,2\n1,3,4\n2,5,6\n", ["column-1", "a", "y"], [1, 3, 5]),
        (b"# by a program\n# a b\na,y\n1,2\n3,4\n5,6\n", ["a", "y"], [1, 3, 5]),
        (b"Report,\na,y\n1,2\n3,4\n5,6\n", ["a", "y"], [1, 3, 5]),
        (b'"a","y"\n"1","2"\n"3","4"\n"5","6"\n', ["a", "y"], [1, 3, 5]),
        (b'a, y\n 1, "2"\n 3, 4\n5 ,6\n', ["a", "y"], [1, 3, 5]),
        (b"a\xe2\x80\x8b,\xef\xbb\xbfy\n1,2\n3,4\n5,6\n", ["a", "y"], [1, 3, 5]),
        ("\uff41,y\n1,2\n3,4\n5,6\n".encode(), ["a", "y"], [1, 3, 5]),
    ],
)
def test_odd_layouts_are_read(tmp_path, content, names, values):
    (tmp_path / "train.csv").write_bytes(content)
    facts = tables.outline(tmp_path / "train.csv")
    assert [column["column"] for column in facts["columns"]] == names
    data = tables.from_file(tmp_path / "train.csv", target="y", task="regression", kinds=["a:number"])
    assert values_of(data, "a") == values


@pytest.mark.parametrize(
    ("content", "has_header", "names"),
    [
        ("1,5;2,5\n3,5;4,5\n", False, ("column-1", "column-2")),
        ("1.5.2024;x\n2.5.2024;y\n", False, ("column-1", "column-2")),
        ("$1.50,red\n$2.50,blue\n", False, ("column-1", "column-2")),
        ("12 %;1\n13 %;2\n", False, ("column-1", "column-2")),
        ("2024-05-01,1\n2024-05-02,2\n", False, ("column-1", "column-2")),
        ("price;when\n1,5;1.5.2024\n2,5;2.5.2024\n", True, ("price", "when")),
        ("region;2019;2020\nNord;1,5;2\nSüd;2;1\n", True, ("region", "2019", "2020")),
        ("2019,2020,2021\n1.5,2,3\n4,5,6\n", True, ("2019", "2020", "2021")),
        ("a;b\n1,5;2\n", True, ("a", "b")),
        ("0,1,2\n5,6,7\n8,9,10\n", True, ("0", "1", "2")),
        ("5,6,7\n8,9,10\n", False, ("column-1", "column-2", "column-3")),
    ],
)
def test_a_header_is_told_from_values(tmp_path, content, has_header, names):
    from yisheng.data.tables.sniff import sniff_layout

    (tmp_path / "train.csv").write_text(content, encoding="utf-8")
    layout = sniff_layout(tmp_path / "train.csv")
    assert (layout.has_header, layout.names) == (has_header, names)
