// ComfyUI keeps what a node's error says behind "View details"; our errors are one sentence, so show it at once.
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { sayError } from "./language.js";

const OURS = /\.caphuman_core\.check\.InputError$/;
const LIFE_MS = 20000;

app.registerExtension({
  name: "CapHuman.errors",
  setup() {
    api.addEventListener("execution_error", ({ detail }) => {
      if (!OURS.test(detail?.exception_type ?? "")) return;
      const title = app.graph?.getNodeById?.(detail.node_id)?.title ?? detail.node_type;
      app.extensionManager?.toast?.add?.({ severity: "error", summary: title, detail: sayError((detail.exception_message ?? "").trim()), life: LIFE_MS });
    });
  },
});
