"""Run BM4D once on the blocks that denoisers of MR are measured on.

``python -m training.tables.fill_bm4d --data FOLDER`` takes about a minute of one core for each of
some forty blocks, and can be stopped and given again. From then on ``training.evaluate`` shows
BM4D beside the model. Needs ``pip install -e .[bench]``; bm4d is for non-commercial use only.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from MedEnhanceLib.errors import OptionsError
from training.failing import failing_in_a_sentence
from training.tables.comparators import by_bm4d
from training.tables.denoising import noisy_blocks
from training.tables.rows import UNIT, psnr


@failing_in_a_sentence()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with the scans")
    args = parser.parse_args()
    # Strong noise first: most scans are quiet enough to be a reference there.
    for block in sorted(noisy_blocks(args.data), key=lambda b: -b.level):
        made = by_bm4d(block.noisy, block.level * UNIT, make=True)
        if made is None:
            raise OptionsError("bm4d is not installed; run pip install -e .[bench] first.")
        score = psnr(made.voxels, block.clean)
        print(f"{block.name:32} {block.condition} {score:.2f} dB {made.core_us:.0f} us", flush=True)


if __name__ == "__main__":
    main()
