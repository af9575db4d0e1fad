"""Hyperparameter search with Optuna: a study that can be shared by several workers and resumed.

OUT/study.journal       Optuna's journal (JSON lines): every trial, its values and its scores
OUT/plan.json           recipe, space and cohort: written once
OUT/trials/0007/run     the training run of trial 7, resumable
OUT/best_recipe.yaml    the best values so far, as a recipe

Bayesian optimisation is Optuna's tree-structured Parzen estimator (Bergstra et al. 2011); a trial whose validation
score lies above the median of the others after the same share of its training is pruned. (Not at the same epoch: where
visits per step are searched, epochs differ in steps.) A worker leaves its name in its trial; a trial whose worker has
died is queued again with the same values and resumes its run.
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
from .plan_file import start_or_resume
from .space import Dimension

JOURNAL, NAME = "study.journal", "myelinsynth"
WAIT_S, UNCLAIMED_S = 0.5, 30.0  # between polls; until a trial without the name of its worker counts as dead (ours)
HEARTBEAT_S, DEAD_AFTER_S = 10.0, 120.0  # between heartbeats, and without one until a worker counts as dead (ours)
PARTS, SAFE_PARTS = 10, 3  # of a training, at whose ends trials are compared, and in which none is pruned (ours)
WORKER, FOLDER = "worker", "folder"
Objective = Callable[[Any, dict[str, Any]], float]


def open_study(out: Path, plan: dict[str, Any], seed: int, prune: bool = True) -> Any:
    """Open or create the study of a folder.

    Args:
        out: folder of the search.
        plan: settings that must be unchanged to resume the study, as JSON.
        seed: seed of the sampler; every worker adds its number.
        prune: stop trials that fall behind the median.

    Returns:
        Optuna study that minimises.

    Raises:
        BadInput: Optuna is missing, the folder holds another plan, or the journal is damaged.
    """
    optuna = import_optuna()
    start_or_resume(out, plan, "search")
    path = out / JOURNAL
    # a file as lock, not Optuna's link: one left by a killed worker is then recognised as stale after half a minute
    lock = optuna.storages.journal.JournalFileOpenLock(str(path))
    _drop_partial_line(path, lock)
    backend = optuna.storages.journal.JournalFileBackend(str(path), lock)
    pruner = (
        optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=SAFE_PARTS)
        if prune
        else optuna.pruners.NopPruner()
    )
    try:
        return optuna.create_study(
            storage=optuna.storages.JournalStorage(backend),
            # workers of one study must not draw the same values; constant_liar separates those of running trials
            sampler=optuna.samplers.TPESampler(seed=1000 * seed + _workers_before(out), constant_liar=True),
            pruner=pruner,
            study_name=NAME,
            direction="minimize",
            load_if_exists=True,
        )
    except (ValueError, KeyError) as error:
        raise BadInput(f"{path} is damaged ({error}). Restore it, or choose another --out.") from error


def _drop_partial_line(path: Path, lock: Any) -> None:
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
    """Import Optuna and silence its log.

    Returns:
        The module.

    Raises:
        BadInput: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise BadInput("A search needs the package optuna. Install it with: pip install optuna.") from error
    optuna.logging.set_verbosity(
        optuna.logging.ERROR
    )  # it logs tracebacks of failures that the command reports in one sentence
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
    """Host, process and its start time, so that a reused process number is not taken for the same worker."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def is_running(worker: str, out: Path | None = None) -> bool:
    """Check whether the worker of a trial still runs; on another machine, whether its last `heartbeat` is recent.

    Args:
        worker: its `worker_name`.
        out: folder of the study; None: workers on other machines count as running.

    Returns:
        True if it runs, or if nothing is known of it.
    """
    host, pid, started = worker.rsplit(":", 2)
    if host == socket.gethostname():
        return _started(int(pid)) == started
    if out is None or not (file := _heartbeat_file(out, worker)).is_file():
        return True
    own = _heartbeat_file(out, worker_name())
    own.touch()  # both times are the file server's: clocks of machines may differ
    return own.stat().st_mtime - file.stat().st_mtime < DEAD_AFTER_S


@contextlib.contextmanager
def heartbeat(out: Path) -> Iterator[None]:
    """Touch a file every HEARTBEAT_S seconds during the block, so that other machines see that this worker is alive.

    Args:
        out: folder of the study.
    """
    file, stop = _heartbeat_file(out, worker_name()), threading.Event()

    def touch() -> None:
        while True:
            with contextlib.suppress(OSError):  # a network disk may be unavailable for a moment
                file.touch()
            if stop.wait(HEARTBEAT_S):
                return

    thread = threading.Thread(target=touch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(1.0)


def _heartbeat_file(out: Path, worker: str) -> Path:
    return out / "workers" / f"{worker.replace(':', '_')}.alive"


def _started(pid: int) -> str:
    import psutil

    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            return str(int(process.create_time() * 100))
    return "gone"


def requeue_dead_trials(study: Any, out: Path | None = None) -> int:
    """Queue again every trial whose worker has died.

    Args:
        study: Optuna study.
        out: see `is_running`.

    Returns:
        Number of trials that were queued.
    """
    optuna = import_optuna()
    state = optuna.trial.TrialState
    requeued = 0
    for trial in study.get_trials(deepcopy=False, states=[state.RUNNING]):
        if WORKER in trial.user_attrs:
            busy = is_running(trial.user_attrs[WORKER], out)
        else:  # its worker has not written its name yet, or died before it could
            busy = (datetime.now() - trial.datetime_start).total_seconds() < UNCLAIMED_S
        if busy:
            continue
        try:
            study.tell(trial.number, state=state.FAIL)
        except (ValueError, RuntimeError):
            continue  # another worker was faster
        if trial.params:
            folder = trial.user_attrs.get(FOLDER, _trial_folder(trial.number))
            study.enqueue_trial(trial.params, user_attrs={CONTINUES: trial.number, FOLDER: folder})
            requeued += 1
    return requeued


def _trial_folder(number: int) -> str:
    """Folder of a trial below OUT/trials; a trial that resumes another one keeps its folder."""
    return f"{number:04d}"


def finished_trials(study: Any) -> int:
    """Count the trials that have a score or were pruned.

    Args:
        study: Optuna study.

    Returns:
        Number of trials, of all workers.
    """
    state = import_optuna().trial.TrialState
    return len(study.get_trials(deepcopy=False, states=(state.COMPLETE, state.PRUNED)))


class _Surplus(Exception):
    """Raised in a surplus trial; Optuna records it as failed."""


def run_trials(
    study: Any,
    dimensions: Sequence[Dimension],
    objective: Objective,
    trials: int,
    after_trial: Callable[[int, Any], None] | None = None,
    out: Path | None = None,
) -> None:
    """Run trials until a study has enough finished ones, together with all other workers of the study.

    Args:
        study: Optuna study.
        dimensions: search space.
        objective: (trial, recipe values by key) -> score, lower is better; may raise optuna.TrialPruned.
        trials: number of finished trials of all workers at which to end.
        after_trial: called with the number of finished trials and the study after every trial.
        out: folder of the study, for the heartbeats of workers on other machines; None: all run on this machine.

    Raises:
        BadInput: raised by the objective; ends the search.
    """
    with heartbeat(out) if out else contextlib.nullcontext():
        _search(study, dimensions, objective, trials, after_trial, out)


def _search(
    study: Any,
    dimensions: Sequence[Dimension],
    objective: Objective,
    trials: int,
    after_trial: Callable[[int, Any], None] | None,
    out: Path | None,
) -> None:
    optuna = import_optuna()
    state = optuna.trial.TrialState

    def run(trial: Any) -> float:
        """Run one trial; Optuna's own errors say that it failed, was pruned or was one too many."""
        trial.set_user_attr(WORKER, worker_name())
        if CONTINUES not in trial.user_attrs and count(state.COMPLETE, state.PRUNED, state.RUNNING, to=trial) >= trials:
            raise _Surplus  # two workers both drew what they took for the last trial
        if FOLDER not in trial.user_attrs:
            trial.set_user_attr(FOLDER, _trial_folder(trial.number))
        values = {dimension.key: dimension.suggest(trial) for dimension in dimensions}
        try:
            return objective(trial, values)
        except BadInput:
            raise
        except MyelinSynthError as error:  # a loss that is not a number disqualifies these values, not the search
            trial.set_user_attr(REASON, str(error))
            raise optuna.TrialPruned(str(error)) from error

    def count(*states: Any, to: Any = None) -> int:
        trials = study.get_trials(deepcopy=False, states=states)
        return sum(to is None or trial.number < to.number for trial in trials)

    while (done := count(state.COMPLETE, state.PRUNED)) < trials:
        requeue_dead_trials(study, out)
        if done + count(state.RUNNING) >= trials:
            time.sleep(WAIT_S)  # other workers run the last trials; if one dies, its trial is queued again here
            continue
        study.optimize(run, n_trials=1, catch=_Surplus)
        if after_trial is not None:
            after_trial(count(state.COMPLETE, state.PRUNED), study)
