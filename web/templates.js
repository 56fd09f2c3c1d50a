/**
 * The pack's templates in the frontend's dialog: "Start here" first, titles and sentences of people, in the frontend's language.
 *
 * The frontend reads an index (order, title, description) for its own templates only; of a pack it asks file names, in whatever order
 * the disk gives them. So ours are told in the form of its own index. Where a frontend asks differently it lists the file names.
 */
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { isTranslated, locale, say, sayNote, sayTitle, wordsOf } from "./language.js";

const PACK = decodeURIComponent(new URL(".", import.meta.url).pathname.split("/").at(-2));      // /extensions/<folder of the pack>/
const MARK = "caphuman";                 // in a workflow's `extra`: the template it was made from

const listed = api.getWorkflowTemplates, indexed = api.getCoreWorkflowTemplates;

async function ours(language, files) {
  const { templates = [] } = await wordsOf(language);
  return templates.filter(({ name }) => files.includes(name));
}

let files = [];                          // names of our files, as the server lists them

async function withoutOurs(...args) {
  const packs = await listed.apply(api, args);
  const known = await ours("en", packs?.[PACK] ?? []);
  files = known.map(({ name }) => name);
  const rest = (packs?.[PACK] ?? []).filter((name) => !files.includes(name));
  const { [PACK]: _, ...others } = packs ?? {};
  return rest.length > 0 ? { ...others, [PACK]: rest } : others;
}

async function withOurs(language, ...rest) {
  const index = await indexed.call(api, language, ...rest);
  if (!Array.isArray(index) || files.length === 0) return index;
  const templates = await ours(language ?? locale(), files);
  return [...index, { moduleName: PACK, title: "CapHuman", type: "image",
    templates: templates.map((each) => ({ ...each, mediaType: "image", mediaSubtype: "jpg", tags: ["Portrait"], models: [] })) }];
}

if (listed && indexed) {
  api.getWorkflowTemplates = withoutOurs;
  api.getCoreWorkflowTemplates = withOurs;
}

/** Notes, titles and groups of one of our templates, where they still say what they said in English. */
function translate(graph) {
  for (const node of graph.nodes ?? []) {
    if (node.title) node.title = say(node.title);
    if (node.type === "MarkdownNote") node.widgets_values = (node.widgets_values ?? []).map((text) => (typeof text === "string" ? sayNote(text) : text));
  }
  for (const group of graph.groups ?? []) group.title = sayTitle(group.title ?? "");
  for (const part of graph.definitions?.subgraphs ?? []) {
    for (const end of [...(part.inputs ?? []), ...(part.outputs ?? [])]) if (end.label) end.label = say(end.label);
    for (const node of part.nodes ?? []) if (node.title) node.title = say(node.title);
  }
  for (const node of graph.nodes ?? []) {
    for (const socket of [...(node.inputs ?? []), ...(node.outputs ?? [])]) if (socket.label) socket.label = say(socket.label);
  }
}

app.registerExtension({
  name: "CapHuman.templates",
  beforeConfigureGraph(graph) {
    if (isTranslated && graph?.extra?.[MARK]) translate(graph);
  },
});
