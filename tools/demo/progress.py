"""The demo's progress bar."""
from __future__ import annotations

import sys
from typing import Any

from ..devkit import terminal
from ..devkit.places import say
from .client import Prompt

WEIGHT = {"KSampler": 12.0}                 # of a node in the overall bar; others count 1


class Bar:
    """A progress bar fed by the server's messages; without a terminal, a line for each node that starts."""

    def __init__(self, prompt: Prompt) -> None:
        self.prompt = prompt
        self.live = sys.stdout.isatty()
        self.started: set[str] = set()
        self.done: set[str] = set()

    def __call__(self, kind: str, data: dict[str, Any]) -> None:
        """Take one message."""
        if kind == "execution_cached":
            self.done.update(data.get("nodes", []))
        elif kind == "progress_state":
            self.show(data["nodes"])

    def show(self, nodes: dict[str, Any]) -> None:
        """Draw the state of every node that has started."""
        total = sum(map(self.weight, self.prompt))
        share = sum(self.weight(node) for node in self.done if node in self.prompt)
        running = ""
        for node, state in nodes.items():
            if node in self.done:
                continue
            part = state["value"] / state["max"] if state["max"] else 0.0
            share += self.weight(node) * (1.0 if state["state"] == "finished" else part)
            if state["state"] == "running":
                running = self.title(node) + (f" {state['value']:.0f}/{state['max']:.0f}" if state["max"] > 1 else "")
                if node not in self.started and not self.live:
                    say(f"  {self.percent(share, total)} {running}")
                self.started.add(node)
        if self.live:
            filled = round(30 * share / total)
            terminal.rewrite(f"[{'#' * filled}{'.' * (30 - filled)}] {self.percent(share, total)} {running}")

    @staticmethod
    def percent(share: float, total: float) -> str:
        """As three figures and a sign."""
        return f"{100 * min(share / total, 1):3.0f}%"

    def weight(self, node: str) -> float:
        """How much of the bar is this node's."""
        return WEIGHT.get(self.prompt.get(node, {}).get("class_type", ""), 1.0)

    def title(self, node: str) -> str:
        """What the user calls the node."""
        entry = self.prompt.get(node, {})
        return entry.get("_meta", {}).get("title") or entry.get("class_type", node)

    def close(self) -> None:
        """Leave the terminal's line empty."""
        if self.live:
            terminal.rewrite("")
