"use strict";
// Cells are drawn only where the window shows them, so that ten thousand are as quick as ten.
// Names and classes are put into the page as text, never as markup.

const TILE = { width: 116, height: 142 };
const KEYS = "1234567890abcdefghijklopqrstuvwxyz"; // without m and n, which do something else
const POLL = 2000;

const get = (id) => document.getElementById(id);
const grid = get("grid"), space = get("space"), detail = get("detail");

let cells = null; // what the server says of all images
let order = []; // indices of the images that are shown
let at = 0; // position of the selected image in `order`
let columns = 1;
let training = { state: "none" };
let mapWanted = false;
const tiles = new Map(); // position -> element
const undone = JSON.parse(sessionStorage.getItem("undo") || "[]");

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function say(text, good = false) {
  get("message").textContent = text;
  get("message").className = good ? "good" : "";
}

async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  let reply;
  try {
    reply = await fetch(path, options);
  } catch {
    throw new Error("The program does not answer. Start skcell app again; all that was saved is kept.");
  }
  const found = await reply.json().catch(() => ({ error: `The request failed (${reply.status}).` }));
  if (!reply.ok) throw Object.assign(new Error(found.error), found);
  return found;
}

const percent = (p) => p > 0.995 ? "> 99 %" : p < 0.005 ? "< 1 %" : `${(100 * p).toFixed(0)} %`;
const keyOf = (k) => KEYS[k] || "";
const picture = (index, size) => `picture/${size}/${index}`;

// ---- which images are shown ----

function choose(keep) {
  const kept = keep === undefined ? order[at] : keep;
  const show = get("show").value, wanted = get("class").value;
  const part = get("search").value.toLowerCase();
  const shows = {
    all: () => true,
    suggested: (i) => cells.suggestedSet.has(i),
    free: (i) => !cells.labels[i],
    labelled: (i) => cells.labels[i],
    corrected: (i) => cells.labels[i] && cells.labels[i] !== cells.predicted[i],
    unknown: (i) => cells.unknown[i],
  }[show];
  const keys = {
    doubt: (i) => -cells.doubt[i], sure: (i) => cells.doubt[i], known: (i) => cells.known_score[i],
  };
  order = (show === "suggested" ? cells.suggested : [...cells.names.keys()])
    .filter((i) => shows(i) && (!wanted || cells.predicted[i] === wanted)
      && (!part || cells.names[i].toLowerCase().includes(part)));
  const key = keys[get("order").value];
  if (show !== "suggested") {
    if (key) order.sort((a, b) => key(a) - key(b) || a - b);
    else order.sort((a, b) => cells.names[a].localeCompare(cells.names[b], undefined, { numeric: true }));
  }
  at = Math.max(0, order.indexOf(kept));
  get("shown").textContent = `${order.length.toLocaleString("en")} shown`;
  layOut();
  select(at);
}

// ---- the grid ----

function layOut() {
  columns = Math.max(1, Math.floor((grid.clientWidth - 16) / TILE.width));
  space.style.height = `${Math.ceil(order.length / columns) * TILE.height}px`;
  for (const tile of tiles.values()) tile.remove();
  tiles.clear();
  draw();
}

let loading = 0;
function draw() {
  const first = Math.max(0, Math.floor(grid.scrollTop / TILE.height) - 2) * columns;
  const last = Math.min(order.length,
    (Math.ceil((grid.scrollTop + grid.clientHeight) / TILE.height) + 2) * columns);
  for (const [position, tile] of tiles) {
    if (position < first || position >= last) {
      tile.firstChild.removeAttribute("src"); // what is not read yet need not be
      tile.remove();
      tiles.delete(position);
    }
  }
  for (let position = first; position < last; position++) {
    if (!tiles.has(position)) {
      const tile = makeTile(position);
      tiles.set(position, tile);
      space.append(tile);
    }
  }
  clearTimeout(loading);
  loading = setTimeout(() => { // where scrolling stops, and not on the way
    for (const [position, tile] of tiles) {
      if (!tile.firstChild.src) tile.firstChild.src = picture(order[position], 96);
    }
  }, 40);
}

function makeTile(position) {
  const tile = make("div", { id: `cell-${position}` },
    make("img", { alt: "", width: 96, height: 96 }),
    make("span", { className: "what" }), make("span", { className: "said" }));
  tile.setAttribute("role", "option");
  tile.style.left = `${(position % columns) * TILE.width}px`;
  tile.style.top = `${Math.floor(position / columns) * TILE.height}px`;
  tile.addEventListener("click", () => { select(position); grid.focus(); });
  fill(tile, position);
  return tile;
}

function fill(tile, position) {
  const i = order[position], label = cells.labels[i];
  const corrected = label && label !== cells.predicted[i];
  const named = `${cells.predicted[i]}${cells.unknown[i] ? "?" : ""}`, sure = percent(cells.probability[i]);
  tile.className = ["cell", label && "labelled", corrected && "corrected", position === at && "current"]
    .filter(Boolean).join(" ");
  tile.children[1].textContent = label ? `${corrected ? "\u2260" : "\u2713"} ${label}` : named;
  tile.children[2].textContent = label ? `${sure} ${named}` : sure;
  tile.title = cells.names[i];
  tile.setAttribute("aria-selected", position === at);
  tile.setAttribute("aria-label", `${cells.names[i]}: ${label ? `labelled ${label}, ` : ""}predicted ${named}, ${sure}`);
}

function refill() {
  for (const [position, tile] of tiles) fill(tile, position);
  const n = cells.labels.filter(Boolean).length;
  get("count").textContent = `${n.toLocaleString("en")} of ${cells.labels.length.toLocaleString("en")} labelled`;
  get("undo").disabled = !undone.length;
}

function select(position) {
  at = Math.min(Math.max(0, position), Math.max(0, order.length - 1));
  const top = Math.floor(at / columns) * TILE.height;
  if (top < grid.scrollTop) grid.scrollTop = top;
  else if (top + TILE.height > grid.scrollTop + grid.clientHeight - 16) {
    grid.scrollTop = top + TILE.height - grid.clientHeight + 16;
  }
  draw();
  refill();
  grid.setAttribute("aria-activedescendant", order.length ? `cell-${at}` : "");
  describe();
}

// ---- the selected image ----

let asked = 0;
async function describe() {
  const turn = ++asked;
  if (!order.length) {
    detail.replaceChildren(make("p", { className: "quiet", textContent: "No image is like this." }));
    return;
  }
  const i = order[at], label = cells.labels[i];
  const map = make("figure");
  const choices = make("div", { className: "choices" }, ...cells.classes.map((name, k) => {
    const button = make("button", { type: "button" },
      ...(keyOf(k) ? [make("kbd", { textContent: keyOf(k) })] : []), name);
    button.setAttribute("aria-pressed", label === name);
    button.addEventListener("click", () => { give(name); grid.focus(); });
    return button;
  }), make("button", { type: "button", onclick: nameClass }, make("kbd", { textContent: "n" }), "new class"));
  const more = make("div");
  detail.replaceChildren(
    make("h2", { textContent: cells.names[i] }),
    make("div", { className: "views" },
      make("figure", {}, make("img", { src: picture(i, 512), alt: "The image" })), map),
    make("h3", { textContent: label ? `Label: ${label}` : "No label" }), choices, more);
  if (mapWanted) explain(map, i, turn);
  else map.append(make("button", { type: "button", onclick: () => { mapWanted = true; describe(); } },
    make("kbd", { textContent: "m" }), "map"));
  await new Promise((resolve) => setTimeout(resolve, 60)); // while keys are held down, ask nothing
  if (turn !== asked) return;
  try {
    const found = await ask(`cell/${i}`);
    if (turn === asked) more.replaceChildren(...describeMore(found));
  } catch (error) { if (turn === asked) say(error.message); }
}

function describeMore(found) {
  const rows = found.probabilities.map((row) => make("tr", {},
    make("td", { textContent: row.class, title: row.class }),
    make("td", {}, make("meter", { value: row.probability, max: 1, title: row.class })),
    make("td", { textContent: percent(row.probability) })));
  const sentences = [];
  if (found.unknown) sentences.push("This image is unlike all that the model was trained on; its class means nothing.");
  if (found.set) sentences.push(`Prediction set: ${found.set.join(", ") || "none"}. Such sets hold the class of 90 % of images like those of the training, on average.`);
  else sentences.push("The model is not calibrated for these images, so there is no prediction set.");
  return [
    make("h3", { textContent: "Probabilities" }),
    make("table", { className: "bars" }, make("tbody", {}, ...rows)),
    ...sentences.map((text) => make("p", { textContent: text })),
    ...(found.nearest.length ? [make("h3", { textContent: "Most similar images with a label" }),
      make("div", { className: "near" }, ...found.nearest.map((one) => make("figure", {},
        make("img", { src: picture(one.index, 96), alt: "", title: cells.names[one.index] }),
        make("figcaption", { textContent: one.label, title: one.label }))))] : []),
  ];
}

async function explain(figure, i, turn) {
  figure.replaceChildren(make("figcaption", { textContent: "Computing the map ..." }));
  try {
    const found = await ask(`explanation/${i}`);
    if (turn !== asked) return;
    figure.replaceChildren(make("img", { src: found.picture, alt: "Explanation map" }),
      make("figcaption", { textContent: found.confirmed
        ? "What speaks for the predicted class. Covering it lowers the probability."
        : "This map is not confirmed: covering what it shows changes no more than covering other places." }));
  } catch (error) {
    if (turn === asked) figure.replaceChildren(make("figcaption", { textContent: error.message }));
  }
}

// ---- labels: shown at once, saved one after the other, taken back if they cannot be saved ----

let saving = Promise.resolve();
const unsaved = new Map(); // image -> number of its changes that are on their way
function change(i, label, remember = true) {
  const before = cells.labels[i];
  if (before === label) return;
  cells.labels[i] = label;
  if (label && !cells.classes.includes(label)) cells.classes.push(label);
  if (remember) undone.push([i, before, label]);
  refill();
  unsaved.set(i, (unsaved.get(i) || 0) + 1);
  saving = saving.then(async () => {
    try {
      await ask("label", { index: i, label, expected: before });
      sessionStorage.setItem("undo", JSON.stringify(undone.slice(-1000)));
    } catch (error) {
      cells.labels[i] = error.label === undefined ? before : error.label;
      const last = undone.findLastIndex((one) => one[0] === i && one[2] === label);
      if (remember && last >= 0) undone.splice(last, 1);
      say(`${cells.names[i]}: ${error.message}`);
      refill();
      if (order[at] === i) describe();
    }
    unsaved.set(i, unsaved.get(i) - 1);
  });
}

function give(label) {
  if (!order.length) return;
  say("");
  change(order[at], label);
  if (at + 1 < order.length) select(at + 1);
  else describe();
}

function undo() {
  const last = undone.pop();
  if (!last) return;
  const [i, before, label] = last;
  const position = order.indexOf(i);
  if (cells.labels[i] === label) {
    change(i, before, false);
    say(`${cells.names[i]}: ${before ? `the label is ${before} again` : "the label was removed"}.`, true);
  } else say(`${cells.names[i]} was changed elsewhere, and is left as it is.`);
  if (position >= 0) select(position);
  else refill();
}

function nameClass() {
  get("new-class").value = "";
  get("naming").returnValue = "";
  get("naming").showModal();
}
get("naming").addEventListener("close", () => {
  const name = get("new-class").value.trim().replace(/\s+/g, " ");
  if (get("naming").returnValue === "yes" && name) give(name);
  grid.focus();
});

document.addEventListener("keydown", (event) => {
  if (!cells || document.querySelector("dialog[open]")) return;
  if (event.target.matches("input, select")) {
    if (event.key === "Escape") grid.focus();
    return;
  }
  const rows = Math.max(1, Math.floor(grid.clientHeight / TILE.height)) * columns;
  const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns,
    PageDown: rows, PageUp: -rows, Home: -order.length, End: order.length };
  const key = event.key;
  if ((event.ctrlKey || event.metaKey) && key.toLowerCase() === "z") undo();
  else if (event.ctrlKey || event.metaKey || event.altKey) return;
  else if (key in moves) select(at + moves[key]);
  else if (key === "Enter" && !event.target.matches("button, a")) {
    if (order.length) give(cells.predicted[order[at]]);
  } else if (key === "Delete") { if (order.length) { change(order[at], ""); select(at); } }
  else if (key === "Backspace") undo();
  else if (key === "m") { mapWanted = !mapWanted; describe(); }
  else if (key === "n") nameClass();
  else if (key === "?") get("help").showModal();
  else if (key.length === 1 && KEYS.includes(key) && KEYS.indexOf(key) < cells.classes.length) {
    give(cells.classes[KEYS.indexOf(key)]);
  } else return;
  event.preventDefault();
});

// ---- training ----

async function act(action) {
  for (const id of ["start", "stop", "use"]) get(id).disabled = true;
  get("state").textContent = { start: "Starting ...", stop: "Stopping; the model so far is tested ...",
    use: "Predicting all images with the new model ..." }[action];
  try {
    await saving;
    await ask("training", { action });
    if (action === "use") { await load(); get("training").close(); say(`${cells.model} predicts now.`, true); }
    await poll();
  } catch (error) { showTraining(); get("state").textContent = error.message; }
  for (const id of ["start", "stop", "use"]) get(id).disabled = false;
}

function showTraining() {
  const states = {
    none: "The model is trained further on all images that have a label, in half the epochs. Images "
      + "that it was trained on never test it, and both models are scored on the same test.",
    running: training.epochs ? `Training: epoch ${training.epoch} of ${training.epochs}.`
      : "Starting to train ...",
    finished: `The new model is ${training.model}. Compare both models before you use it.`,
    failed: "The training ended without a model. The last lines say why.",
  };
  const running = training.state === "running", finished = training.state === "finished";
  get("state").textContent = states[training.state];
  get("start").hidden = running;
  get("stop").hidden = !running;
  get("use").hidden = get("report").hidden = !finished;
  get("progress").hidden = !running;
  get("progress").value = training.epochs ? training.epoch / training.epochs : 0;
  get("command").textContent = training.command || "";
  const lines = training.lines || [];
  get("compared").replaceChildren(...(training.compared || []).map((text) => make("p", { textContent: text })));
  get("output").hidden = !lines.length;
  const text = lines.join("\n");
  if (get("output").textContent !== text) {
    get("output").textContent = text;
    get("output").scrollTop = get("output").scrollHeight;
  }
  get("open-training").textContent = running
    ? `Training ${training.epoch || 0}/${training.epochs || "?"}` : finished ? "New model" : "Train again";
}

for (const action of ["start", "stop", "use"]) get(action).addEventListener("click", () => act(action));
get("open-training").addEventListener("click", () => { showTraining(); get("training").showModal(); });
get("open-help").addEventListener("click", () => get("help").showModal());
get("undo").addEventListener("click", undo);

// ---- beginning, and what other windows do ----

async function load() {
  const selected = cells && order[at];
  cells = await ask("cells");
  cells.suggestedSet = new Set(cells.suggested);
  get("title").textContent = `${cells.model} on ${cells.folder}`;
  document.title = `${cells.folder} - skcell`;
  const wanted = get("class").value;
  get("class").replaceChildren(make("option", { value: "", textContent: "every predicted class" }),
    ...cells.classes.map((name) => make("option", { value: name, textContent: name })));
  get("class").value = cells.classes.includes(wanted) ? wanted : "";
  get("notes").replaceChildren(...cells.notes.map((text) => make("p", { textContent: text })));
  if (cells.notes.length) say(cells.notes[0]);
  choose(selected === null ? undefined : selected);
}

async function poll() {
  const found = await ask(`changes/${cells.version}`);
  if (found.generation !== cells.generation) await load();
  for (const [i, label] of Object.entries(found.labels)) {
    if (unsaved.get(Number(i))) continue; // what this window has not saved yet is newer
    cells.labels[i] = label;
    if (label && !cells.classes.includes(label)) cells.classes.push(label);
  }
  cells.version = found.version;
  const before = training.state;
  training = found.training;
  if (Object.keys(found.labels).length) refill();
  if (training.state !== "none" || before !== "none") showTraining();
}

async function watch() {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, POLL));
    try { await poll(); } catch (error) { say(error.message); }
  }
}

for (const id of ["show", "class", "order"]) get(id).addEventListener("change", () => choose());
get("search").addEventListener("input", () => choose());
grid.addEventListener("scroll", draw);
new ResizeObserver(() => { if (cells) { layOut(); select(at); } }).observe(grid);

load().then(poll).then(() => { grid.focus(); watch(); }).catch((error) => say(error.message));
