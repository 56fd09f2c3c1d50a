"""What named expressions may ask for together: actions add up, but a face does not fold over itself.

Of several at once an action goes no farther than the expression that asks most for it (or than its full amount), and neither does a
part of the face that different actions pull at, such as the skin around an eye: all of them are then done by less. A blink closes
what the others have left open of the eye, and lips that meet do not cross. One expression alone is left as it is.
"""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

Amounts = Mapping[str, float]                    # ARKit action -> amount, 1 full; JAW too
JAW = "jaw"                                      # in a list of actions: the jaw's turn, 1 the widest that a named expression has
JAW_DEGREES = 18.0
SIDES = ("Left", "Right")
WHOLE = ("cheekPuff", "mouthPucker", "mouthFunnel", "mouthLeft", "mouthRight", "mouthShrugLower", "mouthRollLower", "jawLeft",
         "jawRight", "jawForward", JAW)            # actions without sides


class Part(NamedTuple):
    """Actions that pull at the same skin, each with its share, and how much of them together it can take."""

    shares: Mapping[str, float]
    most: float


# Found on the built-in head: of 500 mixtures at full strength none folds the face's skin, but for the edges of closed lids.
PARTS = (Part({"eyeSquint": 1, "cheekSquint": 1, "browDown": 0.5, "noseSneer": 0.25, "mouthSmile": 0.25}, 1.5),
         Part({"eyeWide": 1, "browDown": 1}, 1.5),
         Part({"noseSneer": 1, "mouthUpperUp": 0.7, "browDown": 0.5}, 2.2),
         Part({"mouthSmile": 1, "cheekSquint": 0.5, "noseSneer": 0.5, "cheekPuff": 0.5, "mouthStretch": 0.4, "mouthLeft": 0.4,
               "mouthRight": 0.4, "mouthUpperUp": 0.3, "jawLeft": 0.3, "jawRight": 0.3, JAW: 0.2}, 1.4),
         Part({"cheekPuff": 1, JAW: 0.7, "jawLeft": 0.5, "jawRight": 0.5, "mouthStretch": 0.5, "mouthPucker": 0.3,
               "mouthFrown": 0.3}, 1.3))
# How far each action closes an eye, of a blink's way.
CLOSING = {"eyeSquint": 0.37, "cheekSquint": 0.11, "browDown": 0.09, "mouthSmile": 0.02}
# How far each action presses the lips together (below 0: opens them) in their middle, in millimetres.
PRESSING = {"mouthSmile": 0.76, "mouthLeft": 0.95, "mouthRight": 0.95, "mouthShrugLower": 0.9, "mouthRollLower": 0.8,
            "mouthPress": 0.6, "cheekPuff": 0.5, "mouthPucker": 0.4, "jawLeft": 0.2, "jawRight": 0.2, "jawForward": -1.3,
            "mouthLowerDown": -1.8, "mouthUpperUp": -2.3, "mouthFunnel": -8.0, JAW: -33.0}
PRESSED = 0.25                                   # millimetres that they may be
GIVES_WAY = "mouthLowerDown"                     # of both sides


def within_limits(asked: Sequence[Amounts]) -> dict[str, float]:
    """What is done of the actions that expressions ask for, each with its amount in it."""
    done: dict[str, float] = defaultdict(float)
    for one in asked:
        for action, amount in one.items():
            done[action] += amount
    if len(asked) > 1:
        for action, total in done.items():
            done[action] = min(total, max(1.0, *(one.get(action, 0.0) for one in asked)))
        _share(done, asked)
        _close(done)
        _meet(done)
    return dict(done)


def _share(done: dict[str, float], asked: Sequence[Amounts]) -> None:
    """Parts of the face, in place; an action of several parts heeds the strictest."""
    factors: dict[str, float] = {}
    for shares, most in PARTS:
        for side in SIDES:
            part = {_of(name, side): share for name, share in shares.items()}
            allowed, pull = max(most, *(_pull(part, one) for one in asked)), _pull(part, done)
            if pull > allowed:
                factors |= {action: min(factors.get(action, 1.0), allowed / pull) for action in part if done.get(action, 0.0) > 0}
    for action, factor in factors.items():
        done[action] *= factor


def _close(done: dict[str, float]) -> None:
    """Lids, in place."""
    for side in SIDES:
        blink, others = f"eyeBlink{side}", _pull({_of(name, side): share for name, share in CLOSING.items()}, done)
        if 0 < done.get(blink, 0.0) <= 1:
            done[blink] = min(done[blink], max(1 - others, 0.0))


def _meet(done: dict[str, float]) -> None:
    """Lips, in place."""
    pressing = {_of(name, side): share for name, share in PRESSING.items() for side in SIDES}
    pressed = sum(share * done.get(action, 0.0) for action, share in pressing.items())
    if pressed > PRESSED:
        for side in SIDES:
            done[_of(GIVES_WAY, side)] += (pressed - PRESSED) / (-2 * PRESSING[GIVES_WAY])


def _pull(part: Mapping[str, float], amounts: Amounts) -> float:
    return sum(share * max(0.0, amounts.get(action, 0.0)) for action, share in part.items())


def _of(name: str, side: str) -> str:
    """The action of this side; itself where it has none."""
    return name if name in WHOLE else name + side
