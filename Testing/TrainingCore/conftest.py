"""What every test of the researcher's room begins and ends with."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from TrainingCore.runtime.stopping import stop_listening


@pytest.fixture(autouse=True)
def _the_same_random_numbers_every_time() -> None:
    """Torch begins every process with other ones: a test must not pass or fail by them, nor by what ran before it."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _nobody_is_asked_to_stop_afterwards() -> Iterator[None]:
    """A signal meant for one test must not stop the next."""
    yield
    stop_listening(for_good=False)


@pytest.fixture
def first_table_width() -> Callable[[Path, int], tuple[int, int]]:
    """Pixels that a report in a window of some width has for its first table, and those the table needs."""

    def measure(page: Path, window: int) -> tuple[int, int]:
        webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
        if not (shutil.which("chromium") and shutil.which("chromedriver")):
            pytest.skip("chromium and chromedriver are not installed")
        options = webdriver.ChromeOptions()
        for word in ("--headless=new", "--no-sandbox", f"--window-size={window},700"):
            options.add_argument(word)
        driver = webdriver.Chrome(options=options)
        try:
            driver.get(page.as_uri())
            script = "const box = document.querySelector('.scroll'); return [box.clientWidth, box.scrollWidth]"
            width, needed = driver.execute_script(script)
            return width, needed
        finally:
            driver.quit()

    return measure
