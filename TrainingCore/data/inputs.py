"""The one table of MRI inputs: options of `synthesize`, columns of a cohort table, BIDS names, selectors in Slicer.

A new contrast is one row here, and a recipe that names it among its `data.inputs`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Input:
    """One MRI contrast.

    Attributes:
        name: of the volume in a Case, a recipe and a cohort table.
        option: of `synthesize`, without dashes.
        title: over a picture, a column or a selector.
        word: in a sentence, with the title where it is empty.
        bids: (suffixes, entities with patterns) of the file names that are it, any of them.
        quantitative: a ratio or a physical unit, no coil shading to remove.
        diffusion: a map of the diffusion acquisition, all of which share one position.
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
NEEDED_BY_MYELIN = ("t1w", "flair")  # what every person with MS has; the others are inputs of some systems


def find_input(name: str) -> Input | None:
    """The row of a volume, None if it is no MRI."""
    return next((row for row in INPUTS if row.name == name), None)


def option_of(name: str) -> str:
    """The option that gives a volume: `--t1` for t1w, `--lesions` for lesions."""
    row = find_input(name)
    return f"--{(row.option if row else name).replace('_', '-')}"


def further_options() -> dict[str, str]:
    """Option -> help of the inputs that only some models need."""
    return {
        row.option: f"{row.word or row.title}, for models that need it"
        for row in INPUTS
        if row.name not in NEEDED_BY_MYELIN
    }


def bids_names() -> tuple[tuple[str, tuple[str, ...], dict[str, str]], ...]:
    """(volume, suffixes, entities) of every BIDS name, the more particular first: longer patterns before shorter."""
    rows = [(row.name, suffixes, entities) for row in INPUTS for suffixes, entities in row.bids]
    return tuple(sorted(rows, key=lambda row: -sum(map(len, row[2].values()))))
