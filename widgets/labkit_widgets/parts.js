// What stands around the stage: title, machines, clock and scrubber; the numbers; the events; the network's controls.
//
// Every element is made once and then only changed where the data changed, so that a button keeps its focus, and a click
// in progress its button, while ten states a second arrive. What the person does goes to Python as one small message.

function make(tag, cls = "", text = "", parent = null) {
  const element = document.createElement(tag);
  if (cls) element.className = cls;
  if (text) element.textContent = text;
  if (parent) parent.appendChild(element);
  return element;
}

function button(label, name, act, parent) {
  const element = make("button", "lk-button", label, parent);
  element.type = "button";
  element.setAttribute("aria-label", name);
  element.title = name;
  element.addEventListener("click", () => act(element));
  return element;
}

// A heading for those who jump from one to the next; the panel's title is above it.
function heading(text, parent, level = 3) {
  const element = make("div", "lk-heading", text, parent);
  element.setAttribute("role", "heading");
  element.setAttribute("aria-level", level);
  return element;
}

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Keeps the children of `parent` equal to a list, by key.
function keyed(parent, items, key, create, change) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, index) => {
    const id = String(key(item));
    let child = old.get(id);
    old.delete(id);
    if (!child) {
      child = create(item);
      child.dataset.key = id;
    }
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] || null);
    change(child, item);
  });
  for (const child of old.values()) child.remove();
}

const many = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
const seconds = (t) => (t >= 100 ? t.toFixed(1) : t.toFixed(2)) + " s";

// -- numbers -----------------------------------------------------------------------------------------------------------

function numbers(model, el) {
  const list = make("div", "lk-numbers", "", el);
  function create() {
    const item = make("div", "lk-number");
    item.setAttribute("role", "group");
    make("div", "lk-name", "", item);
    make("div", "lk-value", "", item);
    make("div", "lk-theory", "", item);
    return item;
  }
  function draw() {
    keyed(list, model.get("numbers"), (n) => n.label, create, (item, n) => {
      item.dataset.tone = n.tone;
      item.dataset.number = n.label;
      item.setAttribute("aria-label", n.label);
      say(item.children[0], n.label);
      say(item.children[1], n.value);
      say(item.children[2], n.theory ? `theory: ${n.theory}` : n.note || "\u00a0");
    });
  }
  return { numbers: draw };
}

// -- events, error, the run as code ---------------------------------------------------------------------------------------

const SIGNS = { fault: "✕", repair: "✓", trouble: "!", plain: "·" };

function events(model, el, send) {
  const bar = make("div", "lk-bar", "", el);
  heading("Events", bar);
  const files = make("span", "lk-files", "", bar);
  button("Copy the run as code", "Copy the run as code", () => send("code"), files);
  for (const [form, label, what] of [
    ["trace", "Save the trace", "Write the trace to a file beside the notebook"],
    ["perfetto", "Perfetto", "Write the trace as a time line for ui.perfetto.dev"],
    ["shiviz", "ShiViz", "Write the trace as a diagram of messages for ShiViz"],
  ]) button(label, what, () => send("save", { form }), files).dataset.form = form;
  const written = make("div", "lk-facts", "", el);
  written.setAttribute("role", "status");
  const code = make("div", "lk-code", "", el);
  const area = make("textarea", "", "", code);
  area.readOnly = true;
  area.spellcheck = false;
  area.setAttribute("aria-label", "The run so far, as a code cell");
  const close = make("div", "lk-bar", "", code);
  const note = make("span", "lk-facts", "", close);
  button("Close", "Close the code", () => send("code", { close: true }), close);
  const list = make("ol", "lk-events", "", el);
  list.setAttribute("aria-label", "Last events, newest first");
  list.tabIndex = 0;

  function drawCode() {
    const text = model.get("code");
    code.hidden = !text;
    if (area.value === text) return;
    area.value = text;
    area.rows = Math.min(14, text.split("\n").length + 1);
    if (!text) return;
    area.focus();
    area.select();
    say(note, "Paste it into a cell (Ctrl+C copies it)");
    navigator.clipboard?.writeText(text).then(() => say(note, "Copied: paste it into a cell"), () => {});
  }

  function drawLines() {
    keyed(list, model.get("lines"), (l) => l.seq, () => {
      const item = make("li", "");
      make("span", "lk-when", "", item);
      make("span", "lk-sign", "", item).setAttribute("aria-hidden", "true");
      make("span", "lk-what", "", item);
      return item;
    }, (item, line) => {
      item.dataset.tone = line.tone;
      say(item.children[0], seconds(line.time));
      say(item.children[1], SIGNS[line.tone] || "·");
      say(item.children[2], line.text);
    });
  }

  function drawFiles() {
    const head = model.get("head");
    const shiviz = files.querySelector("[data-form=shiviz]");
    shiviz.disabled = Boolean(head.shiviz);
    shiviz.title = head.shiviz || "Write the trace as a diagram of messages for ShiViz";
    say(written, head.text || "");
  }

  return { code: drawCode, lines: drawLines, head: drawFiles };
}

// -- the steps of a lookup, in words ----------------------------------------------------------------------------------------

function steps(model, el, send) {
  const head = heading("", el);
  head.classList.add("lk-steps-head");
  const list = make("ol", "lk-steps", "", el);
  const again = button("Replay", "Replay", () => send("replay"), el);
  function draw() {
    const data = model.get("steps");
    el.hidden = !data.title;
    say(head, data.title || "");
    keyed(list, data.items || [], (item) => `${data.id}:${item.number}`, () => {
      const item = make("li", "");
      make("span", "lk-step-number", "", item);
      make("span", "lk-what", "", item);
      return item;
    }, (item, step) => {
      item.dataset.tone = step.tone;
      item.dataset.hop = step.number;
      say(item.children[0], step.sign);
      say(item.children[1], step.text);
    });
    again.hidden = !data.again;
  }
  return { steps: draw };
}

// -- invariants ---------------------------------------------------------------------------------------------------------

function checks(model, el) {
  const head = heading("Invariants", el);
  const list = make("ul", "lk-checks", "", el);
  function draw() {
    const items = model.get("checks");
    head.hidden = !items.length;
    keyed(list, items, (c) => c.name, () => make("li", ""), (item, c) => {
      item.dataset.check = c.name;
      item.dataset.holds = c.holds;
      say(item, `${c.holds ? "✓" : "✕"} ${c.words}${c.holds ? "" : `: ${c.detail}`}`);
    });
  }
  return { checks: draw };
}

// -- what a failure cost ------------------------------------------------------------------------------------------------

function cost(model, el) {
  const head = heading("", el);
  head.classList.add("lk-steps-head");
  const table = make("table", "lk-cost", "", el);
  const names = make("tr", "", "", make("thead", "", "", table));
  const body = make("tbody", "", "", table);
  const foot = make("div", "lk-facts", "", el);
  function draw() {
    const data = model.get("cost");
    el.hidden = !data.title;
    if (!data.title) return;
    say(head, data.title);
    say(foot, data.foot || "");
    keyed(names, data.head, (words) => words, () => make("th", ""), (cell, words) => say(cell, words));
    keyed(body, data.rows, (row) => row[0], (row) => {
      const line = make("tr", "");
      for (const _ of row) make("td", "", "", line);
      return line;
    }, (line, row) => row.forEach((words, k) => say(line.children[k], words)));
  }
  return { cost: draw };
}

// -- what went wrong, beside the control that was pressed ------------------------------------------------------------------

function note(model, el) {
  const words = make("div", "lk-facts", "", el);
  function draw() {
    say(words, model.get("head").text || "");
    words.hidden = !model.get("head").text;
  }
  return { head: draw };
}

function failure(model, el, send) {
  const box = make("div", "lk-error");
  el.insertBefore(box, el.querySelector(".lk-chips")); // under the title; elsewhere at the end of the part
  box.setAttribute("role", "alert");
  const words = make("span", "", "", box);
  const close = button("✕", "Dismiss the error", () => send("dismiss"), box);
  close.classList.add("square");
  return () => {
    box.hidden = !model.get("error");
    say(words, model.get("error"));
  };
}

// -- the panel's root: a region with a name, whose keys are its own --------------------------------------------------------

// JupyterLab takes every key that reaches the notebook: ← folds a section, x cuts the cell. What is pressed in a panel
// ends at its root, but for Tab and what Ctrl, ⌘ and Alt make of a key.
function own(key) {
  if (key.key !== "Tab" && !key.ctrlKey && !key.metaKey && !key.altKey) key.stopPropagation();
}

function root(el, then) {
  const watch = new ResizeObserver(() => {
    const found = el.closest(".labkit-panel");
    if (!found) return;
    watch.disconnect();
    then(found);
  });
  watch.observe(el);
  return watch;
}

const KINDS = { top, numbers, events, steps, checks, cost, note, network, ask, choice }; // some are in top.js and controls.js

function render({ model, el }) {
  const kind = model.get("kind");
  el.classList.add("labkit-part", `labkit-${kind}`);
  // In JupyterLite a widget's message would wait for the end of the cell: see direct.py.
  const line = model.get("line") ? new BroadcastChannel(model.get("line")) : null;
  const send = (action, data = {}) => {
    if (line) line.postMessage(JSON.stringify({ action, ...data }));
    else model.send({ action, ...data });
  };
  const draws = KINDS[kind](model, el, send);
  draws.error = failure(model, el, send);
  for (const [name, draw] of Object.entries(draws)) {
    model.on(`change:${name}`, draw);
    draw();
  }
  const watch = kind !== "top" ? null : root(el, (panel) => {
    panel.addEventListener("keydown", own);
    panel.setAttribute("role", "region");
    panel.setAttribute("aria-label", `${model.get("head").title}, ${model.get("head").facts}`);
  });
  return () => {
    watch?.disconnect();
    line?.close();
    for (const [name, draw] of Object.entries(draws)) model.off(`change:${name}`, draw);
  };
}

export default { render };
