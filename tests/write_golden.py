"""Write tests/golden/*.bin with the NumPy oracle alone: `python tests/write_golden.py [FOLDER]`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import golden_file
import numpy as np
import numpy.typing as npt
from byte_nets import byte_net
from image_nets import image_net
from model_factory import SMALL_FRONTEND, bifsmn, features_for, random_net
from two_planes import two_plane_net

from bifast.format import FrontendParams

GOLDEN = Path(__file__).parent / "golden"
# A setting with long rows of frames, an odd radix, and no bin below 100 Hz.
CAUSAL_FRONTEND = FrontendParams(16000, 4000, 512, 400, 160, 40, False, 100.0, 7600.0, 1.0, 1e-10)


def sound(seed: int, n_samples: int, sample_rate: int) -> npt.NDArray[Any]:
    """A rising tone with noise that swells, int16, with digital silence at its start."""
    rng = np.random.default_rng(seed)
    t = np.arange(n_samples) / sample_rate
    tone = np.sin(2 * np.pi * (150 + 0.1 * sample_rate * t) * t)
    noise = rng.normal(0, 1, n_samples)
    x = 12000 * (t / t[-1]) * (0.7 * tone + 0.1 * noise)
    x[: n_samples // 20] = 0
    return np.rint(x).astype(np.int16)


def golden_files() -> dict[str, bytes]:
    """Name and bytes of every golden file."""
    # Seeds with few channels in the float layers but bits across the edges of words (14: 140).
    small = random_net(14, frontend=SMALL_FRONTEND)
    causal = random_net(12, frontend=CAUSAL_FRONTEND)
    images = random_net(25)
    planes = two_plane_net(12)
    ends = byte_net(3, SMALL_FRONTEND)
    residual = image_net(6, shape=(9, 8, 3), first="byte_conv2d")
    return {
        # The papers' shape: only checksums of its layers, its model takes the room.
        "bifsmn": golden_file.encode(bifsmn(0), sound(0, 9000, 16000), store=False),
        "small": golden_file.encode(small, sound(1, 650, 8000), store=True),
        "causal": golden_file.encode(causal, sound(2, 4000, 16000), store=False),
        "images": golden_file.encode(images, None, features_for(images, 3), store=True),
        "planes": golden_file.encode(planes, None, features_for(planes, 4), store=False),
        "bytes": golden_file.encode(ends, sound(3, 650, 8000), store=False),
        "residual": golden_file.encode(residual, None, features_for(residual, 5), store=False),
    }


def main(folder: Path) -> None:
    for name, data in golden_files().items():
        (folder / f"{name}.bin").write_bytes(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else GOLDEN)
