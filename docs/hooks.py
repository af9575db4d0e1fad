"""MkDocs hooks: pictures and tables of Resources/, help of every command, and pages of the repository's root.

`<!-- help: train -->` becomes the command's --help, `<!-- include: CONTRIBUTING.md -->` a file of the repository and
`<!-- recipes -->` the table of recipes, so that none of them can differ from the code.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "Resources" / "pictures"


def on_files(files: Files, config: Any) -> Files:
    """Add the pictures and tables of Resources/pictures as pictures/."""
    for path in sorted([*PICTURES.rglob("*.png"), *PICTURES.rglob("*.csv")]):
        uri = f"pictures/{path.relative_to(PICTURES).as_posix()}"
        files.append(File.generated(config, uri, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill in markers; links to Resources/pictures and to files of the repository become links of the site."""
    os.environ["COLUMNS"] = "100"
    markdown = re.sub(r"<!-- include: (\S+) -->", lambda match: (ROOT / match[1]).read_text("utf-8"), markdown)
    markdown = re.sub(r"<!-- help: (\w+) -->", lambda match: _help(match[1]), markdown)
    markdown = markdown.replace("<!-- recipes -->", _recipes()) if "<!-- recipes -->" in markdown else markdown
    up = "../" * page.file.src_uri.count("/")
    return re.sub(r"\((?:\.\./)*Resources/pictures/", f"({up}pictures/", markdown)


def _help(name: str) -> str:
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        importlib.import_module(f"TrainingCore.{name}").main(["--help"])
    return f"```text\n{text.getvalue()}```"


def _recipes() -> str:
    from TrainingCore.data.recipe import available, load_recipe

    rows = [f"| `{name}` | {load_recipe(name)['description']} |" for name in available()]
    return "\n".join(["| recipe | what it trains |", "|---|---|", *rows])
