"""In every worker process that finds this folder on PYTHONPATH, trials end by the name of their
backbone, and no framework is loaded: Python imports this at its start.

    hungry    has memory for 8 images a step
    segfault  dies
    waits     writes its process's number to `pid` in SCRIPTED_FOLDER, and waits for a file `go`
    waits2    as well, to `pid2`
    others    finish at once
"""

import os
import signal
import sys
import time
from pathlib import Path
from types import ModuleType

if "bench.execution.worker" in sys.orig_argv:
    from scripted_executor import ScriptedExecutor

    from bench.errors import OutOfMemoryError

    def outcome(job: object, trial: object) -> object:
        name, folder = trial.backbone, Path(os.environ["SCRIPTED_FOLDER"])  # type: ignore[attr-defined]
        print(f"training {name}")
        if name == "hungry" and job.step_images > 8:  # type: ignore[attr-defined]
            return OutOfMemoryError("out of memory.")
        if name == "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        if name.startswith("waits"):
            (folder / name.replace("waits", "pid")).write_text(str(os.getpid()))
            while not (folder / "go").exists():
                time.sleep(0.05)
        return "ok"

    def run(job: object, listener: object, more: object) -> None:
        ScriptedExecutor(outcome).run(job, listener)  # type: ignore[arg-type]

    for module, function in (
        ("bench.training.trial", "run_trials"),
        ("bench.inference.measuring.stage", "measure"),
    ):
        sys.modules[module] = ModuleType(module)
        setattr(sys.modules[module], function, run)
