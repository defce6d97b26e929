"""The page of the survey: its list of binarizers, and figures put between its marks."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("matplotlib", reason="the extra `train` is not installed")

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bench"))

from survey_page import PageError, binarizer_list, main, replace

from bifast.train.binarizers import BINARIZERS
from bifast.train.series import Row, Series
from bifast.train.series.outcome import Outcome
from bifast.train.series.summary import table_from_dict
from bifast.train.series.table import write_tables

PAGE = "# Page\n<!-- begin kws -->\nold\n<!-- end kws -->\nmine\n<!-- begin binarizers -->\n<!-- end binarizers -->\n"
CONFIG = {
    "recipe": {
        "optim": {"epochs": 3, "batch": 8, "algorithm": "adamw"},
        "data": {"task": "sc11", "variants": 2},
    },
    "versions": {"torch": "2"},
    "machine": {"device": "cpu"},
    "clips": {"training": 1000, "testing": 20},
}


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """The folder of a series of two rows, one of them in a group and refused by the engine."""
    rows = (
        Row("bnn", "BNN", "sc11"),
        Row("xnor", "XNOR", "sc11", "bnn", paper="44 %", group="More"),
    )
    series = Series("kws", "Two of them", (1,), rows)
    told = {"accuracy": {"full": 80.0}, "measured_by": "engine", "size": 7}
    Outcome("bnn", 1, nanoseconds={"full": 900}, **told).save(tmp_path / "seed1" / "bnn")
    refused = "layer fc1: no bits"
    Outcome("xnor", 1, refused=refused, **told).save(tmp_path / "seed1" / "xnor")
    (tmp_path / "seed1" / "bnn" / "config.json").write_text(json.dumps(CONFIG))
    table = write_tables(series, tmp_path)
    assert table_from_dict(json.loads((tmp_path / "table.json").read_text())) == table
    return tmp_path


def test_page_gets_protocol_tables_pictures_and_keeps_its_text(
    finished: Path, tmp_path: Path
) -> None:
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text(PAGE)
    main(page, [finished])
    first = page.read_text()
    assert "\nold\n" not in first
    assert "\nmine\n" in first
    assert "Two of them. Task `sc11` (1,000 training, 20 testing clips)" in first
    assert "| BNN | 1 | 80.00 |" in first
    assert first.index("### More") < first.index("| XNOR | 1 | 80.00 |")
    assert "- XNOR: not by the engine: layer fc1: no bits" in first
    assert "- XNOR, its paper: 44 %" in first
    for name in ("table.png", "speed.png"):
        assert f"](measured/kws/{name})" in first
        assert (page.parent / "measured" / "kws" / name).stat().st_size > 1000
    main(page, [finished])
    assert page.read_text() == first


def test_page_without_marks_and_folder_without_table_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PageError, match="<!-- begin b -->"):
        replace("<!-- end b -->", "b", "text")
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    with pytest.raises(PageError, match=r"no table\.json"):
        main(page, [tmp_path])
    assert page.read_text() == PAGE


def test_list_has_every_binarizer_with_its_source() -> None:
    lines = binarizer_list().splitlines()[2:]
    assert len(lines) == len(BINARIZERS.names())
    for line in lines:
        name, what, source, engine = (
            part.strip() for part in line.replace("\\|", "").strip("| ").split("|")
        )
        assert what
        assert engine
        assert (
            source
            or name == "`full`"
            or name.strip("`") in ("halves", "rotten", "broken", "centred")
        )


def test_page_of_the_documentation_is_up_to_date() -> None:
    text = (ROOT / "docs" / "survey.md").read_text("utf-8")
    for name in BINARIZERS:
        if not type(BINARIZERS[name](1, 1)).__module__.startswith("bifast_own_"):
            line = next(x for x in binarizer_list().splitlines() if x.startswith(f"| `{name}` |"))
            assert line in text, "run: python bench/survey_page.py docs/survey.md"
