"""Tables of DVR models: agreement by level, true myelin, beyond geometry, by lesion size, intervals, tissues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..evaluation.information import as_table, caution
from ..runtime.numerals import VERDICT
from .figures import number_text, p_value, tissue_title, with_interval

Row = dict[str, Any]
CORRELATION_KEYS = ("n", "r", "r_low", "r_high", "p", "r_ceiling", "share_of_ceiling", "share_low", "share_high", "mae")
BLAND_ALTMAN_KEYS = ("bias", "lower_limit", "upper_limit", "slope")
MORE_DIFFERENCES = (
    ("partial", "r given geometry", "{:+.3f}"),
    ("myelin", "r, true myelin", "{:+.3f}"),
    ("mae", "MAE in lesions", "{:+.4f}"),
)
GEOMETRY_ALONE = "geometry alone"
CAPTION = (
    "Information in lesion DVR beyond size and location, 95 % by patient. True myelin: r with the remaining share of "
    "myelin, known for simulated patients only; beside the mean DVR the ratio corrected for blur, the loss estimated "
    "from T1w, FLAIR and map, and the contrast in T1w alone, the simplest explanation. Given geometry: partial "
    "correlation with measured DVR, adjusted for a linear function of size, distances and tissue fractions; a map that "
    "knows a nonlinear function of them and nothing else can have 0.1. Geometry alone: regression "
    "without image intensities, fitted to the measured DVR of this cohort; every person is predicted from the others."
)


OTHER_LESIONS = 0.1  # difference in number from which these are not the same lesions; grids alone make 2 % (ours)
SHARES = (
    "Share of the information ceiling: r of the model over r of the better regression on size, location, T1w and "
    "FLAIR, and (last number) that also knows the true T1, T2 and partial volumes of each lesion; each person "
    "predicted from the others. Above 100 %: the regressions know less than the model. For true "
    "myelin, regressions fitted to noise-free DVR, as the model is, or to the loss itself, which no scanner measures."
)


def knowledge_rows(summaries: Mapping[str, Row]) -> list[Row]:
    """Make the table of r with measured DVR, r with true myelin, partial r and difference to geometry.

    Args:
        summaries: summary by name of the model.

    Returns:
        One row per model, and one of geometry alone.
    """
    rows = []
    for name, summary in summaries.items():
        geometry, myelin = summary["geometry"], summary["myelin"]["lesion"]["synthetic"]
        gap = geometry["difference"]
        rows.append(
            {
                "model": name,
                "r, measured DVR": _r(summary["lesion"]),
                "r, true myelin": _r(myelin),
                "corrected for blur": _r(summary["myelin"]["lesion"]["corrected"]),
                "estimated loss": _r(summary["myelin"]["lesion"]["estimated"]),
                "T1w alone": _r(summary["myelin"]["lesion"]["t1w"]),
                "r given geometry": _r(geometry["partial"]),
                "r - r of geometry alone": with_interval(gap["difference"], gap["low"], gap["high"], "{:+.3f}"),
                "beats geometry": VERDICT[geometry["beats"]],
            }
        )
    first = next(iter(summaries.values()))
    alone = {"r, measured DVR": _r(first["geometry"]["alone"]), "r, true myelin": _r(first["geometry"]["myelin"])}
    return [*rows, {"model": GEOMETRY_ALONE} | dict.fromkeys(list(rows[0])[1:], "–") | alone]


def _r(result: Row) -> str:
    return with_interval(result["r"], result["r_low"], result["r_high"])


def myelin_sentence(name: str, summary: Row) -> str:
    """Say how many lesions the correlations with true myelin are of, if not all.

    Args:
        name: name of the model.
        summary: its summary.

    Returns:
        One sentence; empty if it is all of them, or the truth is not known.
    """
    known, lesions = summary["myelin"]["lesion"]["synthetic"], summary["lesions_in_correlation"]
    if known["r"] is None or known["n"] == lesions:
        return ""
    return (
        f"{name}: r with true myelin are of the {known['n']} of {lesions} lesions for which every method has a value; "
        "the others have no NAWM around them, or their T1w does not show white matter brighter than grey matter."
    )


def geometry_sentence(name: str, summary: Row) -> str:
    """Warn about a model that does not beat geometry alone.

    Args:
        name: name of the model.
        summary: its summary.

    Returns:
        One sentence; empty if the model beats geometry, or if r has no value.
    """
    geometry = summary["geometry"]
    gap = geometry["difference"]
    if geometry["beats"] is None and gap["difference"] is not None:
        return (
            f"{name} is not shown to beat geometry alone: there are too few people for an interval. r at lesion level "
            f"differs by {gap['difference']:+.3f} from a regression on lesion size, distances and tissue fractions "
            "without image intensities."
        )
    if geometry["beats"] is not False:
        return ""
    return (
        f"{name} does not beat geometry alone: r at lesion level differs by "
        f"{with_interval(gap['difference'], gap['low'], gap['high'], '{:+.3f}')} from a regression on lesion size, "
        "distances and tissue fractions without image intensities."
    )


def volume_rows(summary: Row) -> list[Row]:
    """Make the table of agreement by lesion volume.

    Args:
        summary: summary of a model.

    Returns:
        One row per volume class.
    """
    return [
        {
            "volume (mm3)": row["volume"],
            "lesions": row["lesions"],
            "r": _r(row),
            "mean absolute error": with_interval(row["mae"], row["mae_low"], row["mae_high"], "{:.3f}"),
            "bias": with_interval(row["bias"], row["bias_low"], row["bias_high"], "{:+.3f}"),
        }
        for row in summary["by_volume"]
    ]


def interval_rows(rows: Sequence[Row]) -> list[Row]:
    """Make the table of coverage and width of the 95 % prediction intervals by lesion volume.

    Args:
        rows: `intervals` or `intervals_by_site` in the summary of a model.

    Returns:
        One row per volume class, and site if the rows have one.
    """
    return [
        ({"site": row["site"]} if "site" in row else {})
        | {
            "volume (mm3)": row["volume"],
            "lesions": row["lesions"],
            "measured DVR inside": with_interval(row["coverage"], row["low"], row["high"], "{:.0%}"),
            "width (DVR)": number_text(row["width"], "{:.3f}"),
        }
        | _without_noise(row)
        for row in rows
    ]


def loss_interval_rows(rows: Sequence[Row]) -> list[Row]:
    """Make the table of coverage and width of the intervals of the estimated myelin loss.

    Args:
        rows: `loss_intervals` in the summary of a model.

    Returns:
        One row per volume class.
    """
    return [
        {
            "volume (mm3)": row["volume"],
            "lesions": row["lesions"],
            "true loss inside": with_interval(row["coverage"], row["low"], row["high"], "{:.0%}"),
            "width": number_text(row["width"], "{:.2f}"),
        }
        for row in rows
    ]


def _without_noise(row: Row) -> Row:
    """Cells on the interval of the noise-free DVR, if it is known."""
    if "noise_free_coverage" not in row:
        return {}
    share, low, high = (row[f"noise_free_{key}"] for key in ("coverage", "low", "high"))
    return {
        "noise-free DVR inside": with_interval(share, low, high, "{:.0%}"),
        "its width (DVR)": number_text(row["noise_free_width"], "{:.3f}"),
    }


def ceiling_rows(information: Mapping[str, Any]) -> list[Row]:
    """Make the table of the information ceiling: r of regressions on increasing lesion information.

    Args:
        information: information ceiling that `simulate` wrote.

    Returns:
        One row per regression.
    """
    header, *lines = as_table(information)
    return [dict(zip(header, (cell or "–" for cell in line))) for line in lines]


def share_rows(summaries: Mapping[str, Row], information: Mapping[str, Any]) -> list[Row]:
    """Make the table of each model's share of the information ceiling.

    Args:
        summaries: summary by name of the model.
        information: information ceiling that `simulate` wrote.

    Returns:
        One row per model: r over that of the better regression on size, location, T1w and FLAIR, and over that of the
        best regression of all; empty if only some of the cohort's lesions were evaluated, or others.
    """
    best = {
        target: (row["mri"]["lesion_r"], row["information"]["lesion_r"])
        for target, row in information.get("best", {}).items()
    }
    lesions, few = information.get("lesions", 0), bool(caution(information))
    rows = []
    for name, summary in summaries.items():
        if abs(summary["lesions_in_correlation"] - lesions) > OTHER_LESIONS * lesions:
            return []
        myelin = summary["myelin"]["lesion"]
        same = abs(myelin["synthetic"]["n"] - lesions) <= OTHER_LESIONS * lesions
        r = {kind: myelin.get(kind, {}).get("r") if same else None for kind in ("synthetic", "corrected", "estimated")}
        shares = {
            "r, measured DVR": (summary["lesion"]["r"], "measured"),
            "r, true myelin": (r["synthetic"], "loss_through_dvr"),
            "r, true myelin, fitted to it": (r["synthetic"], "myelin_loss"),
            "corrected for blur, fitted to it": (r["corrected"], "myelin_loss"),
            "estimated loss, fitted to it": (r["estimated"], "myelin_loss"),
        }
        rows.append(
            {"model": name}
            | {title: _share(r, *best.get(target, (None, None)), few) for title, (r, target) in shares.items()}
        )
    return rows


def _share(r: float | None, of_mri: float | None, of_all: float | None, few: bool = False) -> str:
    """r, and which share it is of the ceilings without and with the true tissue; few: of too few people."""
    if r is None or not of_mri or not of_all:
        return "–"
    return "at most " * few + f"{r / of_mri:.0%} ({r:.2f} of {of_mri:.2f}), {r / of_all:.0%}"


def ceiling_sentence(ceilings: Mapping[str, Any]) -> str:
    """Describe the noise ceiling of the whole cohort, and the reason if there is no information ceiling.

    Args:
        ceilings: {noise, information} that `simulate` wrote; each may be None.

    Returns:
        Sentences; may be empty.
    """
    noise, information = ceilings["noise"], ceilings["information"]
    sentences = []
    if noise is not None:
        sentences.append(
            f"Noise ceiling of the whole cohort ({noise['lesions']} lesions of {noise['minimum_lesion_mm3']:g} mm3 or "
            f"more): r = {number_text(noise['lesion_level_r'])} per lesion, "
            f"{number_text(noise['patient_level_r'])} per patient, on the cohort's own grid. The noise ceilings beside "
            "the models are of the people and lesions of this evaluation on the models' grid, so they may differ."
        )
    if information is not None:
        sentences += filter(None, [information.get("skipped"), caution(information)])
    return " ".join(sentences)


def correlation_rows(summaries: Mapping[str, Row]) -> list[Row]:
    """Make the table of r with its interval, p, noise ceiling and share of it, by lesion and by patient.

    Args:
        summaries: summary by name of the model.

    Returns:
        One row per model.
    """
    rows = []
    for name, summary in summaries.items():
        row: Row = {"model": name}
        for level in ("lesion", "patient"):
            result = summary[level]
            row[f"{level} r"] = with_interval(result["r"], result["r_low"], result["r_high"])
            row[f"{level} p"] = p_value(result["p"]).removeprefix("p = ").removeprefix("p ")
            unknown = f"unknown for {result['without_truth']} of {result['n']}"
            row[f"{level} noise ceiling"] = unknown if result["without_truth"] else number_text(result["r_ceiling"])
            share = result["share_of_ceiling"], result["share_low"], result["share_high"]
            row[f"{level} share of ceiling"] = with_interval(*share, "{:.0%}")
        rows.append(row)
    return rows


def agreement_rows(summaries: Mapping[str, Row]) -> list[Row]:
    """Make the table of bias, limits of agreement, mean absolute error and slope.

    Args:
        summaries: summary by name of the model.

    Returns:
        One row per model and level.
    """
    rows = []
    for name, summary in summaries.items():
        for level in ("lesion", "patient"):
            result = summary[level]["bland_altman"]
            limits = [number_text(result[key], "{:+.3f}") for key in ("lower_limit", "upper_limit")]
            rows.append(
                {
                    "model": name,
                    "level": level,
                    "points": result["n"],
                    "bias": with_interval(result["bias"], result["bias_low"], result["bias_high"], "{:+.3f}"),
                    "95 % limits": limits[0] if result["sd"] is None else " to ".join(limits),
                    "mean absolute error": number_text(summary[level]["mae"], "{:.3f}"),
                    "slope": number_text(result["slope"]),
                }
            )
    return rows


def difference_rows(against: Mapping[str, Row], first: str) -> list[Row]:
    """Make the table of differences of every other model to the first, with 95 % intervals by patient.

    Args:
        against: differences to the first model, by name of the other one.
        first: name of the first model.

    Returns:
        One row per other model.
    """
    rows = []
    for name, result in against.items():
        row: Row = {"model": f"{name} \N{MINUS SIGN} {first}"}
        for level in ("lesion", "patient"):
            gap_at_level = result[level]
            row[f"{level} level"] = with_interval(
                gap_at_level["difference"], gap_at_level["low"], gap_at_level["high"], "{:+.3f}"
            )
            row[f"{level} p"] = p_value(gap_at_level["p"]).removeprefix("p = ").removeprefix("p ")
        for key, title, form in MORE_DIFFERENCES:
            gap = result[key]
            row[title] = with_interval(gap["difference"], gap["low"], gap["high"], form)
        rows.append(row)
    return rows


def group_rows(groups: Sequence[Row]) -> list[Row]:
    """Make the table of mean DVR (SD over visits) of each tissue and group: measured, synthetic, noise-free.

    Args:
        groups: `groups` of a model's summary.

    Returns:
        One row per group and tissue.
    """
    rows = []
    for group in groups:
        row = {
            "group": group["group"],
            "tissue": tissue_title(group["tissue"], group["group"]),
            "visits": group["n"],
        }
        for kind, title in (("measured", "measured"), ("synthetic", "synthetic"), ("clean", "noise-free truth")):
            mean, sd = group[f"{kind}_mean"], group[f"{kind}_sd"]
            row[title] = number_text(mean, "{:.3f}") + ("" if sd is None else f" ({sd:.3f})")
        rows.append(row)
    return rows


def models_alt(summaries: Mapping[str, Row]) -> str:
    """Describe the figure of all models for readers who cannot see it.

    Args:
        summaries: summary by name of the model.

    Returns:
        The correlations of every model in words.
    """
    parts = [
        f"{name}: lesion level {number_text(s['lesion']['r'])}, patient level {number_text(s['patient']['r'])}"
        for name, s in summaries.items()
    ]
    return "Correlation of every model. " + "; ".join(parts) + "."


def model_rows(summaries: Mapping[str, Row]) -> list[Row]:
    """Make the CSV table of models: correlations, intervals, shares of the ceiling, image measures.

    Args:
        summaries: summary by name of the model.

    Returns:
        One row of plain numbers per model.
    """
    rows = []
    for name, summary in summaries.items():
        row: Row = {"model": name, "visits": summary["visits"], "people": summary["people"]}
        for level in ("lesion", "visit", "patient"):
            result = summary[level]
            row |= {f"{level}_{key}": result[key] for key in CORRELATION_KEYS}
            row |= {f"{level}_{key}": result["bland_altman"][key] for key in BLAND_ALTMAN_KEYS}
        for title, result in (
            ("myelin", summary["myelin"]["lesion"]["synthetic"]),
            ("myelin_corrected", summary["myelin"]["lesion"]["corrected"]),
            ("myelin_estimated", summary["myelin"]["lesion"]["estimated"]),
            ("myelin_of_t1w_contrast", summary["myelin"]["lesion"]["t1w"]),
            ("given_geometry", summary["geometry"]["partial"]),
        ):
            row |= {f"{title}_{key}": result[key] for key in ("r", "r_low", "r_high")}
        for key in ("difference", "low", "high"):
            row[f"beyond_geometry_{key}"] = summary["geometry"]["difference"][key]
        for measure, values in summary["images"].items():
            row |= {measure: values["mean"], f"{measure}_sd": values["sd"]}
        rows.append(row)
    return rows
