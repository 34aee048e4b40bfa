"""Building on the operator's machine: an artifact named by its content, or what was wrong with it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from fairlead.config import ServiceSpec
from fairlead.config.service import SourceSpec
from fairlead.errors import NotReady
from fairlead.outside.files import ArtifactStore
from fairlead.plan.prepare import Artifact, prepare

PATH = {"PATH": os.environ["PATH"]}


def spec(**source: object) -> ServiceSpec:
    more = {key: source.pop(key) for key in ("shared", "protected") if key in source}
    return ServiceSpec.model_validate(
        {"name": "api", "source": SourceSpec.model_validate({"folder": "s", **source}), **more}
    )


async def build(folder: Path, service: ServiceSpec) -> Artifact:
    (folder / "s").mkdir(exist_ok=True)
    (folder / "s/file").write_text("content")
    return await prepare(service, folder, PATH, ArtifactStore(folder / "store"))


async def test_a_build(tmp_path: Path) -> None:
    commands = [["mkdir", "-p", "out"], ["sh", "-c", "cp file out/copy; echo 1.2 >VERSION"]]
    made = await build(tmp_path, spec(build=commands, output="out", version="VERSION"))
    assert (set(made.tree.entries), made.version) == ({"copy"}, "1.2")
    kept = tmp_path / "store" / made.tree.hash
    told = json.loads((kept / "release.json").read_text())
    assert told == {"release": made.tree.hash[:12], "service": "api", "tree": made.tree.hash, "version": "1.2"}


async def test_equal_content_is_one_artifact(tmp_path: Path) -> None:
    first = await build(tmp_path, spec())
    os.utime(tmp_path / "s/file", (1, 1))
    assert (await build(tmp_path, spec())).tree.hash == first.tree.hash


@pytest.mark.parametrize(
    ("commands", "says"),
    [
        ([["sh", "-c", "echo cannot find module x >&2; exit 3"]], "exited 3: cannot find module x"),
        ([["no-such-program"]], "no-such-program"),
        ([["false"], ["touch", "reached"]], "`false` exited 1"),
    ],
    ids=["fails", "is not there", "later commands are not run"],
)
async def test_a_build_that_fails(tmp_path: Path, commands: list[list[str]], says: str) -> None:
    with pytest.raises(NotReady) as error:
        await build(tmp_path, spec(build=commands))
    assert says in error.value.what
    assert not (tmp_path / "s/reached").exists()


async def test_a_build_that_never_ends(tmp_path: Path) -> None:
    with pytest.raises(NotReady):
        await build(tmp_path, spec(build=[["sleep", "60"]], timeout=0.2))


async def test_commands_are_no_shell_lines(tmp_path: Path) -> None:
    await build(tmp_path, spec(build=[["touch", "$(touch pwned)", "a;b"]]))
    assert {path.name for path in (tmp_path / "s").iterdir()} == {"file", "$(touch pwned)", "a;b"}


async def test_the_version_of_a_working_copy_is_its_commit(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(tmp_path / "s")]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "x"], ["tag", "v7"]):
        subprocess.run([*git, *words], check=True)
    assert (await build(tmp_path, spec())).version == "v7"


async def test_without_a_version_it_has_none(tmp_path: Path) -> None:
    assert (await build(tmp_path, spec())).version == ""


@pytest.mark.parametrize(
    ("service", "path"),
    [
        (spec(), "release.json"),
        (spec(shared=("uploads/",)), "uploads"),
        (spec(shared=(".env",)), ".env"),
        (spec(protected=(".well-known",)), ".well-known/x"),
    ],
    ids=["the release's name", "a shared folder", "a shared file", "a protected path"],
)
async def test_what_a_release_may_not_contain(tmp_path: Path, service: ServiceSpec, path: str) -> None:
    file = tmp_path / "s" / path
    file.parent.mkdir(parents=True)
    file.write_text("")
    with pytest.raises(NotReady, match="the release contains"):
        await build(tmp_path, service)


async def test_links_to_shared_paths_are_part_of_the_release(tmp_path: Path) -> None:
    made = await build(tmp_path, spec(shared=("uploads/", "a/b/.env")))
    links = {path: entry.link for path, entry in made.tree.entries.items() if entry.kind == "l"}
    assert links == {"uploads": "../../shared/uploads", "a/b/.env": "../../../../shared/a/b/.env"}
    assert made.tree.entries["a/b"].kind == "d"


async def test_a_source_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="there is no folder"):
        await prepare(spec(folder="gone"), tmp_path, PATH, ArtifactStore(tmp_path / "store"))
