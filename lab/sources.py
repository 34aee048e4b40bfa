"""Write a version of the lab's services: python3 lab/sources.py FOLDER VERSION [--dies SECONDS] [--heavy MIB]."""

from __future__ import annotations

import argparse
import random
import shutil
from pathlib import Path

API = """\
import json
import os

from fastapi import FastAPI

app = FastAPI()
RELEASE = json.load(open("release.json"))["release"]  # as it was when this process began


@app.get("/health")
def health():
    return {"status": "healthy", "pid": os.getpid()}


@app.get("/version")
def version():
    return {"release": RELEASE, "pid": os.getpid()}
"""
# Python must not write into the release: it would no longer be what its name says.
RUN = 'PYTHONDONTWRITEBYTECODE=1 exec python3 -m uvicorn main:app --host 127.0.0.1 --port "$PORT"\n'
DIES = "{{ sleep {seconds}; kill -9 $$; }} &\n"
"""The unit's main process goes, so many seconds after a restart that succeeded."""
PAGES = {"frontend": "Frontend", "games": "Games", "admin": "Admin"}


def write(folder: Path, version: str, dies: float = 0, heavy: int = 0) -> None:
    """All six; `dies` seconds after its start the API does, and the games are `heavy` MiB that do not compress."""
    for name in ("api", "crm", "n8n", *PAGES):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
        (folder / name / "VERSION").write_text(f"{version}\n")
    (folder / "api/main.py").write_text(API)
    (folder / "api/run").write_text((DIES.format(seconds=dies) if dies else "") + RUN)
    (folder / "crm/index.php").write_text(f'<?php echo "CRM {version}\\n";\n')
    (folder / "n8n/workflow.json").write_text(f'{{"name": "greet", "version": "{version}"}}\n')
    for name, title in PAGES.items():
        (folder / name / "index.html").write_text(f"<!doctype html><title>{title}</title><h1>{title} {version}</h1>\n")
    if heavy:
        (folder / "games/film.bin").write_bytes(random.Random(version).randbytes(heavy << 20))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("version")
    parser.add_argument("--dies", type=float, default=0)
    parser.add_argument("--heavy", type=int, default=0)
    told = parser.parse_args()
    write(told.folder, told.version, told.dies, told.heavy)


if __name__ == "__main__":
    main()
