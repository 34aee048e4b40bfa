"""Build what is to be released, on the operator's machine, into an artifact named by its content."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from fairlead.config import ServiceSpec, SourceSpec
from fairlead.errors import NotReady
from fairlead.model import IDENTITY_FILE, Model, Tree, canonical
from fairlead.model.tree import Entry as TreeEntry
from fairlead.outside.files import ArtifactStore, read_first_line, tree_of
from fairlead.outside.program import run_program
from fairlead.strategies.release import release_id, shared_links

LONGEST_VERSION = 1000
"""Characters."""


class Artifact(Model):
    """What one service releases: lies in the artifact store under its tree hash."""

    service: str
    tree: Tree
    version: str
    """What people call it; empty = it has no name but its hash."""


async def prepare(
    service: ServiceSpec,
    base: Path,
    env: Mapping[str, str],
    store: ArtifactStore,
    *,
    clean: Callable[[str], str] = str,
) -> Artifact:
    """Run the service's build commands below `base` with `env`, hash the output and keep a copy in the store.

    `clean` takes secrets out of what a build says: it may read files that hold some.

    Raises NotReady when a build command fails, or when the output holds something that cannot be released.
    """
    source = service.source
    if source is None:
        raise NotReady(f"{service.name} has no source", f"give services.{service.name}.source a folder")
    folder = base / source.folder
    await _build(service.name, source, folder, env, clean)
    output = folder / source.output
    version = await _version(source, folder, env)
    tree = await asyncio.to_thread(tree_of, output, source.exclude)
    links = shared_links(service)
    _refuse_collisions(service, tree, links)
    whole = Tree(entries={**tree.entries, **_link_entries(tree, links)})
    identity = {"release": release_id(whole), "service": service.name, "tree": whole.hash, "version": version}
    await asyncio.to_thread(store.add, output, whole, {IDENTITY_FILE: canonical(identity) + "\n"}, like=service.name)
    return Artifact(service=service.name, tree=whole, version=version)


async def _build(
    name: str, source: SourceSpec, folder: Path, env: Mapping[str, str], clean: Callable[[str], str]
) -> None:
    for argv in source.build:
        result = await run_program(argv, folder=folder, env=env, timeout=source.timeout, keep_end=True)
        if not result.ok:
            raise NotReady(
                f"{name}: `{shlex.join(argv)}` exited {result.code}: {result.cleaned(clean).last_words}",
                f"run it by hand in {source.folder}; nothing was changed on any server",
            )


async def _version(source: SourceSpec, folder: Path, env: Mapping[str, str]) -> str:
    if source.version:
        version = await asyncio.to_thread(read_first_line, folder / source.version)
        if len(version) > LONGEST_VERSION or not version.isprintable():
            raise NotReady(
                f"the first line of {folder / source.version} is no version: {LONGEST_VERSION} characters at most, "
                "and none that control a terminal",
                "write what people call this release",
            )
        return version
    result = await run_program(("git", "describe", "--always", "--dirty", "--tags"), folder=folder, env=env)
    return result.stdout.strip() if result.ok else ""


def _refuse_collisions(service: ServiceSpec, tree: Tree, links: dict[str, str]) -> None:
    if IDENTITY_FILE in tree.entries:
        raise NotReady(f"{service.name}: the release contains {IDENTITY_FILE}, which is written by the deployment")
    for path in (*links, *(name.rstrip("/") for name in service.protected)):
        if path in tree.entries:
            raise NotReady(
                f"{service.name}: the release contains {path}, which is kept on the server",
                f"take it out of the build, or out of services.{service.name}.shared and .protected",
            )


def _link_entries(tree: Tree, links: dict[str, str]) -> dict[str, TreeEntry]:
    """The links to shared paths, and folders above them that the tree does not have."""
    entries: dict[str, TreeEntry] = {}
    for path, target in links.items():
        for parent in list(Path(path).parents)[:-1]:
            if str(parent) not in tree.entries:
                entries[str(parent)] = TreeEntry(kind="d", mode=0o755)
        entries[path] = TreeEntry(kind="l", mode=0o777, link=target)
    return entries
