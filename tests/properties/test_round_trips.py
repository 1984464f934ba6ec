"""A table in any encoding, separator, form of numbers and of dates: its second half is read as the whole was."""

import datetime
import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from yisheng.data import tables
from yisheng.inference.bulk.chunk import Tally
from yisheng.inference.bulk.rows import open_table
from yisheng.inference.rows import read_rows
from yisheng.serving.json_rows import parse_json_rows

WORDS = {
    "utf-8": "北京 größe Москва 서울",
    "utf-8-sig": "北京 größe Москва 서울",
    "utf-16": "北京 größe Москва 서울",
    "gb18030": "北京 上海 广州 红色",
    "gbk": "北京 上海 广州 红色",
    "big5": "臺北 高雄 紅色 藍色",
    "shift-jis": "東京 大阪 赤色 青色",
    "euc-kr": "서울 부산 빨강 파랑",
    "cp1252": "größe köln café señor",
    "latin-1": "größe köln café señor",
    "cp1250": "łódź żółty město kůň",
    "cp1251": "Москва Казань красный синий",
}
NUMBER_FORMS = [(".", ""), (".", ","), (",", ""), (",", "."), (",", "\u00a0")]
DATE_FORMS = ["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%Y/%m/%d"]
ROWS = 40


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(list(WORDS)),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(NUMBER_FORMS),
    st.sampled_from(DATE_FORMS),
    st.integers(0, 2**32),
)
def test_later_rows_are_read_as_the_training_table(tmp_path_factory, encoding, separator, form, date_form, seed):
    draw, folder = random.Random(seed), tmp_path_factory.mktemp("trip")
    decimal, thousands = form if form[1] != "\u00a0" or encoding.startswith(("utf", "cp", "latin")) else (",", ".")
    words = WORDS[encoding].split()

    def quote(text):
        return f'"{text}"' if separator in text else text

    def write_number(value):
        return f"{value:,.2f}".replace(",", "T").replace(".", decimal).replace("T", thousands)

    values = [
        (draw.uniform(-9999, 99999), draw.choice(words), draw.randrange(900), draw.randrange(50)) for _ in range(ROWS)
    ]
    days = [datetime.date(2020, 1, 1) + datetime.timedelta(offset) for _, _, offset, _ in values]
    texts = [
        (write_number(number), word, day.strftime(date_form), str(count), write_number(draw.uniform(0, 99)))
        for (number, word, _, count), day in zip(values, days, strict=True)
    ]
    rows = [separator.join(map(quote, row)) for row in texts]
    header = separator.join(["a", words[0], "d", "k", "y"])

    def write(name, lines):
        path = folder / name
        path.write_bytes("\n".join([header, *lines, ""]).encode(encoding))
        return path

    data = tables.from_file(write("t.csv", rows), target="y", task="regression")
    columns = {column.name: data.x[:, n] for n, column in enumerate(data.spec.columns)}
    np.testing.assert_allclose(columns["a"], [round(number, 2) for number, *_ in values], rtol=1e-5)
    categories = next(column.categories for column in data.spec.columns if column.name == words[0])
    assert [categories[int(code)] for code in columns[words[0]]] == [word for _, word, _, _ in values]
    half = write("half.csv", rows[ROWS // 2 :])
    np.testing.assert_array_equal(read_rows(half, data.spec).x, data.x[ROWS // 2 :])
    np.testing.assert_array_equal(next(open_table(half, data.spec).chunks(Tally())).x, data.x[ROWS // 2 :])
    np.testing.assert_array_equal(read_rows(write("last.csv", rows[-1:]), data.spec).x, data.x[-1:])
    sent = [dict(zip(("a", words[0], "d", "k"), row, strict=False)) for row in texts[-3:]]
    np.testing.assert_array_equal(parse_json_rows(sent, data.spec)[0], data.x[-3:])
