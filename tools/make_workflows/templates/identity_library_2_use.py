"""Saved people loaded, compared, mixed, and drawn, without a photo."""
from __future__ import annotations

from .. import public_files as files
from .. import stages
from ..graph import Workflow

OUTPUT = "caphuman/{}_00001.{}.safetensors [output]"
TITLE = "Library of people 2: use"
HOW = """
# An identity library, part 2: use

Run *identity_library_1_save* first; it writes the files that are loaded here. After saving more, press **R** to refresh the lists.

1. **Load Identity** twice, and **Load Head** for the pose.
2. **Combine Identities** mixes them: *weight* 0 is all the first, 1 all the second. Two photos of *one* person mixed half and half
give a steadier likeness.
3. **Compare Identity** tells how far the mix is from the first.

No photo and no identity network is needed any more.
"""


def build(workflow: Workflow) -> None:
    """Describe the graph."""
    stages.explained(workflow, HOW, (files.CHECKPOINT, files.CAPFACE))
    first, second = (workflow.node("CapHumanLoadIdentity", f"Load the {name} person", name=OUTPUT.format(name, "identity"))
                     for name in ("first", "second"))
    mixed = workflow.node("CapHumanCombineIdentities", identity_a=first, identity_b=second, weight=0.3)
    compared = workflow.node("CapHumanCompareIdentity", identity_a=first, identity_b=mixed)
    told = workflow.node("PreviewAny", "How much of the first is left?", source=compared["report"])
    head = workflow.node("CapHumanLoadHead", "Load the first person's head", name=OUTPUT.format("first", "head"))
    model = workflow.node("CapHumanLoadHeadModel")
    drawn = stages.drawn(workflow, head, model, pictures=False)
    shaded = workflow.node("PreviewImage", "Shaded", images=drawn.render["shaded"])
    said = stages.prompt(workflow, "a photo of a person in a library, warm light, detailed face, 50mm")
    network = workflow.node("CapHumanLoadCapFace", capface_name=files.CAPFACE)
    apply = stages.capface(workflow, said, mixed, drawn.render, network)
    picture = stages.sampled(workflow, said, apply, stages.empty(workflow), "identity_library")
    workflow.group("1 Saved people", stages.IDENTITY, [first, second], [mixed, compared, told])
    workflow.group("2 Saved head", stages.HEAD, [head, model], [drawn.render, shaded], below=True)
    workflow.group("3 Prompt and networks", stages.PROMPT, [*said.columns[0], network], said.columns[1])
    workflow.group("4 CapFace and sampling", stages.SAMPLE, [apply], *picture.columns, below=True)
