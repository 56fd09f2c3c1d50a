"""What a page still holds after its garbage collector ran: counted by the browser itself, not by the code under test."""
from __future__ import annotations

import json
from itertools import pairwise

from frontend import Frontend

ROOT = 0                                                    # the snapshot's first node


class Heap:
    """Living JavaScript objects of one page."""

    def __init__(self, page: Frontend) -> None:
        self._session = page.context.new_cdp_session(page.page)

    def count(self, prototype: str) -> int:
        """How many objects have the prototype that a JavaScript expression (it may await) gives, after a collection."""
        found = self._session.send("Runtime.evaluate", {"expression": prototype, "awaitPromise": True, "replMode": True,
                                                        "objectGroup": "heap"})
        assert "exceptionDetails" not in found, found
        objects = self._session.send("Runtime.queryObjects", {"prototypeObjectId": found["result"]["objectId"],
                                                              "objectGroup": "heap"})
        count = self._session.send("Runtime.callFunctionOn", {"functionDeclaration": "function () { return this.length }",
                                                              "objectId": objects["objects"]["objectId"], "returnByValue": True})
        self._session.send("Runtime.releaseObjectGroup", {"objectGroup": "heap"})
        return count["result"]["value"]

    def listeners(self) -> int:
        """Event listeners of the page's living nodes, after a collection."""
        self._session.send("HeapProfiler.collectGarbage")
        return self._session.send("Memory.getDOMCounters")["jsEventListeners"]

    def holders(self, name: str) -> str:
        """What keeps each object of a class alive: its shortest way from the page's roots, one line each."""
        chunks: list[str] = []
        self._session.on("HeapProfiler.addHeapSnapshotChunk", lambda event: chunks.append(event["chunk"]))
        self._session.send("HeapProfiler.takeHeapSnapshot")
        return "\n".join(Snapshot(json.loads("".join(chunks))).ways_to(name))


class Snapshot:
    """A heap as DevTools saves it: flat lists of fields of nodes and of edges."""

    def __init__(self, saved: dict) -> None:
        meta = saved["snapshot"]["meta"]
        self._strings, nodes, edges = saved["strings"], saved["nodes"], saved["edges"]
        fields, edge_fields = meta["node_fields"], meta["edge_fields"]
        self._kinds = meta["edge_types"][0]
        wide, edge_wide = len(fields), len(edge_fields)
        self._names = nodes[fields.index("name")::wide]
        self._edge_kinds = edges[edge_fields.index("type")::edge_wide]
        self._labels = edges[edge_fields.index("name_or_index")::edge_wide]
        self._ends = [end // wide for end in edges[edge_fields.index("to_node")::edge_wide]]
        counts = nodes[fields.index("edge_count")::wide]
        starts = [0]
        for count in counts:
            starts.append(starts[-1] + count)
        self._spans = list(pairwise(starts))

    def ways_to(self, name: str) -> list[str]:
        came = self._search()
        return [self._way(node, came) for node in came if self._strings[self._names[node]] == name]

    def _search(self) -> dict[int, tuple[int, int]]:
        """Node -> (the one before it, the edge between) on a shortest way from the root along edges that hold."""
        came, wave = {ROOT: (ROOT, -1)}, [ROOT]
        while wave:
            following = []
            for node in wave:
                for edge in range(*self._spans[node]):
                    end = self._ends[edge]
                    if end not in came and self._kinds[self._edge_kinds[edge]] != "weak":
                        came[end] = node, edge
                        following.append(end)
            wave = following
        return came

    def _way(self, node: int, came: dict[int, tuple[int, int]]) -> str:
        steps = []
        while node != ROOT:
            before, edge = came[node]
            label = self._labels[edge]
            named = self._kinds[self._edge_kinds[edge]] in {"property", "context", "internal", "shortcut"}
            steps.append(f"{self._strings[label] if named else label}: {self._strings[self._names[node]][:60]}")
            node = before
        return " < ".join(steps)
