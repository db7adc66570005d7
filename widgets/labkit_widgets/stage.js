// The stage: draws one scene (plain data from Python) and moves messages along it.
//
// Nodes, links and words are SVG, so they stay crisp, take keyboard focus and can be read aloud; what moves is drawn on
// a canvas above them, so that hundreds of messages cost one drawing pass a frame. The picture depends on the newest
// state only: a state that was skipped or arrives twice changes nothing.

const NS = "http://www.w3.org/2000/svg";
const FLIGHT_MS = 650; // how long a message is drawn; the real one is far too quick to see
const still = window.matchMedia("(prefers-reduced-motion: reduce)");

function make(tag, attributes = {}, parent = null) {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (parent) parent.appendChild(element);
  return element;
}

// Keeps a layer of SVG elements equal to a list of items: touches only what changed.
class Layer {
  constructor(parent, cls, draw) {
    this.group = make("g", { class: cls }, parent);
    this.draw = draw;
    this.items = new Map();
  }

  show(items, key) {
    const seen = new Set();
    items.forEach((item, index) => {
      const id = key(item, index);
      const text = JSON.stringify(item);
      let entry = this.items.get(id);
      seen.add(id);
      if (!entry) {
        entry = { element: null, text: null };
        this.items.set(id, entry);
      }
      if (entry.text !== text) {
        entry.element = this.draw(item, entry.element, this.group);
        entry.text = text;
      }
    });
    for (const [id, entry] of this.items) {
      if (!seen.has(id)) {
        entry.element.remove();
        this.items.delete(id);
      }
    }
  }
}

function colour(item) {
  return item.colour >= 0 ? `lk-c${item.colour % 8}` : "lk-c";
}

function drawBox(box, old, parent) {
  const rect = old || make("rect", {}, parent);
  for (const [name, value] of [["x", box.x], ["y", box.y], ["width", box.w], ["height", box.h]]) rect.setAttribute(name, value);
  rect.setAttribute("class", `lk-box ${box.cls} ${colour(box)}`);
  title(rect, box.tip);
  return rect;
}

function drawLink(link, old, parent) {
  const path = old || make("path", {}, parent);
  path.setAttribute("d", link.path);
  path.setAttribute("class", `lk-link ${link.cls} ${colour(link)}`);
  path.style.strokeWidth = link.width === 1 ? "" : link.width;
  path.dataset.link = link.id;
  title(path, link.tip);
  return path;
}

function drawLabel(label, old, parent) {
  const text = old || make("text", {}, parent);
  text.setAttribute("x", label.x);
  text.setAttribute("y", label.y);
  text.setAttribute("text-anchor", label.anchor);
  text.setAttribute("class", `lk-label ${label.cls}`);
  if (text.textContent !== label.text) text.textContent = label.text;
  return text;
}

function title(element, words) {
  let child = element.querySelector(":scope > title");
  if (!words) return child && child.remove();
  if (!child) child = make("title", {}, element);
  if (child.textContent !== words) child.textContent = words;
}

function drawMark(mark, old, parent) {
  const group = old || make("g", { tabindex: -1, role: "button" }, parent);
  group.replaceChildren();
  group.setAttribute("class", `lk-mark ${mark.state} ${mark.cls} ${colour(mark)}`);
  group.dataset.node = mark.id;
  group.dataset.state = mark.state;
  group.dataset.selected = mark.cls.split(" ").includes("selected");
  group.setAttribute("aria-pressed", group.dataset.selected);
  group.setAttribute("aria-label", mark.tip || mark.id);
  // Squares in a grid touch each other: their halo is a square as well.
  if (group.classList.contains("cell")) make("path", { class: "lk-halo", d: placed(OUTLINES.square, mark.x, mark.y, mark.r + 2.2) }, group);
  else make("circle", { class: "lk-halo", cx: mark.x, cy: mark.y, r: mark.r + (mark.r < 6 ? 3 : 5) }, group);
  make("path", { class: "lk-shape", d: placed(OUTLINES[mark.shape], mark.x, mark.y, mark.r) }, group);
  if (mark.cls.split(" ").includes("again") && mark.r > 5) {
    make("path", { class: "lk-corner", d: placed(OVERLAYS.again, mark.x, mark.y, mark.r) }, group);
  }
  if (OVERLAYS[mark.state] && mark.r >= 3) make("path", { class: "lk-overlay", d: placed(OVERLAYS[mark.state], mark.x, mark.y, mark.r) }, group);
  return group;
}

// A mark's name stands outside its group, so that the group's middle is the mark: pointers and tests click there.
function drawName(mark, old, parent) {
  const group = old || make("g", {}, parent);
  group.replaceChildren();
  group.setAttribute("class", `lk-named ${mark.state} ${mark.cls}`);
  group.dataset.nameOf = mark.id;
  const away = Math.hypot(mark.lx - mark.x, mark.ly - 4 - mark.y) > 20;
  if (mark.anchor !== "middle" && away) {
    const x = mark.lx + (mark.anchor === "start" ? -3 : 3);
    make("path", { class: "lk-leader", d: `M${mark.x},${mark.y}L${x},${mark.ly - 4}` }, group);
  }
  const text = make("text", { x: mark.lx, y: mark.ly, "text-anchor": mark.anchor, class: "lk-name", "aria-hidden": "true" }, group);
  text.textContent = mark.label;
  return group;
}

// The mark above (-1) or below (+1), in the nearest row that there is: the one that stands closest in it.
function beside(marks, here, way) {
  const further = marks.filter((m) => way * (m.y - here.y) > 4);
  if (!further.length) return here;
  const row = Math.min(...further.map((m) => way * m.y)) + 4;
  const near = further.filter((m) => way * m.y <= row);
  return near.reduce((a, b) => (Math.abs(b.x - here.x) < Math.abs(a.x - here.x) ? b : a));
}

// -- the widget -------------------------------------------------------------------------------------------------------

function render({ model, el }) {
  el.classList.add("labkit-stage");
  const svg = make("svg", { role: "group" }, null);
  const canvas = document.createElement("canvas");
  const tip = document.createElement("div");
  const caption = document.createElement("div");
  const spoken = document.createElement("div");
  tip.className = "lk-tip";
  tip.hidden = true;
  caption.className = "lk-caption";
  spoken.className = "lk-spoken";
  spoken.setAttribute("aria-live", "polite");
  canvas.setAttribute("aria-hidden", "true");
  const frame = document.createElement("div");
  frame.className = "lk-frame";
  frame.append(svg, canvas, tip);
  el.append(frame, caption, spoken);

  const layers = {
    boxes: new Layer(svg, "lk-boxes", drawBox),
    links: new Layer(svg, "lk-links", drawLink),
    labels: new Layer(svg, "lk-labels", drawLabel),
  };
  layers.names = new Layer(svg, "lk-names", drawName);
  const routeGroup = make("g", { class: "lk-routes" }, svg);
  layers.marks = new Layer(svg, "lk-marks", drawMark);
  const route = new Route(routeGroup, (words) => (spoken.textContent = words));

  const colours = () => {
    const style = getComputedStyle(el);
    const read = (name) => style.getPropertyValue(name).trim() || "#888";
    return { request: read("--lk-request"), reply: read("--lk-reply"), hop: read("--lk-hop"), lost: read("--lk-bad") };
  };
  const movers = new Movers(canvas, colours);

  let focused = null;
  const group = (id) => svg.querySelector(`[data-node="${CSS.escape(id)}"]`);

  function rove() {
    const ids = model.get("scene").marks?.map((m) => m.id) || [];
    if (!ids.includes(focused)) focused = model.get("selected") || ids[0] || null;
    for (const element of svg.querySelectorAll("[data-node]")) {
      element.setAttribute("tabindex", element.dataset.node === focused ? 0 : -1);
    }
  }

  function drawScene() {
    const scene = model.get("scene");
    if (!scene.marks) return;
    svg.setAttribute("viewBox", `0 0 ${scene.width} ${scene.height}`);
    svg.setAttribute("aria-label", scene.title);
    frame.style.minWidth = `${Math.round(0.95 * scene.width)}px`; // words keep their size: a narrow page scrolls
    frame.style.aspectRatio = `${scene.width} / ${scene.height}`;
    layers.boxes.show(scene.boxes, (b) => b.id);
    layers.links.show(scene.links, (l) => l.id);
    layers.labels.show(scene.labels, (_, index) => index);
    layers.names.show(scene.marks.filter((m) => m.label), (m) => m.id);
    layers.marks.show(scene.marks, (m) => m.id);
    rove();
    movers.scene = scene;
    movers.wake();
    route.show(model.get("route"), scene);
  }

  function drawPulses() {
    const scene = model.get("scene");
    if (scene.marks) movers.take(model.get("pulses"), scene);
  }

  const drawRoute = () => model.get("scene").marks && route.show(model.get("route"), model.get("scene"));
  const drawCaption = () => (caption.textContent = model.get("caption"));

  function select(id) {
    model.set("selected", id);
    model.save_changes();
  }

  function markAt(event) {
    const name = event.target.closest?.("[data-name-of]");
    return name ? group(name.dataset.nameOf) : event.target.closest?.("[data-node]");
  }

  function point(event) {
    const mark = markAt(event);
    if (!mark) return (tip.hidden = true);
    tip.textContent = mark.getAttribute("aria-label");
    tip.hidden = false;
    const box = frame.getBoundingClientRect();
    const spot = mark.querySelector(".lk-shape").getBoundingClientRect();
    const left = Math.min(Math.max(spot.left + spot.width / 2 - box.left - tip.offsetWidth / 2, 4), box.width - tip.offsetWidth - 4);
    const above = spot.top - box.top - tip.offsetHeight - 8;
    tip.style.left = `${left}px`;
    tip.style.top = `${above > 0 ? above : spot.bottom - box.top + 8}px`;
  }

  svg.addEventListener("mouseover", point);
  // Not on the SVG: a browser makes an SVG that listens for the focus a tab stop of its own.
  frame.addEventListener("focusin", (event) => {
    focused = event.target.dataset?.node || focused;
    point(event);
  });
  svg.addEventListener("mouseleave", () => (tip.hidden = true));
  frame.addEventListener("focusout", () => (tip.hidden = true));
  svg.addEventListener("click", (event) => {
    const mark = markAt(event);
    select(!mark || mark.dataset.node === model.get("selected") ? "" : mark.dataset.node);
  });
  svg.addEventListener("keydown", (event) => {
    const { marks, rows } = model.get("scene");
    const ids = marks.map((m) => m.id);
    const here = ids.indexOf(focused);
    const go = { ArrowRight: here + 1, ArrowDown: here + 1, ArrowLeft: here - 1, ArrowUp: here - 1, Home: 0, End: ids.length - 1 };
    const up = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (rows && up && here >= 0) {
      focused = beside(marks, marks[here], up).id;
      rove();
      group(focused)?.focus();
    } else if (event.key in go) {
      focused = ids[(go[event.key] + ids.length) % ids.length];
      rove();
      group(focused)?.focus();
    } else if (event.key === "Enter" || event.key === " ") {
      select(focused === model.get("selected") ? "" : focused);
    } else if (event.key === "Escape") {
      select("");
    } else {
      return;
    }
    event.preventDefault();
  });

  const resize = new ResizeObserver(() => movers.wake());
  resize.observe(frame);
  model.on("change:scene", drawScene);
  model.on("change:pulses", drawPulses);
  model.on("change:route", drawRoute);
  model.on("change:caption", drawCaption);
  drawScene();
  drawPulses();
  drawCaption();

  return () => {
    resize.disconnect();
    movers.stop();
    route.stop();
    model.off("change:scene", drawScene);
    model.off("change:pulses", drawPulses);
    model.off("change:route", drawRoute);
    model.off("change:caption", drawCaption);
  };
}

export default { render };
