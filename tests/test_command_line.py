"""How commands end and what they say of it: exit codes, errors, the program that was used."""

from __future__ import annotations

import errno
import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import __version__
from bench.cli import argument_types
from bench.cli import main as cli
from bench.errors import EXIT_CODES, OS_ERRORS, BenchError, Exit
from bench.storage.run_folder import check_name, lock_run, refuse_links
from bench.system.command_line import format_command, program_word, relocate_command
from bench.system.files import write_atomic

FULL = Path("/dev/full")


def ends(words: list[str]) -> int:
    """The code that a shell sees."""
    try:
        return cli.main(words)
    except SystemExit as end:
        return int(end.code or 0)


def test_every_exit_code_is_said_in_the_help() -> None:
    for words in ([], ["run"]):
        shown = io.StringIO()
        parser = cli.parser("run")
        (parser.commands["run"] if words else parser).print_help(shown)
        text = " ".join(shown.getvalue().split())
        assert all(f"{code} {meaning}" in text for code, meaning in EXIT_CODES.items())
    assert set(EXIT_CODES) == set(Exit)


def test_help_begins_with_the_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = []
    for words in (["help"], ["--help"], ["-h"]):
        assert ends(words) == 0
        shown.append(capsys.readouterr().out)
    assert len(set(shown)) == 1
    named = re.findall(r"^  (\w+) +(.+)$", shown[0].partition("options:")[0], re.MULTILINE)
    assert dict(named) == cli.COMMANDS
    for example in cli.EXAMPLES:
        assert example in shown[0]


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_of_a_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends(["help", command]) == 0
    shown = capsys.readouterr().out
    assert ends([command, "--help"]) == 0
    assert shown == capsys.readouterr().out
    assert shown.split()[1:3] == ["backbone-bench", command]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--version"], 0, f"backbone-bench {__version__}"),
        (["list"], 0, "default"),
        (["report", "nothing"], 2, "there is no run 'nothing' in results"),
        (["compare", "one", "two"], 2, "there is no run 'one'"),
        (["choose"], 2, "there is no run 'latest'"),
        (["predict", "nothing", "a.png"], 2, "there is no run 'nothing'"),
        (["export", "nothing", "vgg16"], 2, "there is no run 'nothing'"),
        (["verify", "nothing"], 2, "there is no run 'nothing'"),
        (["check", "nothing"], 2, "unknown backbone 'nothing'"),
        (["audit", "nowhere"], 2, "no data set 'nowhere'"),
        (["audit", "/no/where"], 2, "no data set '/no/where'. There is no such folder"),
        (["--backbones", "tiny", "--dataset", "nowhere", "--dry-run"], 2, "no data set 'nowhere'"),
        (["--backbones", "nothing"], 2, "unknown backbone 'nothing'"),
        (["--on", "nothing"], 2, "unknown executor 'nothing'"),
        (["--protocol", "nothing"], 2, "unknown protocol 'nothing'"),
        (["--protocol", "nowhere.toml"], 2, "protocol nowhere.toml cannot be read"),
        (["--run", "latest"], 2, "--run 'latest': that name is reserved"),
        (["--seeds", "x"], 2, "argument --seeds: must be how many seeds (5 trains 0 to 4), or"),
        (["--limit", "0"], 2, "argument --limit: must be a whole number, 1 or more; got '0'"),
        (["--back", "vgg16"], 2, "'--back' is not known here. Did you mean --backbones?"),
        (["--name", "r"], 2, "'--name' is not known here.\nSee"),
        (["--cahce=x"], 2, "'--cahce=x' is not known here. Did you mean --cache?"),
        (["--lst"], 2, "'--lst' is not known here. Did you mean list?"),
        (["help", "lst"], 2, "'lst' is not known here. Did you mean list?"),
        (["status", "nothing"], 2, "there is no run 'nothing'"),
        (["lst"], 2, "'lst' is not known here. Did you mean list?"),
        (["report", "--vervose"], 2, "'--vervose' is not known here."),
        (["cache", "forget"], 2, "argument action: invalid choice: 'forget'"),
    ],
)
@pytest.mark.usefixtures("tiny_backbone")
def test_exit_codes(
    words: list[str],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BACKBONE_BENCH_CACHE", str(tmp_path / "cache"))
    assert ends(words) == code
    shown = capsys.readouterr()
    assert said in (shown.err if code else shown.out)
    assert len(shown.err.splitlines()) <= 2


def test_the_same_word_is_an_error_of_its_own_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/backbone-bench"])
    assert ends(["report", "--nonsense"]) == 2
    assert capsys.readouterr().err.splitlines()[1] == "See `backbone-bench report --help`."
    assert ends(["lst"]) == 2
    assert capsys.readouterr().err.splitlines()[1] == "See `backbone-bench --help`."


@pytest.mark.parametrize(
    ("argv", "first", "line"),
    [
        ("run_bench.py", "run_bench.py", "python run_bench.py run --run 'my run'"),
        ("/x/bench/__main__.py", "-m bench", "python -m bench run --run 'my run'"),
        ("/bin/backbone-bench", "backbone-bench", "backbone-bench run --run 'my run'"),
        ("/x/pytest/__main__.py", "backbone-bench", "backbone-bench run --run 'my run'"),
        ("/usr/bin/pytest", "backbone-bench", "backbone-bench run --run 'my run'"),
    ],
)
def test_commands_name_the_program_that_was_used(
    argv: str, first: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [argv])
    assert program_word() == first
    assert format_command([program_word(), "run", "--run", "my run"]) == line


def test_a_command_that_trains_names_another_keras_backend_than_the_usual_one() -> None:
    jax = {"keras_backend": "jax"}
    assert format_command(["-m bench", "run"], jax) == "KERAS_BACKEND=jax python -m bench run"
    assert (
        format_command(["-m bench", "run"], {"keras_backend": "tensorflow"})
        == "python -m bench run"
    )
    assert (
        format_command(["-m bench", "predict", "r"], jax) == "python -m bench predict r"
    )  # as recorded
    assert format_command(["-m bench", "run"], {"keras_backend": ";a"}).startswith(
        "KERAS_BACKEND=';a' "
    )


def test_a_recorded_program_of_another_s_is_quoted() -> None:
    assert format_command(["rm -rf ~;", "run"]) == "'rm -rf ~;' run"
    assert format_command([]) == ""


def test_a_recorded_command_names_where_its_runs_are_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    old, new, program = str(tmp_path / "old"), str(tmp_path / "new"), ["run_bench.py"]
    now = [*program, "--results", new]
    for there in (["--results", old], [f"--results={old}"], ["--results", "mine"], []):
        assert relocate_command([*program, *there], Path(new)) == now
    other = ["run_bench.py", "--dataset", old, "--results"]  # the same word in another place
    assert relocate_command([*other, old], Path(new)) == [*other, new]
    for there in (["--results", new + "/"], ["--results=new"]):  # as it was typed
        assert relocate_command([*program, *there, "-v"], Path(new)) == [*program, *there, "-v"]
    assert relocate_command(program, Path("results").absolute()) == program
    assert relocate_command([], Path(new)) == []


@pytest.mark.parametrize("code", OS_ERRORS)
@pytest.mark.parametrize("command", ["run", "screen", "list"])
def test_what_the_operating_system_refuses_is_no_fault_of_the_program(
    code: int, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _failing(monkeypatch, command, OSError(code, "refused", "results/r/report.md"))
    assert ends([command]) == 1
    first, *more = capsys.readouterr().err.splitlines()
    what, remedy = OS_ERRORS[code]
    assert first == f"error: results/r/report.md: {what}; {remedy}."
    kept = "Finished trials are kept, and the same command continues from there."
    assert more == ([] if command == "list" else [kept])


def test_a_write_that_fails_names_its_file_and_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    path = tmp_path / "run.json"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space") as error:
        write_atomic(path, "new")
    assert error.value.filename == str(path)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("run.json", "old")]


def test_what_only_a_programmer_can_mend_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for error in (ValueError("no"), FileNotFoundError(errno.ENOENT, "no such file", "x")):
        _failing(monkeypatch, "list", error)
        assert ends(["list"]) == 1
        assert "This is a bug; rerun with --debug and report it." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("run", "interrupted; the same command continues from here."),
        ("screen", "interrupted; the same command continues from here."),
        ("list", "interrupted."),
    ],
)
def test_only_run_and_screen_go_on_after_an_interrupt(
    command: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _failing(monkeypatch, command, KeyboardInterrupt())
    assert ends([command]) == 130
    assert capsys.readouterr().err.strip() == said


def _failing(monkeypatch: pytest.MonkeyPatch, command: str, error: BaseException) -> None:
    def main(arguments: object) -> int:
        raise error

    monkeypatch.setattr(f"bench.cli.commands.{command}_command.main", main)


@pytest.mark.slow
@pytest.mark.skipif(not FULL.exists(), reason="has no /dev/full")
def test_an_output_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    def listed(redirected: str) -> tuple[int, str]:
        errors = tmp_path / "errors"
        command = f"{sys.executable} -m bench list 2>{errors} {redirected}"
        return subprocess.run(["bash", "-c", command]).returncode, errors.read_text()

    full = "error: standard output: no space left on the disk; free some (`cache clear` frees the"
    assert listed(">/dev/full") == (1, f"{full} cache).\n")
    assert listed(">&-") == (0, "")
    assert listed("| head -n 1 >/dev/null; exit ${PIPESTATUS[0]}") == (0, "")


def test_what_the_encoding_of_the_output_lacks_is_written_in_ascii() -> None:
    code = (
        "from bench.system.command_line import repair_streams\n"
        "repair_streams()\n"
        "print('40.3\\u201367.4% \\u00b1 1 \\u2026 \\u732b \\udcff')"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert shown.stdout.decode("ascii").strip() == r"40.3-67.4% +- 1 ... \u732b \udcff"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("latest", "that name is reserved"),
        ("Latest", "that name is reserved"),
        ("index.html", "that name is reserved"),
        ("a\nb", "line breaks"),
        ("a\u2028b", "line breaks"),
        ("a ", "spaces at its ends"),
        (os.fsdecode(b"\xff"), "control characters"),
        ("a/b", "plain folder name"),
        ("..", "plain folder name"),
        ("", "plain folder name"),
        (".hidden", "may not begin with '.'"),
        ("-q", "may not begin with '-'"),
        ("x" * 201, "at most 200 bytes"),
    ],
)
def test_names_that_no_run_may_have(name: str, why: str) -> None:
    with pytest.raises(BenchError, match=why) as error:
        check_name(name)
    assert error.value.exit_code == 2
    assert len(str(error.value).splitlines()) == 1


def test_names_that_a_run_may_have() -> None:
    for name in ("r", "Größe 2", "猫", "a.b-c_d", "latest2", "x" * 200):
        check_name(name)


@pytest.mark.parametrize("what", ["figures", ".lock", "deep/report.md"])
def test_nothing_is_written_through_a_link_that_leads_out_of_the_run(
    what: str, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (tmp_path / "r" / "deep").mkdir(parents=True)
    (tmp_path / "r" / what).symlink_to(outside)
    with (
        pytest.raises(BenchError, match=f"{what} is a link that leads out of the run's folder"),
        lock_run(tmp_path / "r"),
    ):
        pass
    assert outside.read_text() == "mine"


def test_a_link_that_leads_in_a_circle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "report.md").symlink_to("report.md")
    with pytest.raises(BenchError, match=r"report.md is a link that leads out of the run"):
        refuse_links(tmp_path)


def test_links_within_the_run_and_a_run_behind_a_link_are_fine(tmp_path: Path) -> None:
    (tmp_path / "r" / "wandb" / "run-1").mkdir(parents=True)
    (tmp_path / "r" / "wandb" / "latest-run").symlink_to("run-1")
    refuse_links(tmp_path / "r")
    (tmp_path / "latest").symlink_to("r")
    refuse_links(tmp_path / "latest")


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (argument_types.seeds, "3", (0, 1, 2)),
        (argument_types.seeds, "7,", (7,)),
        (argument_types.seeds, "7,8", (7, 8)),
        (argument_types.fractions, "0.1,1", (0.1, 1.0)),
        (argument_types.fraction, "0.5", 0.5),
        (argument_types.seed, "0", 0),
    ],
)
def test_arguments_that_are_valid(read: Callable[[str], object], text: str, value: object) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "texts"),
    [
        (argument_types.seeds, ("", "x", "0", "-1", "1,1", ",", "1,x", "1,,2", ",1", f"{2**32},")),
        (argument_types.seed, ("-1", "1.5", str(2**32))),
        (argument_types.positive, ("0", "x", "")),
        (argument_types.positive_float, ("0", "inf", "nan", "x")),
        (argument_types.fraction, ("95", "-0.1", "nan", "x")),
        (argument_types.fractions, ("", "0,1", "0.5,0.5", "0.5,,1", "2", "x")),
        (argument_types.budget, ("1", "x")),
    ],
)
def test_arguments_that_are_not_say_what_is(
    read: Callable[[str], object], texts: tuple[str, ...]
) -> None:
    for text in texts:
        with pytest.raises(Exception, match=r"must be .*; got ") as error:
            read(text)
        assert type(error.value).__name__ == "ArgumentTypeError"
