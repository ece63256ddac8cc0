"""The backbone that docs/architecture.md writes for its readers runs as it stands there."""

import pathlib
import re

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "architecture.md"


def test_the_backbone_of_the_page_trains_and_is_read_back(tmp_path, monkeypatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    exec(code, names)
    result, again = names["result"], names["again"]
    assert again.evaluate(ks=(10,)).mean == result.evaluate(ks=(10,)).mean  # pyright: ignore
