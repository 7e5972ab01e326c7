"""Every command in README.md and docs/*.md works; a new page is picked up by itself.

The shell reads the blocks of a page, with `python` and the like replaced by functions that write
down what they are given. Those words go to the real command line with an executor that trains
nothing; commands that load a framework are only parsed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from scripted_executor import ScriptedExecutor
from synthetic import Net, make_run
from tiny import write_images
from user import ROOT, in_process

from bench import reports
from bench.cli.main import COMMANDS, parser
from bench.execution import preparing
from bench.models.weights import LocatedWeights
from bench.registry import BACKBONES
from bench.reports import point_latest
from bench.system.command_line import parse
from bench.types import Backbone

pytestmark = pytest.mark.slow

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LOAD_A_FRAMEWORK = ("check", "export", "new", "predict", "verify")
# Programs of ours write their words down, each ended by a zero byte; others do nothing.
SHELL = """
PATH=/nowhere
words() { printf '%s\\0' "$@" >&3; printf '\\n\\0' >&3; }
backbone-bench() { words "$@"; }
python() {
    case "$1 $2" in
        "run_bench.py "*) shift; words "$@" ;;
        "-m bench") shift 2; words "$@" ;;
        benchmarks/*) [ -f "$DOCS_ROOT/$1" ] || words missing "$1" ;;
        *) words unknown python "$@" ;;
    esac
}
for other in make pip git cd source jq ray; do eval "$other() { :; }"; done
command_not_found_handle() { words unknown "$@"; }
"""


def commands(page: Path, home: Path) -> list[list[str]]:
    """Return the words of every command of ours in the page's shell blocks."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:sh|bash)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        blocks += [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
    script = "\n".join([SHELL, *blocks])
    result = subprocess.run(
        ["bash", "-c", f"{{ {script}\n}} 3>&1 >/dev/null"],
        cwd=home,
        env={**os.environ, "DOCS_ROOT": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert not result.stderr, f"{page.name}: {result.stderr}"
    lines = result.stdout.split("\0\n\0")
    return [line.split("\0") if line else [] for line in lines[:-1]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the pages speak of: photographs, groups, and runs of the past."""
    home = tmp_path_factory.mktemp("home")
    write_images(home / "photos", {"train": 24, "test": 12})
    (home / "PHOTOS").symlink_to("photos")
    (home / "docs").symlink_to(ROOT / "docs")
    shutil.make_archive(str(home / "photos"), "zip", home / "photos")
    images = sorted(path.relative_to(home / "photos") for path in home.glob("photos/*/*/*"))
    lines = [f"{image.as_posix()},{number}" for number, image in enumerate(images)]
    (home / "groups.csv").write_text("\n".join(["image,group", *lines]))
    nets = (Net("mobilenetv2", 3.4, 14.0), Net("resnet50", 3.9, 48.0))
    for name in ("before", "after"):
        make_run(home / "results" / name, nets)
    point_latest(home / "results", "after")
    return home


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Say that all weights are here, and render nothing: other tests do."""

    def located(
        backbones: Sequence[tuple[Backbone, int]], choice: str, **options: object
    ) -> object:
        found = LocatedWeights("imagenet", "x.h5", "0" * 64)
        return {(backbone.name, size): found for backbone, size in backbones}

    monkeypatch.setattr(preparing, "locate_all", located)
    monkeypatch.setattr(preparing, "measure_matrix_rate", lambda: 1e11)
    monkeypatch.setattr(reports, "write", lambda *arguments, **options: [])
    monkeypatch.setenv("BACKBONE_BENCH_CACHE", str(home / "cache"))


def write_files(page: Path, home: Path) -> None:
    """Write the blocks that begin with a file's name, as a reader does."""
    text = page.read_text(encoding="utf-8")
    named = r"^```(?:python|toml)\n# (\w+\.(?:py|toml))\n(.*?)^```"
    for name, content in re.findall(named, text, re.MULTILINE | re.DOTALL):
        (home / name).write_text(content)


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_every_command_works(page: Path, home: Path) -> None:
    write_files(page, home)
    for words in commands(page, home):
        told = f"{page.name}: {' '.join(words)}"
        name = words[0] if words and words[0] in COMMANDS else "run"
        if name in LOAD_A_FRAMEWORK:
            parse(parser(name), words)
            continue
        # Neither drawn nor downloaded here.
        words = [re.sub(r"^(demo|tfds:.*)$", "photos/", word) for word in words]
        data = ["--dataset", "photos/"] if name == "run" and "--dataset" not in words else []
        executor = ScriptedExecutor(nets={b: Net(b) for b in BACKBONES.names})
        ended = in_process(home, *words, *data, executor=executor)
        assert ended.returncode in (0, 3), f"{told}\n{ended.stderr}"


def test_what_is_no_command_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```sh\npython run_bench.py list  # all\nfor a in 1 2; do backbone-bench --seeds $a; done\n"
        "python -m bench choose 'my run' | jq .pick\nmke bench\n```\n"
        "```console\n$ python run_bench.py\nsome output\n```\n"
    )
    assert commands(page, tmp_path) == [
        ["list"],
        ["--seeds", "1"],
        ["--seeds", "2"],
        ["choose", "my run"],
        ["unknown", "mke", "bench"],
        [],
    ]
