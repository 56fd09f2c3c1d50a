"""Two people read from photos, compared, and kept as files."""
from __future__ import annotations

from .. import public_files as files
from .. import stages
from ..graph import Workflow

TITLE = "Library of people 1: save"
HOW = """
# An identity library, part 1: save

An **identity** is what CapFace needs to know of a person: about 1 MB of numbers a face. Kept as a file, it needs neither the
photo nor the identity networks again.

1. Choose two photos, of two people, or of one.
2. **Compare Identity** says how alike they are: above 0.6 the same person, below 0.4 two people.
3. **Save Identity** and **Save Head** write **first_00001**, **second_00001** into **output/caphuman**.

Then open *identity_library_2_use*. Keep files of people who have agreed to it.
"""


def build(workflow: Workflow) -> None:
    """Describe the graph."""
    stages.explained(workflow, HOW, (files.CLIP_VISION, files.FACENET))
    first = stages.photo(workflow, "First photo", found="First face")
    second = stages.photo(workflow, "Second photo", files.SECOND_SAMPLE, first.detector, "Second face")
    head = stages.fitted(workflow, first)
    who = stages.who(workflow, first)
    other = stages.who(workflow, second, who)
    compared = workflow.node("CapHumanCompareIdentity", identity_a=who.identity, identity_b=other.identity)
    told = workflow.node("PreviewAny", "Are they alike?", source=compared["report"])
    keep = [workflow.node("CapHumanSaveIdentity", f"Save the {name} person", identity=kept.identity,
                          filename_prefix=f"caphuman/{name}") for name, kept in (("first", who), ("second", other))]
    kept_head = workflow.node("CapHumanSaveHead", "Save the first person's head", head=head.head, filename_prefix="caphuman/first")
    workflow.group("1 First photo", stages.PHOTO, *first.columns, *head.columns)
    workflow.group("2 Second photo", stages.PHOTO, *second.columns, below=True)
    workflow.group("3 Identities", stages.IDENTITY, *who.columns, *other.columns)
    workflow.group("4 Compare", stages.EXTRA, [compared], [told], below=True)
    workflow.group("5 Keep", stages.SAMPLE, [*keep, kept_head])
