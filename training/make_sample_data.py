"""Write the small volumes that ship with the project: ``python -m training.make_sample_data``.

A slab of the studyforrest T1 (public domain), the same slab with slices twice as thick, one
hippocampus crop with its expert labels, and the low-dose CT of a thigh. All are validation
subjects: no model was trained on them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import SimpleITK as sitk

from training.data import scan_file
from training.failing import failing_in_a_sentence

HEAD = "t1/studyforrest_t1_067iso.nii.gz"
SLAB_START, SLAB_SIZE = (15, 38, 216), (244, 324, 24)
HIPPOCAMPUS = "hippocampus_014"
THIGH = "ct/STS_004_ct.nii.gz"
THIGH_START, THIGH_SIZE = (42, 8, 26), (128, 128, 32)

HEAD_LICENCE = """\
mr_head_t1.nii.gz, mr_head_t1_thick.nii.gz

A slab of 24 axial slices of the T1-weighted scan of one defaced volunteer (Philips 3 T, 0.7 x
0.67 x 0.67 mm) from the studyforrest project (http://studyforrest.org), as distributed in
datalad/example-dicom-structural. Public Domain Dedication and License (PDDL) 1.0,
https://opendatacommons.org/licenses/pddl/1-0/. Changed: cropped; in the "thick" volume pairs of
neighbouring slices are averaged, so that the first volume is its reference.
"""
HIPPOCAMPUS_LICENCE = """\
hippocampus_t1.nii.gz, hippocampus_t1_labels.nii.gz

Case {case} of Task04_Hippocampus of the Medical Segmentation Decathlon
(http://medicaldecathlon.com): A. L. Simpson et al., arXiv:1902.09063; M. Antonelli et al., Nature
Communications 13, 4128 (2022). Images and labels: Vanderbilt University Medical Center.
Labels: 1 anterior, 2 posterior hippocampus. Creative Commons Attribution-ShareAlike 4.0
International, https://creativecommons.org/licenses/by-sa/4.0/. Changed: renamed; stored as 16-bit
and 8-bit integers.
"""
THIGH_LICENCE = """\
ct_thigh.nii.gz

32 slices of the low-dose CT of one patient with a soft-tissue sarcoma of the thigh (GE Discovery ST
PET/CT, 0.98 x 0.98 x 3.27 mm), case STS_004 of the collection Soft-tissue-Sarcoma of The Cancer
Imaging Archive: M. Vallieres et al., Physics in Medicine and Biology 60, 5471 (2015),
doi:10.1088/0031-9155/60/14/5471; data doi:10.7937/K9/TCIA.2015.7GO2GSKS; as distributed in
theibsi/data_sets. Creative Commons Attribution 3.0 Unported,
https://creativecommons.org/licenses/by/3.0/. Changed: cropped.
"""


@failing_in_a_sentence()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with the scans")
    parser.add_argument("--out", type=Path, default=Path("Resources/SampleData"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    write_head(args.data, args.out)
    write_hippocampus(args.data, args.out)
    write_thigh(args.data, args.out)


def write_head(data: Path, out: Path) -> None:
    slab = sitk.RegionOfInterest(sitk.ReadImage(str(scan_file(data, HEAD))), SLAB_SIZE, SLAB_START)
    sitk.WriteImage(sitk.Cast(slab, sitk.sitkInt16), str(out / "mr_head_t1.nii.gz"), True)
    thick = sitk.BinShrink(sitk.Cast(slab, sitk.sitkFloat32), (1, 1, 2))
    sitk.WriteImage(thick, str(out / "mr_head_t1_thick.nii.gz"), True)
    (out / "mr_head_t1.LICENSE.txt").write_text(HEAD_LICENCE, encoding="utf-8")


def write_thigh(data: Path, out: Path) -> None:
    block = sitk.RegionOfInterest(
        sitk.ReadImage(str(scan_file(data, THIGH))), THIGH_SIZE, THIGH_START
    )
    sitk.WriteImage(sitk.Cast(block, sitk.sitkInt16), str(out / "ct_thigh.nii.gz"), True)
    (out / "ct_thigh.LICENSE.txt").write_text(THIGH_LICENCE, encoding="utf-8")


def write_hippocampus(data: Path, out: Path) -> None:
    file = f"{HIPPOCAMPUS}.nii.gz"
    image = sitk.ReadImage(str(scan_file(data, f"hippocampus/images/{file}")))
    labels = sitk.ReadImage(str(scan_file(data, f"hippocampus/labels/{file}")))
    sitk.WriteImage(sitk.Cast(image, sitk.sitkInt16), str(out / "hippocampus_t1.nii.gz"), True)
    labels = sitk.Cast(labels, sitk.sitkUInt8)
    sitk.WriteImage(labels, str(out / "hippocampus_t1_labels.nii.gz"), True)
    licence = HIPPOCAMPUS_LICENCE.format(case=HIPPOCAMPUS)
    (out / "hippocampus_t1.LICENSE.txt").write_text(licence, encoding="utf-8")


if __name__ == "__main__":
    main()
