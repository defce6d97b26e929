"""Make the shipped model `bifast-embed`: a trained net of the recipe `embed` without its words.

python tools/make_embed.py EXPORTED.bifast
"""

from __future__ import annotations

import sys
from pathlib import Path

import bifast
from bifast.enroll.backbone import Backbone

OUT = Path(bifast.__file__).parent / "models" / "bifast-embed.bifast"


def main() -> None:
    """Write the file."""
    model = bifast.Model.load(Path(sys.argv[1]))
    card = {
        key: value for key, value in model.card.items() if key not in ("accuracy", "float_bytes")
    }
    data = card["data"].split("; ")
    card["data"] = "; ".join(text for text in data if "wake word" not in text)  # none is trained on
    card["name"] = "bifast-embed"
    card["description"] = (
        "A backbone for words of one's own, see bifast enroll; it knows none itself"
    )
    Backbone(model).bare(card).save(OUT)
    print(f"{OUT}: {OUT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
