"""The search itself: what it has to find, and what it must not."""

from __future__ import annotations

import base64
import html
import json
import shlex
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from support.sentinels import Search, key_sentinel, sentinel

ESCAPES: dict[str, Callable[[str], str]] = {
    "plain": str,
    "in JSON": json.dumps,
    "in JSON, as UTF-8": lambda text: json.dumps(text, ensure_ascii=False),
    "in JSON in JSON": lambda text: json.dumps(json.dumps(text)),
    "in a URL": lambda text: quote(text, safe=""),
    "in a form": quote_plus,
    "in a shell's quotes": shlex.quote,
    "in Python's quotes": repr,
    "on a page": html.escape,
    "in base64": lambda text: base64.b64encode(text.encode()).decode(),
    "in base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "in base64 after one letter": lambda text: base64.b64encode(b"u" + text.encode()).decode(),
    "in base64 after two": lambda text: base64.urlsafe_b64encode(b"u:" + text.encode() + b"?").decode(),
    "in hexadecimal digits": lambda text: text.encode().hex(),
    "its beginning only": lambda text: text[:30],
    "its end only": lambda text: text[-30:],
}


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("key") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)], check=True)
    return path.read_text()


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES.keys())
def test_a_value_is_found_however_it_is_written(escape: Callable[[str], str]) -> None:
    search = Search([sentinel("PASSWORD"), sentinel("OTHER")])
    (hidden, _) = search.sentinels
    assert search.text("here", f'x="{escape(hidden.value)}"')
    assert search.hits == ["PASSWORD in here"]


@pytest.mark.parametrize(
    "written",
    [
        lambda key: key,
        lambda key: base64.b64encode(key.encode()).decode(),
        lambda key: base64.b64encode(b"x" + key.encode()).decode(),
        json.dumps,
        lambda key: " ".join(key.split()),
        lambda key: key.splitlines()[3],
        lambda key: key.splitlines()[2][:40],
    ],
    ids=["plain", "base64", "base64 inside something", "JSON", "on one line", "one line of it", "half a line"],
)
def test_a_key_is_found_by_its_body(written: Callable[[str], str], key: str) -> None:
    search = Search([key_sentinel("KEY", key, key)])
    assert search.text("here", written(key))


def test_another_key_and_other_text_are_not_taken_for_it(key: str) -> None:
    first, last = key.splitlines()[:2], key.splitlines()[-1]
    search = Search([key_sentinel("KEY", key, key), sentinel("PASSWORD")])
    assert not search.text("here", "\n".join([*first, "something else", last, 'PASSWORD "$HOME"']))
    assert search.hits == [] and search.looked > 100


def test_files_their_names_links_and_a_database(tmp_path: Path) -> None:

    search = Search(
        [sentinel("A", "."), sentinel("B", "."), sentinel("C", "."), sentinel("D", "."), sentinel("E", ".")]
    )
    a, b, c, d, e = (one.value for one in search.sentinels)
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "env").write_text(e)
    (tmp_path / a).write_text("")
    (tmp_path / "link").symlink_to(b)
    (tmp_path / "file").write_bytes(b"\xff\0" + c.encode())
    with sqlite3.connect(tmp_path / "history.db") as history:
        history.execute("CREATE TABLE t (v)")
        history.execute("INSERT INTO t VALUES (?)", (f"{'x' * 4080}{d}{'x' * 9000}",))
    history.close()
    search.folder("home", tmp_path, but=[tmp_path / "source"])
    assert {hit[0] for hit in search.hits} == {"A", "B", "C", "D"}
