"""Table of MRI inputs: options of `synthesize`, columns of a cohort table, BIDS names, selectors in Slicer.

To add a contrast, add a row to INPUTS and name it in the `data.inputs` of a recipe.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Input:
    """One MRI contrast.

    Attributes:
        name: volume name in a Case, a recipe and a cohort table.
        option: option of `synthesize`, without dashes.
        title: heading of a picture, a column or a selector.
        word: name in sentences; empty if it is the title.
        bids: accepted file names, each as (suffixes, entities with patterns).
        quantitative: whether values have a physical unit or are ratios, so that no coil shading is removed.
        diffusion: whether it is a map of the diffusion acquisition; all such maps share one registration.
    """

    name: str
    option: str
    title: str
    word: str = ""
    bids: tuple[tuple[tuple[str, ...], dict[str, str]], ...] = ()
    quantitative: bool = False
    diffusion: bool = False


# In the order in which networks see them. A T1w with a `ce` entity was taken after contrast agent.
INPUTS: list[Input] = [
    Input("t1w", "t1", "T1w", bids=((("T1w",), {}),)),
    Input("flair", "flair", "FLAIR", bids=((("FLAIR",), {}),)),
    Input("t2w", "t2", "T2w", bids=((("T2w",), {}),)),
    Input(
        "t1ce_low",
        "t1ce_low",
        "T1w, low dose",
        "T1w after a low dose of contrast agent",
        ((("T1w",), {"ce": "low.*"}),),
    ),
    Input("t1ce", "t1ce", "T1w + Gd", "T1w after contrast agent", ((("T1w",), {"ce": ".+"}),)),
    Input("mtr", "mtr", "MTR", bids=((("MTRmap", "MTR"), {}),), quantitative=True),
    *(
        Input(
            name,
            name,
            name.upper(),
            bids=(((name.upper(), f"{name.upper()}map"), {}), (("dwimap",), {"param": f"(?i:{pattern})"})),
            quantitative=True,
            diffusion=True,
        )
        for name, pattern in (("fa", "fa"), ("rd", "rd"), ("ad", "ad"), ("adc", "adc|md"))
    ),
]
NEEDED_BY_MYELIN = ("t1w", "flair")  # acquired in every person with MS; some systems need others


def find_input(name: str) -> Input | None:
    """Look up an MRI contrast.

    Args:
        name: volume name.

    Returns:
        Its row in INPUTS, or None if the volume is not an MRI contrast.
    """
    return next((row for row in INPUTS if row.name == name), None)


def option_of(name: str) -> str:
    """Return the command-line option for a volume: `--t1` for t1w, `--lesions` for lesions.

    Args:
        name: volume name.
    """
    row = find_input(name)
    return f"--{(row.option if row else name).replace('_', '-')}"


def further_options() -> dict[str, str]:
    """Return option -> help of the inputs that only some models need."""
    return {
        row.option: f"{row.word or row.title}, for models that need it"
        for row in INPUTS
        if row.name not in NEEDED_BY_MYELIN
    }


def bids_names() -> tuple[tuple[str, tuple[str, ...], dict[str, str]], ...]:
    """Return (volume, suffixes, entities) of every BIDS name, longer patterns before shorter ones."""
    rows = [(row.name, suffixes, entities) for row in INPUTS for suffixes, entities in row.bids]
    return tuple(sorted(rows, key=lambda row: -sum(map(len, row[2].values()))))
