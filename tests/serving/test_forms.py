"""Forms with files: their content comes back as it was sent, and damaged forms do no harm."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from yisheng.serving.errors import ApiError
from yisheng.serving.forms import parse_form


@given(st.lists(st.tuples(st.text(max_size=8), st.binary(max_size=60)), max_size=5))
@settings(max_examples=60)
def test_the_content_of_forms_comes_back_as_it_was_sent(parts):
    names = [name.replace("\r", "").replace("\n", "").replace('"', "").replace("\\", "") for name, _ in parts]
    body = b"".join(
        b'--line\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n%s\r\n'
        % (name.encode("utf-8", "replace"), content)
        for name, (_, content) in zip(names, parts, strict=True)
        if b"--line" not in content
    )
    parsed = parse_form(body + b"--line--\r\n", "multipart/form-data; boundary=line")
    assert [bytes(part.content) for part in parsed] == [content for _, content in parts if b"--line" not in content]


@given(st.binary(max_size=300), st.text(st.characters(max_codepoint=255), max_size=40))
def test_any_bytes_are_a_form_or_an_api_error(body, boundary):
    for content_type in (
        f"multipart/form-data; boundary={boundary}",
        "multipart/form-data; boundary=x; charset=idna",
    ):
        with contextlib.suppress(ApiError):
            parse_form(body.replace(b"\n", b"\r\n--x"), content_type)
