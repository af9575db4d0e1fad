"""Repeatability of a model: digital people scanned twice without a change, one SD per lesion volume class.

    python -m Testing.studies.repeatability --work WORK --model demonstration --out repeatability.json
    python -m Testing.studies.repeatability --work WORK --model BUNDLE --into-bundle

Half the people are scanned at site A, half at site B, each twice on their own scanner. The second line also writes the
numbers into the bundle's description and card, where `change` reads them. WORK keeps what does not depend on the
model, so that a second model takes little time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from Testing.studies.two_visits import Cohort, measured, options, prepared
from TrainingCore.data.bundle import Bundle, add_to_bundle
from TrainingCore.prediction.model import TrainedModel
from TrainingCore.runtime.files import write_json
from TrainingCore.study.repeatability import fit_repeatability


def main() -> int:
    """Measure, print, and write what was asked for."""
    parser = options(__doc__)
    parser.add_argument("--out", type=Path, help="JSON to write, for change --repeatability")
    parser.add_argument("--into-bundle", action="store_true", help="write into the model's description and card")
    chosen = parser.parse_args()
    model = TrainedModel.load(Bundle.open(chosen.model), "cpu")
    rows: list[dict[str, Any]] = []
    nawm = []
    for site in "AB":
        for kept in prepared(Cohort(site, "", False, chosen.people, chosen.seed), chosen.work):
            own, white = measured(kept, model)
            rows += [row | {"protocol": f"site {site}"} for row in own]
            nawm.append(white)
    people = len({row["person"] for row in rows})
    source = (
        f"{people} simulated people of sites A and B scanned twice on one scanner without a change, {len(rows)} lesions"
        ", in each volume class the larger SD of both sites together and of a site with 20 lesions or more"
    )
    found = fit_repeatability(rows, nawm, source, model.bundle.sha256)
    print("volume from (mm3)  lesions  SD of the difference (95 % interval by person)")
    for low, count, sd, *ends in zip(*(found[key] for key in ("classes_mm3", "lesions", "sd", "sd_low", "sd_high"))):
        print(f"{low:17g}  {count:7d}  {sd:.4f} ({ends[0]:.4f} to {ends[1]:.4f})")
    for name, own in found["by_protocol"].items():
        print(f"{name}: SD " + ", ".join(f"{sd} ({count})" for sd, count in zip(own["sd"], own["lesions"])))
    print(f"NAWM {found['nawm_sd']:.4f}; mean {found['mean']:+.4f}; false alarms {found['false_alarms']:.1%}; {source}")
    if chosen.out:
        write_json(chosen.out, found)
    if chosen.into_bundle:
        add_to_bundle(model.bundle.path, {"repeatability": found})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
