"""The study's one page: what was asked, what came out, table, figure, and results.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from TrainingCore import RESEARCH_USE
from TrainingCore.evaluation.beyond_geometry import geometry_predictions
from TrainingCore.evaluation.statistics import pearson
from TrainingCore.reporting import figures
from TrainingCore.reporting.document import SIMULATED_BANNER, Report
from TrainingCore.runtime.files import write_json
from TrainingCore.runtime.numerals import MISSING

from . import protocol as study
from .endpoint import FEWEST_SEEDS, Lesions, Row, analyse, verdict
from .protocol import BUNDLES, MEASURES, PRIMARY, REFERENCE, TITLES, Protocol

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHANCE_GAP = 0.05  # mean outputs of D this close (0.6 is perfect): it taught next to nothing (ours)
HEADS = {
    "partial": "partial r given geometry",
    "myelin": "r with true myelin",
    "mae": "MAE in lesions (DVR)",
    "r": "r with measured DVR",
}
BUNDLE_TITLES = {"last": "Last epoch (primary)", "best": "Best epoch on the validation people"}


def write_page(out: Path, results: Sequence[Row], protocol: Protocol, cohort: str, first: str = PRIMARY[0]) -> Row:
    """Write index.html, curriculum.png and results.json of the finished trainings; returns what results.json holds.

    results: result.json of each training; first: the arm whose differences to the others are shown.
    """
    tables: dict[str, dict[str, dict[int, Any]]] = {which: {} for which in BUNDLES}
    for one in results:
        for which in BUNDLES:
            tables[which].setdefault(one["arm"], {})[one["seed"]] = one["lesions"][which]
    analysis = analyse(tables, first)
    pilot = protocol.differences()
    few = min(len({one["seed"] for one in results if one["arm"] == arm}) for arm in tables["last"])
    if few < FEWEST_SEEDS:
        pilot.append(f"{few} seed{'s' if few > 1 else ''} of each arm at least instead of {FEWEST_SEEDS}")
    games = {f"{one['arm']}, seed {one['seed']}": one["game"] | {"epochs": one["epochs"]} for one in results}
    content = {
        "note": RESEARCH_USE,
        "simulated": True,
        "pilot": pilot,
        "protocol": protocol.as_json(),
        "measured_on": cohort,
        "geometry_alone": _geometry_alone(Lesions.of(tables["last"])),
        "bundles": analysis,
        "game": games,
    }
    primary = analysis["last"]["differences"].get(PRIMARY[1], {}).get("partial")
    if first == PRIMARY[0] and primary is not None:
        content["verdict"] = verdict(primary) + judged_at_chance(results)
    write_json(out / "results.json", content)
    report = _report(out, content, analysis, first, cohort)
    if analysis["last"]["differences"]:
        figure = curriculum_figure(analysis["last"], first)
        report.add_figure(figure, _caption(first), name="curriculum")
    report.write(out / "index.html")
    return content


def judged_at_chance(results: Sequence[Row]) -> str:
    """A sentence, with a space before it, where D hardly told the patches apart in a primary arm; else nothing."""
    games = [one["game"] for one in results if one["arm"] in PRIMARY]
    gap = min((game["D_real"] - game["D_fake"] for game in games if game["D_real"] is not None), default=1.0)
    if gap >= CHANCE_GAP:
        return ""
    apart = f"measured - generated patches {gap:.3f}; 0.6 is perfect"
    return f" The discriminator judged at chance ({apart}), so that this is no test of the schedules."


def _geometry_alone(lesions: Lesions) -> Row:
    """What size and place tell, fitted to these people, each predicted from the others."""
    alone = geometry_predictions(lesions.measured, lesions.geometry, lesions.people)
    error = np.abs(alone - lesions.measured)
    return {
        "partial": 0.0,
        "myelin": pearson(lesions.myelin, alone)["r"],
        "mae": float(np.nanmean(error)) if np.isfinite(error).any() else None,
        "r": pearson(lesions.measured, alone)["r"],
    }


def _report(out: Path, content: Row, analysis: Row, first: str, cohort: str) -> Report:
    banners = [SIMULATED_BANNER]
    if content["pilot"]:
        banners.append(f"Pilot, not the study: {'; '.join(content['pilot'])}.")
    report = Report("Does it matter where the discriminator looks?", banners, figures=out)
    report.add_text(content.get("verdict", ""))
    last = analysis["last"]
    report.add_text(
        f"{last['lesions']} lesions of at least 50 mm3 of {last['people']} people ({cohort}); mean over seeds with a "
        "95 % interval, people and seeds drawn together where there are several seeds, otherwise people alone."
    )
    for which in BUNDLES:
        report.add_heading(BUNDLE_TITLES[which])
        report.add_table(_level_rows(analysis[which], content["geometry_alone"]), titles=HEADS)
        rows = _difference_rows(analysis[which])
        if rows:
            report.add_table(rows, f"{TITLES.get(first, first)} minus the other arm", titles=HEADS)
    report.add_heading("The game")
    report.add_text(
        "Means over the epochs. gradient ratio: norm of the gradient of the adversarial (or patch) term at the "
        "generator's output over that of L1; D gap: mean output of D for measured minus generated patches (0.6 is "
        "perfect)."
    )
    report.add_table(_game_rows(content["game"]), missing="none")
    return report.add_heading("What was fixed beforehand").add_text(str(study.__doc__))


def _level_rows(part: Row, geometry: Row) -> list[Row]:
    rows = [
        {"arm": TITLES.get(arm, arm), "seeds": len(levels["partial"]["seeds"])}
        | {measure: _interval(levels[measure], "value") for measure in MEASURES}
        for arm, levels in part["arms"].items()
    ]
    alone = {measure: figures.number_text(geometry[measure], "{:.3f}") for measure in MEASURES}
    return [*rows, {"arm": "size and location alone, fitted to these people", "seeds": 0} | alone]


def _difference_rows(part: Row) -> list[Row]:
    return [
        {"minus": TITLES.get(arm, arm)} | {measure: _interval(gaps[measure], "difference") for measure in MEASURES}
        for arm, gaps in part["differences"].items()
    ]


def _interval(one: Row, key: str) -> str:
    form = "{:+.3f}" if key == "difference" else "{:.3f}"
    return figures.with_interval(one[key], one["low"], one["high"], form)


def _game_rows(games: Mapping[str, Row]) -> list[Row]:
    rows = []
    for name, game in games.items():
        gap = None if game["D_real"] is None else game["D_real"] - game["D_fake"]
        thirds = [figures.number_text(value) for value in game["gradient_ratio_by_third"] if value is not None]
        rows.append(
            {
                "training": name,
                "gradient ratio": game["gradient_ratio"],
                "by thirds": ", ".join(thirds) or None,
                "adversarial weight": game["weight_adversarial"],
                "rate of D": game["rate_D"],
                "D gap": gap,
                "lesion share, lesion patches": game["lesion_share_lesion_patches"],
                "random patches": game["lesion_share_random_patches"],
                "best epoch": game["epochs"]["best"],
            }
        )
    return rows


def curriculum_figure(part: Row, first: str) -> Figure:
    """Partial r of every arm, one small dot a seed; and what `first` has more than each."""
    arms = list(part["arms"])
    figure, axes = figures.new_figure(11.0, 1.4 + 0.45 * len(arms), ncols=2, sharey=True)
    for place, arm in enumerate(arms):
        level = part["arms"][arm]["partial"]
        _bar(axes[0][0], place, level, "value", figures.MEASURED)
        axes[0][0].plot(
            list(level["seeds"].values()), [place + 0.22] * len(level["seeds"]), "o", color=figures.SOFT, ms=4
        )
        if arm in part["differences"] and arm != REFERENCE:
            colour = figures.SYNTHETIC if (first, arm) == PRIMARY else figures.MEASURED
            gap = part["differences"][arm]["partial"]
            _bar(axes[0][1], place, gap, "difference", colour)
            axes[0][1].plot(
                list(gap["seeds"].values()), [place + 0.22] * len(gap["seeds"]), "o", color=figures.SOFT, ms=4
            )
    axes[0][1].axvline(0, color=figures.INK, linewidth=1)
    axes[0][0].set_xlabel("partial r given geometry, 95 % interval")
    axes[0][1].set_xlabel(f"{TITLES.get(first, first)} minus the arm")
    for axis in axes[0]:
        axis.set_yticks(range(len(arms)), [TITLES.get(arm, arm) for arm in arms])
        axis.set_ylim(len(arms) - 0.5, -0.6)
        axis.grid(axis="x", color="#e3e7ec", linewidth=0.8)
        axis.set_axisbelow(True)
    return figure


def _bar(axis: Any, place: int, one: Row, key: str, colour: str) -> None:
    if one[key] is None:
        axis.annotate(MISSING, (0.02, place), xycoords=("axes fraction", "data"), color=figures.SOFT, va="center")
        return
    if one["low"] is not None and len(one["seeds"]) != 2:  # Student's t of two seeds is wider than the figure
        axis.plot([one["low"], one["high"]], [place, place], color=colour, linewidth=2)
    axis.plot(one[key], place, "o", color=colour, markersize=7)


def _caption(first: str) -> str:
    return (
        "Last epoch. Left: partial r of measured and synthetic lesion DVR given geometry. Right: "
        f"{TITLES.get(first, first)} minus each arm; orange is the primary endpoint. Small dots: single seeds; "
        "no interval is drawn for two of them."
    )
