// What a node of the pack has to say about a run that went well: one sentence, shown as it comes.
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { sayPhrase } from "./language.js";

const LIFE_MS = 12000;

app.registerExtension({
  name: "CapHuman.notes",
  setup() {
    api.addEventListener("executed", ({ detail }) => {
      const title = app.graph?.getNodeById?.(detail?.node)?.title ?? "CapHuman";
      for (const note of detail?.output?.caphuman_note ?? []) {
        app.extensionManager?.toast?.add?.({ severity: "warn", summary: title, detail: sayPhrase(note), life: LIFE_MS });
      }
    });
  },
});
