from __future__ import annotations

import string

import pytest

from fairlead.errors import NotReady
from fairlead.model import Command, SecretRef
from fairlead.outside.secrets import Secrets


def secrets_with(value: str) -> Secrets:
    return Secrets(environ={"PASS": value})


@pytest.mark.parametrize(
    ("form", "value", "written"),
    [
        ("plain", "a:b\\c ü", "a:b\\c ü"),
        ("pgpass", "secret", "*:*:*:*:secret\n"),
        ("pgpass", "a:b\\c ü ", "*:*:*:*:a\\:b\\\\c ü \n"),
        ("pgpass", string.punctuation, "*:*:*:*:!\"#$%&'()*+,-./\\:;<=>?@[\\\\]^_`{|}~\n"),
        ("mariadb", "a:b\\c ü # ", 'password="a:b\\\\c ü # "\n'),
        ("mariadb", string.punctuation, 'password="!\\"#$%&\'()*+,-./:;<=>?@[\\\\]^_`{|}~"\n'),
        ("mariadb", "x\nuser=root\r", 'password="x\\nuser=root\\r"\n'),
        ("mariadb_hash", "mariadb", "*54958E764CE10E50764C2EECBB71D01F08549980\n"),
        ("json", 'a"\\\n€', '"a\\"\\\\\\n\\u20ac"\n'),
        ("url", "a/b:@€ '", "a%2Fb%3A%40%E2%82%AC%20%27\n"),
    ],
    ids=[
        *("plain", "pgpass", "pgpass with a blank at its end", "pgpass with all signs"),
        *("mariadb", "mariadb with all signs", "mariadb with another option in it"),
        *("what MariaDB keeps", "JSON", "a part of a URL"),
    ],
)
async def test_a_secret_is_written_for_its_reader(form: str, value: str, written: str) -> None:
    ref = SecretRef.model_validate({"name": "PASS", "form": form})
    assert await secrets_with(value).stdin_of(Command(argv=("x",), stdin=ref)) == written.encode()


@pytest.mark.parametrize("sign", ["\n", "\r", "\0"], ids=["newline", "return", "nul"])
async def test_what_a_form_cannot_hold_is_refused_without_its_value(sign: str) -> None:
    with pytest.raises(NotReady) as told:
        await secrets_with(f"first{sign}second").rendered(SecretRef(name="PASS", form="pgpass"))
    assert "PASS holds a line break" in told.value.what
    assert "first" not in str(told.value) + told.value.hint


async def test_a_nul_byte_fits_into_no_option_file() -> None:
    with pytest.raises(NotReady, match="PASS holds a NUL byte"):
        await secrets_with("first\0second").rendered(SecretRef(name="PASS", form="mariadb"))
