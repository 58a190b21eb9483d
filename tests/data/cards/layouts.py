"""Miniature folders in the true layouts of the public data sets: names, columns and formats, invented content.

Each maker takes films as (patient, part) with a whole number and "train" or "test", and writes as many images.
"""

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

import pedclip.data
from pedclip.data.cards import read_card
from pedclip.triplets.splits import SPLITS

HEIGHT, WIDTH = 24, 20
Film = tuple[int, str]
CHEXPERT = read_card("chexpert").labels


@cache
def png(seed: int = 0) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


@cache
def jpeg(seed: int = 0) -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(png(seed))).save(file, "JPEG")
    return file.getvalue()


@cache
def dicom(patient: str = "", age: str = "") -> bytes:
    data = pydicom.Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.SOPClassUID, data.SOPInstanceUID = SecondaryCaptureImageStorage, data.file_meta.MediaStorageSOPInstanceUID
    data.PatientID, data.PatientSex, data.ViewPosition = patient, "F", "PA"
    data.add(pydicom.DataElement("PatientAge", "AS", age, validation_mode=pydicom.config.IGNORE))
    data.Rows, data.Columns, data.SamplesPerPixel, data.PhotometricInterpretation = HEIGHT, WIDTH, 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation = 7, 0
    data.PixelData = np.asarray(Image.open(io.BytesIO(png()))).tobytes()
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def put_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows] if header else rows)
    put(path, gzip.compress(text.getvalue().encode()) if path.suffix == ".gz" else text.getvalue().encode())


def voc_file(path: Path, label: str, corners: tuple[object, object, object, object]) -> None:
    sides = "".join(f"<{n}>{v}</{n}>" for n, v in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True))
    item = f"<object><name>{label}</name><bndbox>{sides}</bndbox></object>"
    put(path, f"<annotation><filename>{path.stem}.png</filename>{item}</annotation>".encode())


def of_part(films: Sequence[Film], part: str) -> list[tuple[int, int]]:
    """Number and patient of the films of a part."""
    return [(number, patient) for number, (patient, name) in enumerate(films) if name == part]


def grazpedwri_dx(root: Path, films: Sequence[Film]) -> None:
    header = (
        "filestem,patient_id,study_number,timehash,gender,age,laterality,projection,initial_exam,ao_classification,"
        "cast,diagnosis_uncertain,osteopenia,fracture_visible,metal,pixel_spacing,device_manufacturer"
    ).split(",")
    rows = []
    for number, (patient, _) in enumerate(films):
        stem = f"{patient:04d}_{number:010d}_01_WRI-L1_F010"
        fracture = "1" if number % 2 else ""
        rows.append([stem, patient, 1, number, "F", 10.5, "L", 1, 1, "", "", "", "", fracture, "", 0.144, "Agfa"])
        put(root / f"images_part{number % 4 + 1}" / f"{stem}.png", png())
        lines = "3 0.5 0.5 0.25 0.5\n8 0.1 0.1 0.1 0.1\n" if number % 2 else "8 0.1 0.1 0.1 0.1\n"
        put(root / "folder_structure" / "yolov5" / "labels" / f"{stem}.txt", lines.encode())
    put_table(root / "dataset.csv", header, rows)


def pedi_cxr(root: Path, films: Sequence[Film]) -> None:
    labels = read_card("pedi-cxr").labels
    corners, box = ["x_min", "y_min", "x_max", "y_max"], ["Lung hyperinflation", 2, 3, 10, 12]
    for part in ("train", "test"):
        names, boxes = [], []
        for number, _ in of_part(films, part):
            name, found = f"{number:032x}", labels[number % len(labels)]
            names.append([name, "R1", *("1.0" if label == found else "0.0" for label in labels)])
            boxes.append([name, "R1", "No finding", "", "", "", ""] if number == 0 else [name, "R1", *box])
            put(root / part / f"{name}.dicom", dicom(age="004Y"))
        (root / part).mkdir(parents=True, exist_ok=True)
        put_table(root / f"image_labels_{part}.csv", ["image_id", "rad_ID", *labels], names)
        put_table(root / f"annotations_{part}.csv", ["image_id", "rad_ID", "class_name", *corners], boxes)


def rsna_bone_age(root: Path, films: Sequence[Film]) -> None:
    train, test = of_part(films, "train"), of_part(films, "test")
    put_table(
        root / "boneage-training-dataset.csv",
        ["id", "boneage", "male"],
        [[1000 + number, 12 + number, bool(number % 2)] for number, _ in train],
    )
    put_table(root / "Validation Dataset.csv", ["Image ID", "male", "Bone Age (months)"], [[500, "TRUE", 180]])
    put_table(
        root / "Bone age ground truth.csv",
        ["Case ID", "Sex", "Ground truth bone age (months)"],
        [[4000 + number, "M", 66.4] for number, _ in test],
    )
    for number, _ in train:
        put(root / "boneage-training-dataset" / f"{1000 + number}.png", png())
    for number, _ in test:
        put(root / "boneage-test-dataset" / "boneage-test-dataset" / f"{4000 + number}.png", png())
    put(root / "boneage-validation-dataset-1" / "500.png", png())


def mimic_cxr(root: Path, films: Sequence[Film]) -> None:
    name, split, views, labels = "mimic-cxr-2.0.0", [], [], []
    for number, (patient, part) in enumerate(films):
        subject, study, image = f"1{patient:07d}", f"5{number:07d}", f"{number:08x}-aaaa"
        split.append([image, study, subject, part])
        views.append([image, subject, study, "CHEST (PA AND LAT)", "LATERAL" if number % 2 else "PA"])
        edema = "1.0" if number % 4 < 2 else "0.0"
        labels.append([subject, study, *(edema if label == "Edema" else "" for label in CHEXPERT)])
        folder = root / "files" / f"p{subject[:2]}" / f"p{subject}"
        put(folder / f"s{study}" / f"{image}.jpg", jpeg())
        if number % 3:
            report = f"INDICATION: Cough.\n\nFINDINGS: Small effusion {number} mm.\n\nIMPRESSION: Effusion."
            put(folder / f"s{study}.txt", report.encode())
    columns = ["subject_id", "study_id"]
    put_table(root / f"{name}-split.csv.gz", ["dicom_id", "study_id", "subject_id", "split"], split)
    header = ["dicom_id", *columns, "PerformedProcedureStepDescription", "ViewPosition"]
    put_table(root / f"{name}-metadata.csv.gz", header, views)
    put_table(root / f"{name}-chexpert.csv.gz", [*columns, *CHEXPERT], labels)


def chexpert(root: Path, films: Sequence[Film]) -> None:
    header = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *CHEXPERT]
    for part, folder in (("train", "train"), ("test", "valid")):
        rows = []
        for number, patient in of_part(films, part):
            inner = f"{folder}/patient{patient:05d}/study{number + 1}/view1_frontal.jpg"
            values = {"Edema": ("0.0", "1.0", "-1.0")[number % 3], "Pneumonia": "-1.0", "Fracture": "0.0"}
            rows.append(
                [f"CheXpert-v1.0-small/{inner}", "Male", 68, "Frontal", "AP", *(values.get(x, "") for x in CHEXPERT)]
            )
            put(root / inner, jpeg())
        put_table(root / f"{folder}.csv", header, rows)


def nih_chestxray14(root: Path, films: Sequence[Film]) -> None:
    header = (
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
    ).split(",")
    names = [f"{patient:08d}_{number:03d}.png" for number, (patient, _) in enumerate(films)]
    rows = []
    for number, (patient, _) in enumerate(films):
        found = "No Finding" if number % 2 else "Effusion|Pleural_Thickening"
        rows.append([names[number], found, number, patient, "017", "F", "PA", 2000, 2400, 0.14, 0.14])
        put(root / f"images_{number % 12 + 1:03d}" / "images" / names[number], png())
    put_table(root / "Data_Entry_2017_v2020.csv", header, rows)
    for part, file in (("train", "train_val_list.txt"), ("test", "test_list.txt")):
        put(root / file, "".join(f"{names[number]}\n" for number, _ in of_part(films, part)).encode())
    boxes = ["Image Index", "Finding Label", "Bbox [x", "y", "w", "h]", "", "", ""]
    put_table(root / "BBox_List_2017.csv", boxes, [[names[0], "Infiltrate", 2.5, 3, 10, 11.5, "", "", ""]])


def rsna_pneumonia(root: Path, films: Sequence[Film]) -> None:
    labels, classes, mapping = [], [], []
    for number, (patient, _) in enumerate(films):
        name = f"{number:08x}-dddd"
        if number % 2:
            labels += [[name, 2.0, 3.0, 5.0, 6.0, 1], [name, 10.0, 3.0, 5.0, 6.0, 1]]
        else:
            labels.append([name, "", "", "", "", 0])
        classes.append([name, "Lung Opacity" if number % 2 else "No Lung Opacity / Not Normal"])
        mapping.append({"subset_img_id": name, "img_id": f"{patient:08d}_{number:03d}.png"})
        put(root / "stage_2_train_images" / f"{name}.dcm", dicom(patient=name, age="40"))
    put_table(root / "stage_2_train_labels.csv", ["patientId", "x", "y", "width", "height", "Target"], labels)
    put_table(root / "stage_2_detailed_class_info.csv", ["patientId", "class"], classes)
    put(root / "pneumonia-challenge-dataset-mappings_2018.json", json.dumps(mapping).encode())


def siim_acr_pneumothorax(root: Path, films: Sequence[Film]) -> None:
    rows = []
    for number, (patient, _) in enumerate(films):
        name = f"1.2.276.0.7230010.3.1.4.8323329.{number}.1517875160.1"
        # Two masks: pixels 2 and 3 of the first column, and the first pixel of the second.
        rows += [[name, f" 2 2 {HEIGHT} 1"], [name, f"{HEIGHT} 1"]] if number % 2 else [[name, " -1"]]
        put(root / "dicom-images-train" / f"{name}.0" / f"{name}.1" / f"{name}.dcm", dicom(patient=f"p{patient}"))
    put_table(root / "train-rle.csv", ["ImageId", " EncodedPixels"], rows)


def covidx(root: Path, films: Sequence[Film]) -> None:
    for part in ("train", "test"):
        lines = []
        for number, patient in of_part(films, part):
            label = ("normal", "pneumonia", "COVID-19")[number % 3]
            lines.append(f"{patient} {number}.png {label} {'rsna' if number % 3 < 2 else 'cohen'}\n")
            put(root / part / f"{number}.png", png())
        put(root / f"{part}.txt", "".join(lines).encode())


def object_cxr(root: Path, films: Sequence[Film]) -> None:
    for part, folder in (("train", "train"), ("test", "dev")):
        rows = []
        for number, _ in of_part(films, part):
            name = f"{number:05d}.jpg"
            rows.append([name, "0 2 3 8 9;1 10 3 16 9;2 4 12 8 12 6 18" if number % 2 else ""])
            put(root / folder / name, jpeg())
        put_table(root / f"{folder}.csv", ["image_name", "annotation"], rows)


def radimagenet(root: Path, films: Sequence[Film]) -> None:
    tables: dict[str, list[list[str]]] = {"train": [], "val": [], "test": []}
    for number, (_, part) in enumerate(films):
        folder = ("MR/knee/acl_pathology", "CT/abd/bowel_abnormality")[number % 2]
        name = f"radiology_ai/{folder}/image{number:06d}.png"
        tables[part].append([name, folder.split("/")[2]])
        put(root / name, png())
    for part, rows in tables.items():
        put_table(root / f"RadiologyAI_{part}.csv", ["filename", "label"], rows)


def roco(root: Path, films: Sequence[Film]) -> None:
    for part in ("train", "validation", "test"):
        captions, licences = [], []
        for number, patient in of_part(films, part):
            name = f"ROCO_{number:05d}"
            captions.append(f'{name}\t Lateral radiograph of the knee with an effusion, "case" {number}.\n')
            licences.append(f"{name},PMC{patient}_fig-{number}.jpg,CC BY\n")
            put(root / "data" / part / "radiology" / "images" / f"{name}.jpg", jpeg())
        put(root / "data" / part / "radiology" / "captions.txt", "".join(captions).encode())
        put(root / "data" / part / "radiology" / "licences.txt", "".join(licences).encode())


def mura(root: Path, films: Sequence[Film]) -> None:
    for part, folder in (("train", "train"), ("test", "valid")):
        paths, studies = [], []
        for number, patient in of_part(films, part):
            label = ("negative", "positive")[number % 2]
            study = f"{folder}/XR_{('ELBOW', 'FINGER', 'WRIST')[number % 3]}/patient{patient:05d}/study{number}_{label}"
            paths.append([f"MURA-v1.1/{study}/image1.png"])
            studies.append([f"MURA-v1.1/{study}/", number % 2])
            put(root / study / "image1.png", png())
        put_table(root / f"{folder}_image_paths.csv", [], paths)
        put_table(root / f"{folder}_labeled_studies.csv", [], studies)


def chd_cxr(root: Path, films: Sequence[Film]) -> None:
    for number, (patient, part) in enumerate(films):
        folder = ("ASD", "VSD", "PDA", "NORMAL")[number % 4]
        put(root / part / folder / f"{number}.dcm", dicom(patient=f"p{patient}", age="018M"))


LAYOUTS: dict[str, Callable[[Path, Sequence[Film]], None]] = {
    "chd-cxr": chd_cxr,
    "chexpert": chexpert,
    "covidx": covidx,
    "grazpedwri-dx": grazpedwri_dx,
    "mimic-cxr": mimic_cxr,
    "mura": mura,
    "nih-chestxray14": nih_chestxray14,
    "object-cxr": object_cxr,
    "pedi-cxr": pedi_cxr,
    "radimagenet": radimagenet,
    "roco": roco,
    "rsna-bone-age": rsna_bone_age,
    "rsna-pneumonia": rsna_pneumonia,
    "siim-acr-pneumothorax": siim_acr_pneumothorax,
}
FILMS: list[Film] = [(number % 6, "test" if number % 6 >= 4 else "train") for number in range(12)]


def load_listed(name: str, root: Path) -> tuple[int, list[list[str]]]:
    """Number of triplets, and file, row and detail of what was left out."""
    data = pedclip.data.load(name, root=root, left_out=root.parent / "left_out.csv")
    with (root.parent / "left_out.csv").open() as file:
        rows = list(csv.reader(file))[1:]
    assert {row[0] for row in rows} <= {name}
    return sum(len(data[split]) for split in SPLITS), [[row[1], row[2], row[4]] for row in rows]
