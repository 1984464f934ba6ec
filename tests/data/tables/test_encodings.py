"""Encodings of text files: guessed, kept with the run, and told apart from damaged UTF-8."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.tables.text_tables import read, write
from yisheng.core.errors import DataError
from yisheng.data.tables.decoded_text import candidate_encodings, find_encoding
from yisheng.data.tables.encodings import guess_encodings, rate_text
from yisheng.data.tables.reading_options import ReadingOptions
from yisheng.inference.bulk.chunk import Tally
from yisheng.inference.bulk.rows import open_table
from yisheng.inference.rows import read_rows

SAMPLES = [
    ("gbk", "姓名,年龄,城市"),
    ("gbk", "北京,男"),
    ("gbk", "性别"),
    ("gbk", "颜色\n红\n蓝\n绿"),
    ("gbk", "价格(元),面积"),
    ("gbk", "联通,1"),  # valid UTF-8 in older decoders
    ("big5", "姓名,年齡,城市"),
    ("big5", "臺北,男"),
    ("big5", "性別\n男\n女"),
    ("shift-jis", "氏名,年齢,都市"),
    ("shift-jis", "東京,男"),
    ("shift-jis", "カテゴリ"),
    ("euc-kr", "이름,나이,도시"),
    ("euc-kr", "서울,남"),
    ("euc-kr", "성별\n남\n여"),
    ("euc-jp", "氏名,年齢,都市"),
    ("cp1252", "größe"),
    ("cp1252", "naïve café"),
    ("cp1252", "señor"),
    ("cp1252", "Müller,Straße"),
    ("cp1252", "coração"),
    ("cp1252", "é"),
    ("cp1252", "100 €"),
    ("cp1252", "“quoted”"),
    ("cp1252", "25°C"),
    ("cp1250", "żółć,łódź"),
    ("cp1250", "příjem,město"),
    ("cp1251", "имя,возраст,город"),
    ("cp1251", "Москва"),
    ("koi8-r", "имя,возраст,город"),
    ("cp866", "имя,город"),
    ("cp1253", "όνομα,ηλικία"),
    ("cp1254", "şehir,yaş,ığdır"),
    ("cp1255", "שם,גיל,עיר"),
    ("cp1256", "اسم,عمر,مدينة"),
    ("mac_roman", "prénom,âge"),
    ("iso8859-2", "žluťoučký kůň"),
]


@pytest.mark.parametrize(("encoding", "text"), SAMPLES)
def test_encodings_are_guessed_from_few_words(encoding, text):
    sample = text.encode(encoding)
    assert sample.decode(guess_encodings(sample)[0]) == text


@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_have_an_encoding(sample):
    guessed = guess_encodings(sample)
    assert guessed[-1] == "latin-1"
    assert len(set(guessed)) == len(guessed)


def test_plausible_texts_are_rated_higher():
    assert rate_text("中文表格") > rate_text("涓枃琛ㄦ牸")
    assert rate_text("größe") > rate_text("grÃ¶ÃŸe")
    assert rate_text("plain") == 1


TABLE = "城市,数,结果\n" + "".join(f"{['北京', '上海', '广州'][n % 3]},{n % 11},{n % 7}.5\n" for n in range(60))


@pytest.mark.parametrize(
    "encoding", ["gbk", "gb18030", "big5", "shift-jis", "utf-8", "utf-8-sig", "utf-16", "utf-16-le"]
)
def test_the_file_that_was_trained_on_is_read_the_same_way_in_prediction(tmp_path, encoding):
    text = TABLE.replace("广", "東").replace("数,结果", "數,目標") if encoding in ("big5", "shift-jis") else TABLE
    path = write(tmp_path, text.encode(encoding))
    data = read(tmp_path, text.encode(encoding))
    rows = read_rows(path, data.spec)
    assert rows.x.tolist() == data.x.tolist()
    (chunk,) = open_table(path, data.spec).chunks(Tally())
    assert chunk.x.tolist() == data.x.tolist()
    single = write(tmp_path, "\n".join(text.split("\n")[:2]).encode(encoding), "one.csv")
    assert read_rows(single, data.spec).x.tolist() == data.x[:1].tolist()


def test_an_ambiguous_file_is_read_in_the_encoding_of_training(tmp_path):
    """A row of one Chinese character is valid UTF-8 as well."""
    text = "a,b\n" + "".join(f"{n % 7},{'一二三'[n % 3]}\n" for n in range(30))
    lines = [f"{line},{n}" for n, line in enumerate(text.split())]
    data = read(tmp_path, "\n".join(["a,b,y", *lines[1:]]).encode("gbk"))
    assert set(data.spec.columns[1].categories) == {"一", "二", "三"}
    path = write(tmp_path, "a,b\n1,一\n".encode("gbk"), "one.csv")
    assert "一".encode("gbk").decode("utf-8") == "һ"
    assert read_rows(path, data.spec).x[0, 1] == data.spec.columns[1].categories.index("一")


def test_an_encoding_can_be_given_in_prediction(tmp_path):
    data = read(tmp_path, TABLE)
    path = write(tmp_path, TABLE.encode("gbk"), "g.csv")
    assert read_rows(path, data.spec, options=ReadingOptions(encoding="gbk")).x.tolist() == data.x.tolist()
    assert find_encoding("GBK") == "gbk"


def test_a_missing_column_in_a_file_of_doubtful_encoding_says_so(tmp_path):
    data = read(tmp_path, TABLE)
    path = write(tmp_path, "größe,b\n1,2\n".encode("cp1252"), "w.csv")
    for reader in (read_rows, lambda path, spec: open_table(path, spec)):
        with pytest.raises(DataError, match="read as cp1252, which is a guess") as caught:
            reader(path, data.spec)
        assert "encoding=" in caught.value.remedy


def test_damaged_utf8_is_refused_rather_than_garbled(tmp_path):
    path = write(tmp_path, TABLE.encode() + b"\xff\xe9,1,2\n")
    with pytest.raises(DataError, match="except for a damaged character"):
        list(candidate_encodings(path))
    with pytest.raises(DataError, match="except for a damaged character"):
        read(tmp_path, TABLE.encode() + b"\xff\xe9,1,2\n")
