"""What a page still holds after its garbage collector ran: counted by the browser itself, not by the code under test."""
from __future__ import annotations

from frontend import Frontend


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
