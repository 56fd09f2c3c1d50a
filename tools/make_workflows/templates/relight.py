"""The same head in its own light and in a new one."""
from __future__ import annotations

from .. import public_files as files
from .. import stages
from ..graph import Workflow

TITLE = "New light"
HOW = """
# New light

**Relight Head** replaces the photo's light by one soft distant light and light from all around.

- *azimuth*: 0 from the viewer, 90 from the right, -90 from the left
- *elevation*: positive from above
- *intensity* 0.6 is soft daylight, 1.5 is hard
- *ambient*: with little of it shadows are deep
- *colour*: of the light

The two pictures are made with one seed, so what differs is the light. Keep words about light out of the prompt, or let them say
the same.
"""


def build(workflow: Workflow) -> None:
    """Describe the graph."""
    stages.explained(workflow, HOW, files.BASIC)
    photo = stages.photo(workflow)
    head = stages.fitted(workflow, photo)
    relit = workflow.node("CapHumanRelightHead", head=head.head, azimuth=75.0, elevation=20.0, intensity=1.4, ambient=0.25,
                          colour="#ffb46b")
    who = stages.who(workflow, photo)
    said = stages.prompt(workflow, "a photo of a person in a dark room, detailed face, 50mm")
    network = workflow.node("CapHumanLoadCapFace", capface_name=files.CAPFACE)
    latent = stages.empty(workflow)
    workflow.group("1 Photo and face", stages.PHOTO, *photo.columns, *head.columns)
    workflow.group("2 Identity", stages.IDENTITY, *who.columns, below=True)
    workflow.group("3 Prompt and networks", stages.PROMPT, [*said.columns[0], network], [*said.columns[1], latent])
    for title, name, lit, before, below in (
            ("4 As the photo is lit", "its_own_light", head.head, [], False), ("5 Relit", "relit", relit, [relit], True)):
        drawn = stages.drawn(workflow, lit, head.model, pictures=False)
        shaded = workflow.node("PreviewImage", "Shaded", images=drawn.render["shaded"])
        apply = stages.capface(workflow, said, who.identity, drawn.render, network)
        picture = stages.sampled(workflow, said, apply, latent, f"relight_{name}")
        workflow.group(title, stages.SAMPLE, [*before, drawn.render, shaded], [apply], *_without(latent, picture.columns),
                       below=below)


def _without(node: object, columns: list) -> list:
    return [[each for each in column if each is not node] for column in columns]
