"""Pictures of the dashboard's pages in a real Chromium: `python tests/browser/screenshots.py HOME OUT [--dark]`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHROMIUM = Path("/usr/bin/chromium")
PAGES = ("overview", "drift", "fairness", "energy", "compliance")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb"]


@contextmanager
def browser() -> Iterator:
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        try:
            yield chromium
        finally:
            chromium.close()


def _until(page, expression: str, timeout_ms: int) -> None:
    """Ask from outside again and again: the page's content security policy forbids what `wait_for_function` does in it."""
    for _ in range(timeout_ms // 100):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"not so after {timeout_ms} ms: {expression}")


def settle(page, timeout_ms: int = 60_000) -> None:
    """Wait until Streamlit has run the page and every chart is drawn; `networkidle` never comes on a WebSocket."""
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=timeout_ms)
    _until(
        page,
        "document.querySelectorAll('[data-testid=stSkeleton],[data-testid=stSpinner],[data-stale=true]').length === 0",
        timeout_ms,
    )
    _until(
        page,
        "[...document.querySelectorAll('[data-testid=stVegaLiteChart]')].every(c => c.querySelector('canvas, svg'))",
        timeout_ms,
    )
    page.wait_for_timeout(700)


def path_of(name: str) -> str:
    """The page's path: the first page stands at the root."""
    return "" if name == "overview" else name


def take(url: str, out: Path, *, dark: bool = False, width: int = 1440, pages: tuple[str, ...] = PAGES) -> list[Path]:
    """A picture of each page at its full height."""
    out.mkdir(parents=True, exist_ok=True)
    written = []
    with browser() as chromium:
        page = chromium.new_page(viewport={"width": width, "height": 1000}, color_scheme="dark" if dark else "light")
        for name in pages:
            page.set_viewport_size({"width": width, "height": 1000})
            page.goto(f"{url}/{path_of(name)}", wait_until="domcontentloaded")
            settle(page)
            height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
            page.set_viewport_size({"width": width, "height": min(height + 20, 6000)})
            settle(page)
            written.append(out / f"{name}{'-dark' if dark else ''}.png")
            page.screenshot(path=written[-1])
    return written


def screenshot_pages(home: Path, out_dir: Path, *, dark: bool = False) -> list[Path]:
    """Start the dashboard of a home, take a picture of every page, stop it."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("browser_conftest", Path(__file__).with_name("conftest.py"))
    conftest = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conftest)
    with conftest.serving(Path(home)) as url:
        return take(url, Path(out_dir), dark=dark)


if __name__ == "__main__":
    arguments = [item for item in sys.argv[1:] if item != "--dark"]
    for path in screenshot_pages(Path(arguments[0]), Path(arguments[1]), dark="--dark" in sys.argv):
        print(path)
