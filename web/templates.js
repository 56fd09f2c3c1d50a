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
    templates: templates.map((each) => Object.assign({}, each, { mediaType: "image", mediaSubtype: "jpg", tags: ["Portrait"], models: [] })) }];
}

if (listed && indexed) {
  api.getWorkflowTemplates = withoutOurs;
  api.getCoreWorkflowTemplates = withOurs;
}

/** Titles of nodes and labels of their sockets, where they still say what they said in English. */
function translateNodes(nodes = []) {
  for (const node of nodes) {
    if (node.title) node.title = say(node.title);
    translateLabels([...(node.inputs ?? []), ...(node.outputs ?? [])]);
    if (node.type === "MarkdownNote") node.widgets_values = (node.widgets_values ?? []).map(sayText);
  }
}

function translateLabels(sockets) {
  for (const socket of sockets) if (socket.label) socket.label = say(socket.label);
}

function sayText(value) {
  return typeof value === "string" ? sayNote(value) : value;
}

/** Notes, titles and groups of one of our templates. */
function translate(graph) {
  translateNodes(graph.nodes);
  for (const group of graph.groups ?? []) group.title = sayTitle(group.title ?? "");
  for (const part of graph.definitions?.subgraphs ?? []) {
    translateLabels([...(part.inputs ?? []), ...(part.outputs ?? [])]);
    translateNodes(part.nodes);
  }
}

app.registerExtension({
  name: "CapHuman.templates",
  beforeConfigureGraph(graph) {
    if (isTranslated && graph?.extra?.[MARK]) translate(graph);
  },
});
