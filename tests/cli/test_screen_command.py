"""`screen` with an executor that trains nothing: finalists, trained trials and exit codes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from scripted_executor import Outcome, ScriptedExecutor
from synthetic import Net
from user import Ended, User, in_process

from bench import reports
from bench.analysis.screening import Screening, load_screening
from bench.errors import WorkerDiedError
from bench.execution.request import ScreenRequest
from bench.training.job import Job
from bench.types import Trial

NETS = {
    "mobilenetv2": 6.0,
    "resnet50": 6.0,
    "vgg16": 6.0,
    "inceptionv3": 6.0,
    "efficientnetb0": 6.0,
    "efficientnetb1": 6.0,
    "densenet121": 0.0,  # guesses
    "xception": 0.1,
}
GOOD = list(NETS)[:6]


class Tasks(ScriptedExecutor):
    """Records its trials by round; `ends` says how a trial of a backbone ends."""

    def __init__(self, source: str = "file", ends: dict[str, Outcome] | None = None) -> None:
        self.asked: Counter[str] = Counter()
        self.ends = ends or {}
        nets = {name: Net(name, skill, source=source) for name, skill in NETS.items()}
        super().__init__(self._end, nets)

    def _end(self, job: Job, trial: Trial) -> Outcome:
        round_ = {1: "head", 2: "final"}[len(job.protocol.phases)]
        self.asked["probes" if job.task == "probe" else round_] += 1
        return self.ends.get(trial.backbone, "ok")


class Somebody(User):
    """A user with weight files for some backbones, which nothing reads."""

    def screen(self, executor: Tasks, *more: str, pretrained: Sequence[str] = tuple(NETS)) -> Ended:
        folder = self.home / "weights"
        folder.mkdir(exist_ok=True)
        for name in pretrained:
            (folder / f"{name}.weights.h5").write_bytes(b"weights")
        words = self.words("--weights", str(folder), *more, backbones=",".join(NETS))
        return in_process(self.home, "screen", *words, executor=executor)

    @property
    def found(self) -> Screening:
        found = load_screening(self.results / "r")
        assert found is not None
        return found

    def outcomes(self) -> list[dict[str, str]]:
        return [{one.name: one.outcome for one in each.candidates} for each in self.found.rounds]

    def report(self) -> str:
        """Return the section as the terminal has it, on one line."""
        words = ("report", "r", "--section", "screening", "--results", str(self.results))
        return " ".join(in_process(self.home, *words).stdout.split())

    def trained(self) -> list[str]:
        return sorted({record.trial.backbone for record in self.load().records})


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Somebody:
    monkeypatch.setattr(reports, "write", lambda *arguments, **options: [])  # as other tests do
    return Somebody(tmp_path)


def test_backbones_that_cannot_win_are_dropped_and_the_others_make_an_ordinary_run(
    user: Somebody,
) -> None:
    executor = Tasks()
    ended = user.screen(executor, "--seeds", "2")
    assert ended.returncode == 0, ended.stderr
    assert executor.asked == {"probes": 8, "head": 6, "final": 12}
    probes, head = user.outcomes()
    assert probes == dict.fromkeys(GOOD, "goes on") | dict.fromkeys(
        ("densenet121", "xception"), "evidence"
    )
    assert head == dict.fromkeys(GOOD, "goes on")
    assert user.trained() == sorted(GOOD)
    assert "at least 2 points behind the best: " in ended.stdout
    report = user.report()
    assert "6 of 8 backbones were run in full" in report
    assert "dropped on evidence" in report
    assert user.found.dropped_best is not None
    assert user.found.dropped_best < 0.01
    assert list(user.home.rglob("results/*/weights"))
    assert not list(user.home.rglob("screening/*/weights"))


def test_the_head_round_knows_the_cached_features(user: Somebody) -> None:
    samples: dict[str, set[tuple[int, ...]]] = {"probe": set(), "train": set()}

    class Sampled(Tasks):
        def _end(self, job: Job, trial: Trial) -> Outcome:
            if len(job.protocol.phases) == 1:
                samples[job.task].add(job.sample)
            return super()._end(job, trial)

    assert user.screen(Sampled(), "--sample", "10").returncode == 0
    assert samples["probe"] == samples["train"]
    assert [len(sample) for sample in samples["probe"]] == [10]


def test_an_interrupted_screening_continues(user: Somebody) -> None:
    stopped = Tasks(ends={"vgg16": KeyboardInterrupt()})
    assert user.screen(stopped).returncode == 130
    before = stopped.asked["probes"] - 1
    again = Tasks()
    assert user.screen(again).returncode == 0
    assert again.asked == {"probes": 8 - before, "head": 6, "final": 6}
    more = Tasks()
    assert user.screen(more, "--seeds", "2").returncode == 0
    assert more.asked == {"final": 6}


def test_status_shows_each_round(user: Somebody) -> None:
    told: list[list[str]] = []

    class Watched(Tasks):
        def _end(self, job: Job, trial: Trial) -> Outcome:
            ended = super()._end(job, trial)
            told.append(status()[1:4])
            return ended

    def status() -> list[str]:
        ended = in_process(user.home, "status", "--results", str(user.results))
        assert ended.returncode == 0, ended.stderr
        return [" ".join(line.split()) for line in ended.stdout.splitlines()]

    stopped = Watched(ends={"densenet121": "failed", "xception": KeyboardInterrupt()})
    assert user.screen(stopped).returncode == 130
    waiting = "trials the run of the finalists has not started"
    probed = ["probes 6 of 8 done, 1 failed, 1 left", waiting]
    assert told[-1][:2] == probed
    run, *rest = status()
    assert run.startswith("run r, interrupted after ")
    assert rest[:2] == probed
    assert rest[-1].startswith("continue backbone-bench screen --backbones ")
    assert user.screen(Watched()).returncode == 0
    headed = "head 5 of 6 done, 1 left"
    assert ["probes 8 of 8 done, 0 left", headed, waiting] in told
    assert status()[1:4] == [
        "probes 8 of 8 done, 0 left",
        "head 6 of 6 done, 0 left",
        "trials 6 of 6 done, 0 left",
    ]


def test_a_number_of_finalists(user: Somebody) -> None:
    executor = Tasks()
    assert user.screen(executor, "--budget", "3").returncode == 0
    assert executor.asked == {"probes": 8, "head": 6, "final": 3}
    _, head = user.outcomes()
    assert Counter(head.values()) == {"goes on": 3, "budget": 3}
    assert user.trained() == sorted(name for name, outcome in head.items() if outcome == "goes on")
    assert "over the budget" in user.report()


def test_a_budget_of_time_leaves_two_for_each_round(user: Somebody) -> None:
    executor = Tasks()
    ended = user.screen(executor, "--budget", "1s")
    assert ended.returncode == 0, ended.stderr
    assert executor.asked == {"probes": 2, "head": 2, "final": 2}
    assert len(user.found.unaffordable) == 6
    assert "Not probed, because of the budget" in user.report()


def test_a_probe_that_fails(user: Somebody) -> None:
    ended = user.screen(Tasks(ends={"vgg16": WorkerDiedError("killed by SIGKILL")}))
    assert ended.returncode == 3
    assert user.outcomes()[0]["vgg16"] == "failed"
    assert "failed: killed by SIGKILL" in user.report()


def test_where_every_probe_fails(user: Somebody) -> None:
    died = WorkerDiedError("killed by SIGKILL")
    ended = user.screen(Tasks(ends=dict.fromkeys(NETS, died)))
    assert ended.returncode == 3
    assert "no backbone is left after the probes: killed by SIGKILL" in ended.stderr


def test_random_weights_are_no_evidence(user: Somebody) -> None:
    executor = Tasks("random init")
    ended = user.screen(executor, "--budget", "2", pretrained=())
    assert ended.returncode == 0, ended.stderr
    assert executor.asked == {"probes": 8, "final": 2}
    (probes,) = user.found.rounds
    assert {one.accuracy for one in probes.candidates} == {None}
    assert user.trained() == ["efficientnetb0", "mobilenetv2"]  # the cheapest
    assert user.found.dropped_best is None
    assert "backbones were dropped only for the budget, by times" in user.report()


@pytest.mark.parametrize("budget", ["1", "0", "2.5", "soon", "-3", "30x"])
def test_no_budget(user: Somebody, budget: str) -> None:
    ended = user.screen(Tasks(), f"--budget={budget}")
    assert ended.returncode == 2
    assert "budget must be a time, as 30m or 2h, or a number of finalists" in ended.stderr
    assert repr(budget) in ended.stderr


def test_a_dry_run_shows_the_rounds(user: Somebody) -> None:
    executor = Tasks()
    ended = user.screen(executor, "--budget", "3", "--dry-run")
    assert ended.returncode == 0, ended.stderr
    assert "round 1: probes: 8 backbones on 40 of 40 training images" in ended.stdout
    assert "round 2: head: those left of 8 pretrained" in ended.stdout
    assert "round 3: final, the whole protocol: 3 at most" in ended.stdout
    assert not executor.asked
    assert not user.results.exists()


def test_the_library_takes_a_budget_as_the_command_line_does() -> None:
    assert ScreenRequest.of({"budget": 3}).finalists == 3
    request = ScreenRequest.of({"budget": "1.5h", "seeds": 2})
    assert (request.seconds, request.finalists, request.seeds) == (5400, None, (0, 1))
