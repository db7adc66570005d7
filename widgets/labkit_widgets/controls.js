// Part of the module of `parts.js` (stage.py puts the two files together): forms that a person fills in.

// -- a question to the system: one line of text and a button -------------------------------------------------------------

// The text goes along with the click: a text box of its own would still be sending what was typed.
function ask(model, el, send) {
  const form = make("form", "lk-ask", "", el);
  const label = make("label", "lk-row", "", form);
  make("span", "", model.get("head").label, label);
  const box = make("input", "lk-input", "", label);
  box.type = "text";
  box.placeholder = model.get("head").hint;
  box.setAttribute("aria-label", model.get("head").label);
  box.autocomplete = "off";
  box.spellcheck = false;
  const go = make("button", "lk-button primary", model.get("head").verb, form);
  go.type = "submit";
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(model.get("head").action, { key: box.value });
  });
  function draw() {
    go.disabled = Boolean(model.get("head").off);
  }
  return { head: draw };
}

// -- one of several places in a row, from one extreme to the other ---------------------------------------------------------

function choice(model, el, send) {
  const row = make("label", "lk-choice", "", el);
  make("b", "", model.get("head").label, row);
  const first = make("span", "lk-facts", "", row);
  const slider = make("input", "lk-slider", "", row);
  Object.assign(slider, { type: "range", min: 0, step: 1 });
  slider.setAttribute("aria-label", model.get("head").label);
  const last = make("span", "lk-facts", "", row);
  const now = make("output", "lk-place", "", row);
  const words = make("span", "lk-facts lk-meaning", "", el);
  let held = false; // while a hand is on it, the slider does not follow the run
  slider.addEventListener("pointerdown", () => (held = true));
  slider.addEventListener("blur", () => (held = false));
  slider.addEventListener("input", () => show(Number(slider.value)));
  slider.addEventListener("change", () => {
    held = false;
    send(model.get("head").action, { bound: model.get("head").bounds[Number(slider.value)] });
  });
  function show(place) {
    const name = model.get("head").places[place] || "";
    say(now, name);
    slider.setAttribute("aria-valuetext", name);
  }
  function draw() {
    const head = model.get("head");
    slider.max = head.places.length - 1;
    slider.disabled = Boolean(head.off);
    say(first, head.places[0]);
    say(last, head.places[head.places.length - 1]);
    say(words, head.words);
    el.dataset.pending = Boolean(head.pending);
    if (held) return;
    slider.value = head.place;
    show(head.place);
  }
  return { head: draw };
}

// -- the network's controls ---------------------------------------------------------------------------------------------

function network(model, el, send) {
  el.setAttribute("role", "group");
  el.setAttribute("aria-label", "Network faults");
  heading("Network", el);
  const lossRow = make("label", "lk-row", "Loss ", el);
  const loss = make("input", "lk-slider", "", lossRow);
  Object.assign(loss, { type: "range", min: 0, max: 50, step: 1, value: 0 });
  loss.setAttribute("aria-label", "Loss in percent");
  const percent = make("output", "lk-time", "0 %", lossRow);
  loss.addEventListener("input", () => say(percent, `${loss.value} %`));
  loss.addEventListener("change", () => send("loss", { probability: Number(loss.value) / 100 }));
  const latencyRow = make("label", "lk-row", "Latency ", el);
  const latency = make("select", "lk-select", "", latencyRow);
  latency.setAttribute("aria-label", "Latency");
  latency.addEventListener("change", () => latency.value && send("latency", { choice: latency.value }));
  const cut = make("div", "lk-row wrap", "", el);
  make("span", "", "Partition", cut);
  const sides = make("span", "lk-sides", "", cut);
  const onewayLabel = make("label", "lk-check", "", cut);
  const oneway = make("input", "", "", onewayLabel);
  oneway.type = "checkbox";
  onewayLabel.append("one way");
  const apply = button("Cut off", "Cut the chosen machines off from the others", () => {
    const chosen = [...sides.querySelectorAll("input:checked")].map((box) => box.value);
    send("partition", { side: chosen, oneway: oneway.checked });
  }, cut);
  const heal = button("Heal", "Heal all partitions", () => {
    for (const box of sides.querySelectorAll("input")) box.checked = false;
    send("heal");
  }, cut);

  function draw() {
    const data = model.get("network");
    if (!data.machines) return;
    keyed(sides, data.machines, (name) => name, (name) => {
      const label = make("label", "lk-check");
      const box = make("input", "", "", label);
      box.type = "checkbox";
      box.value = name;
      label.append(name);
      return label;
    }, () => {});
    if (document.activeElement !== loss) {
      loss.value = Math.round(100 * data.loss);
      say(percent, `${loss.value} %`);
    }
    if (!latency.options.length) latency.append(...data.latencies.map(([value, text]) => new Option(text, value)));
    heal.disabled = !data.cut;
    for (const each of [loss, latency, apply]) each.disabled = data.off;
  }
  return { network: draw };
}
