"""Hyperparameter search with Optuna: a study that can be shared by several workers and resumed.

OUT/study.journal       Optuna's journal (JSON lines): every trial, its values and its course
OUT/plan.json           recipe, space and cohort: written once
OUT/trials/0007/run     the training run of trial 7, resumable
OUT/best_recipe.yaml    the best values found so far, as a recipe

Bayesian optimisation is Optuna's tree-structured Parzen estimator (Bergstra et al. 2011); a trial whose validation
score lies above the median of the others after the same share of its training is pruned. (Not at the same epoch: where
visits per step are searched, epochs differ in steps.) A worker leaves its name in its trial; a trial whose worker has
died is taken up again with the same values, where its run stopped.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ..reporting.search_report import CONTINUES, REASON
from ..runtime.errors import BadInput, MyelinSynthError
from .plan_file import begin_or_go_on
from .space import Dimension

JOURNAL, NAME = "study.journal", "myelinsynth"
WAIT_S, UNSIGNED_S = 0.5, 30.0
SIGN_S, SILENT_S = 10.0, 120.0  # between signs of life, and without one until a worker counts as dead (ours)
PARTS, SAFE_PARTS = 10, 3  # of a training, at whose ends trials are compared, and in which none is pruned (ours)
WORKER, FOLDER = "worker", "folder"
Objective = Callable[[Any, dict[str, Any]], float]


def open_study(out: Path, plan: dict[str, Any], seed: int, prune: bool = True) -> Any:
    """Open or create the study of a folder.

    Raises:
        BadInput: Optuna is missing or the plan is another.
    """
    optuna = import_optuna()
    begin_or_go_on(out, plan, "search")
    path = out / JOURNAL
    # a lock that is a file, not Optuna's link: one that a killed worker left is then found old after half a minute
    lock = optuna.storages.journal.JournalFileOpenLock(str(path))
    _drop_half_a_line(path, lock)
    backend = optuna.storages.journal.JournalFileBackend(str(path), lock)
    pruner = (
        optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=SAFE_PARTS)
        if prune
        else optuna.pruners.NopPruner()
    )
    try:
        return optuna.create_study(
            storage=optuna.storages.JournalStorage(backend),
            # workers of one study must not draw the same values; constant_liar keeps those under way apart
            sampler=optuna.samplers.TPESampler(seed=1000 * seed + _workers_before(out), constant_liar=True),
            pruner=pruner,
            study_name=NAME,
            direction="minimize",
            load_if_exists=True,
        )
    except (ValueError, KeyError) as error:
        raise BadInput(f"{path} is damaged ({error}). Restore it, or choose another --out.") from error


def _drop_half_a_line(path: Path, lock: Any) -> None:
    """Remove an incomplete last line of the journal (full disk, kill), because Optuna would append to it."""
    if not path.is_file():
        return
    lock.acquire()
    try:
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)
    finally:
        lock.release()


def import_optuna() -> Any:
    """Optuna, quiet.

    Raises:
        BadInput: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise BadInput("A search needs Optuna: run `pip install 'myelinsynth[search]'` and try again.") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # its warnings are tracebacks of what the command says itself
    return optuna


def _workers_before(out: Path) -> int:
    """Number of workers that joined this study before; every worker gets a different seed."""
    folder = out / "workers"
    folder.mkdir(parents=True, exist_ok=True)
    number = 0
    while True:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(folder / str(number), os.O_CREAT | os.O_EXCL))
            return number
        number += 1


def worker_name() -> str:
    """Host, process and its start, so that a process number that is used again is not taken for the same worker."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def alive(worker: str, out: Path | None = None) -> bool:
    """Whether the worker of a trial still runs; one on another machine while it shows signs of life (`signs_of_life`).

    Args:
        out: folder of the study, None: whoever is on another machine is taken to run.
    """
    host, pid, started = worker.rsplit(":", 2)
    if host == socket.gethostname():
        return _started(int(pid)) == started
    if out is None or not (sign := _sign(out, worker)).is_file():
        return True
    own = _sign(out, worker_name())
    own.touch()  # both times are the file server's: clocks of machines may differ
    return own.stat().st_mtime - sign.stat().st_mtime < SILENT_S


@contextlib.contextmanager
def signs_of_life(out: Path) -> Iterator[None]:
    """Show workers on other machines that this one is alive, by touching a file every now and then."""
    sign, stop = _sign(out, worker_name()), threading.Event()

    def touch() -> None:
        while True:
            with contextlib.suppress(OSError):  # a disk that is away for a moment
                sign.touch()
            if stop.wait(SIGN_S):
                return

    thread = threading.Thread(target=touch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(1.0)


def _sign(out: Path, worker: str) -> Path:
    return out / "workers" / f"{worker.replace(':', '_')}.alive"


def _started(pid: int) -> str:
    import psutil

    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            return str(int(process.create_time() * 100))
    return "gone"


def take_up_the_dead(study: Any, out: Path | None = None) -> int:
    """Queue again every trial whose worker has died.

    Args:
        out: see `alive`.

    Returns:
        How many.
    """
    optuna = import_optuna()
    state = optuna.trial.TrialState
    revived = 0
    for trial in study.get_trials(deepcopy=False, states=[state.RUNNING]):
        if WORKER in trial.user_attrs:
            busy = alive(trial.user_attrs[WORKER], out)
        else:  # just drawn by a worker that has not signed it yet, or by one that died before it could
            busy = (datetime.now() - trial.datetime_start).total_seconds() < UNSIGNED_S
        if busy:
            continue
        try:
            study.tell(trial.number, state=state.FAIL)
        except (ValueError, RuntimeError):
            continue  # another worker was faster
        if trial.params:
            folder = trial.user_attrs.get(FOLDER, trial_folder(trial.number))
            study.enqueue_trial(trial.params, user_attrs={CONTINUES: trial.number, FOLDER: folder})
            revived += 1
    return revived


def trial_folder(number: int) -> str:
    """Where a trial's run lies below OUT/trials; one that goes on with another's keeps its folder."""
    return f"{number:04d}"


def finished_trials(study: Any) -> int:
    """Number of trials that have a score or were pruned."""
    state = import_optuna().trial.TrialState
    return len(study.get_trials(deepcopy=False, states=(state.COMPLETE, state.PRUNED)))


class _Surplus(Exception):
    """Raised in a surplus trial; Optuna records it as failed."""


def run_trials(
    study: Any,
    dimensions: Sequence[Dimension],
    objective: Objective,
    trials: int,
    told: Callable[[int, Any], None] | None = None,
    out: Path | None = None,
) -> None:
    """Work on a study until it has `trials` finished trials, together with whoever else does.

    objective(trial, values): a score to make small, from recipe values by key; may raise optuna.TrialPruned;
    told(finished, study) is called after every trial; out: folder of the study, so that workers on other machines
    notice when this one has died, and this one when they have.
    """
    with signs_of_life(out) if out else contextlib.nullcontext():
        _search(study, dimensions, objective, trials, told, out)


def _search(
    study: Any,
    dimensions: Sequence[Dimension],
    objective: Objective,
    trials: int,
    told: Callable[[int, Any], None] | None,
    out: Path | None,
) -> None:
    optuna = import_optuna()
    state = optuna.trial.TrialState

    def run(trial: Any) -> float:
        """Run one trial; Optuna's own errors say that it failed, was pruned or was one too many."""
        trial.set_user_attr(WORKER, worker_name())
        if CONTINUES not in trial.user_attrs and count(state.COMPLETE, state.PRUNED, state.RUNNING, to=trial) >= trials:
            raise _Surplus  # two workers drew what they both took for the last one
        if FOLDER not in trial.user_attrs:
            trial.set_user_attr(FOLDER, trial_folder(trial.number))
        values = {dimension.key: dimension.suggest(trial) for dimension in dimensions}
        try:
            return objective(trial, values)
        except BadInput:
            raise
        except MyelinSynthError as error:  # a loss that is no number says that these values are bad, not the search
            trial.set_user_attr(REASON, str(error))
            raise optuna.TrialPruned(str(error)) from error

    def count(*states: Any, to: Any = None) -> int:
        trials = study.get_trials(deepcopy=False, states=states)
        return sum(to is None or trial.number < to.number for trial in trials)

    while (done := count(state.COMPLETE, state.PRUNED)) < trials:
        take_up_the_dead(study, out)
        if done + count(state.RUNNING) >= trials:
            time.sleep(WAIT_S)  # the last trials are under way elsewhere; one whose worker dies is taken up here
            continue
        study.optimize(run, n_trials=1, catch=_Surplus)
        if told is not None:
            told(count(state.COMPLETE, state.PRUNED), study)
