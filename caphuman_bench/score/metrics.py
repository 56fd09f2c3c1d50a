"""Every number the tool reports: its name, unit, which way is better and what exactly it is."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """better: +1 larger, -1 smaller, 0 neither. group: the part of scoring that makes it (run.GROUPS)."""

    name: str
    title: str
    better: int
    group: str
    what: str
    unit: str = ""


def _identity(key: str, title: str, what: str, unit: str) -> tuple[Metric, Metric]:
    return (Metric(f"identity_{key}", f"Identity ({title})", 1, key, what, unit),
            Metric(f"copy_paste_{key}", f"Copy-paste ({title})", -1, key,
                   f"{title} similarity to the reference photo minus the mean similarity to the person's other photos. Near 0: "
                   "like the person, not like this photo of all; above 0: the photo itself comes through; below 0: another of the "
                   "photos is nearer. Missing for people with one photo."))


METRICS = (
    Metric("face_found", "Face found", 1, "face",
           "1 if the detector finds a face in the image, else 0; the mean is the rate.", "0..1"),
    *_identity("facenet", "FaceNet", "Cosine of FaceNet embeddings (VGGFace2) of image and reference photo; the network that "
               "CapHuman itself is given.", "-1..1"),
    *_identity("arcface", "ArcFace", "Cosine of ArcFace embeddings (insightface) of image and reference photo; a judge that the "
               "model never saw.", "-1..1"),
    *_identity("dlib", "dlib", "1 minus the distance of dlib's embeddings of image and reference photo; dlib calls above 0.4 the "
               "same person.", "up to 1"),
    Metric("clip_score", "CLIP score", 1, "clip",
           "Cosine of CLIP's embeddings of the image and of its prompt; some tables print it times 100.", "-1..1"),
    Metric("prompt_accuracy", "Prompt accuracy", 1, "clip",
           "1 if CLIP gives the image's own prompt a higher cosine than every other prompt of the plan, else 0. Chance: one over "
           "the number of prompts.", "0..1"),
    Metric("phrase_accuracy", "Phrase accuracy", 1, "clip",
           "Share of the prompt's phrases p for which 'a photo of a person, p' has a higher cosine than the same sentence with any "
           "phrase of the other prompts of its kind.", "0..1"),
    Metric("shape_rmse", "Shape RMSE", -1, "control",
           "Root mean square difference of the shape codes of the reference photo's head and the image's, in the model's units."),
    Metric("pose_rmse", "Pose RMSE", -1, "control",
           "Root mean square difference of asked and obtained pose codes: rotation and jaw as axis-angle, 6 numbers.", "radians"),
    Metric("expression_rmse", "Expression RMSE", -1, "control",
           "Root mean square difference of asked and obtained expression codes, in the model's units."),
    Metric("light_rmse", "Light RMSE", -1, "control",
           "Root mean square difference of asked and obtained light: 27 spherical harmonic coefficients."),
    Metric("head_angle", "Head angle", -1, "control", "Angle between the asked and the obtained rotation of the head.", "degrees"),
)
BY_NAME = {metric.name: metric for metric in METRICS}
GROUPS = tuple(dict.fromkeys(metric.group for metric in METRICS))


def names_of(group: str) -> tuple[str, ...]:
    """Metrics that a group of scoring makes."""
    return tuple(metric.name for metric in METRICS if metric.group == group)
