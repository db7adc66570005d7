// Part of the module of `parts.js` (stage.py puts the files together): title, machines, and the time line.

const STATES = { alive: "alive", slow: "slow", paused: "‖ paused", dead: "✕ dead", closed: "■ closed" };

// -- top: title, machines, clock ----------------------------------------------------------------------------------------

function top(model, el, send) {
  const bar = make("div", "lk-bar", "", el);
  const titles = make("div", "lk-title", "", bar);
  const name = make("strong", "", "", titles);
  name.setAttribute("role", "heading");
  name.setAttribute("aria-level", 2);
  const facts = make("span", "lk-facts", "", titles);
  const live = make("span", "lk-live", "", bar);
  const compact = button("", "", () => send("compact"), bar);
  const spoken = make("div", "lk-spoken", "", el);
  spoken.setAttribute("aria-live", "polite");
  const chips = make("div", "lk-chips", "", el);
  chips.setAttribute("role", "group");
  chips.setAttribute("aria-label", "Machines");
  const clock = make("div", "lk-clock", "", el);
  clock.setAttribute("role", "group");
  clock.setAttribute("aria-label", "Time");
  const back = button("◂", "Step back", () => send("step", { by: -1 }), clock);
  const play = button("", "Play", () => send(play.dataset.act), clock);
  const step = button("▸", "Step", () => send("step", { by: 1 }), clock);
  back.classList.add("square");
  play.classList.add("square", "play");
  step.classList.add("square");
  const speed = make("select", "lk-select", "", clock);
  speed.setAttribute("aria-label", "Speed");
  speed.title = "Speed: simulated seconds per second";
  speed.addEventListener("change", () => send("speed", { factor: Number(speed.value) }));
  const line = make("div", "lk-line", "", clock);
  const slider = make("input", "lk-slider", "", line);
  const ticks = make("div", "lk-ticks", "", line);
  ticks.setAttribute("role", "group");
  ticks.setAttribute("aria-label", "Faults and repairs on the time line");
  slider.type = "range";
  slider.step = "any";
  slider.setAttribute("aria-label", "Position in time");
  let dragging = false;
  slider.addEventListener("pointerdown", () => (dragging = true));
  for (const ended of ["pointerup", "pointercancel", "blur"]) slider.addEventListener(ended, () => (dragging = false));
  slider.addEventListener("keydown", () => (dragging = true)); // the next press goes on from here, not from what Python knew
  slider.addEventListener("keyup", () => setTimeout(() => (dragging = false), 400));
  let last = 0;
  const seek = (event) => {
    const now = performance.now();
    if (event.type === "input" && now - last < 80) return; // the newest position counts; `change` sends the final one
    last = now;
    const ended = Number(slider.value) >= Number(slider.max) - 1e-9;
    send("seek", { position: ended ? null : Number(slider.value) });
  };
  slider.addEventListener("input", seek);
  slider.addEventListener("change", seek);
  const time = make("output", "lk-time", "", clock);
  const now = button("Back to live", "Back to live", () => send("live"), clock);
  now.classList.add("lk-now");
  const runs = make("select", "lk-select lk-runs", "", clock);
  runs.addEventListener("change", () => {
    if (runs.value) send("seek", { position: Number(runs.value) });
    runs.value = "";
  });
  let asked = -Infinity; // Reset throws a run away: it is asked for twice
  const reset = button("Reset", "Reset: the same cluster and system once more", () => {
    if (performance.now() - asked < 4000) {
      asked = -Infinity;
      send("reset");
    } else {
      asked = performance.now();
      setTimeout(drawReset, 4100);
    }
    drawReset();
  }, clock);

  function drawReset() {
    const sure = performance.now() - asked < 4000;
    say(reset, sure ? "Reset: sure?" : "Reset");
    reset.classList.toggle("sure", sure);
  }

  function drawSaid() {
    say(spoken, model.get("said").text || "");
  }

  function drawRuns() {
    const { label, items } = model.get("runs");
    runs.hidden = !label || !items.length;
    const text = JSON.stringify(items);
    if (runs.hidden || runs.dataset.all === text || document.activeElement === runs) return;
    runs.dataset.all = text;
    runs.setAttribute("aria-label", `${label} to go back to`);
    runs.title = `${label} to go back to`;
    runs.replaceChildren(new Option(`${label} …`, ""), ...items.map(([at, words]) => new Option(words, at)));
  }

  // One tab stop for all marks; ← and → go from one to the next.
  function drawMarks() {
    const marks = model.get("marks");
    keyed(ticks, marks, (m) => m.seq, (m) => {
      const tick = button("", `${m.text}, at ${seconds(m.time)}: go there`, () => send("seek", { position: m.time }), null);
      tick.className = "lk-tick";
      tick.dataset.tone = m.tone;
      make("span", "", m.tone === "repair" ? "▴" : "✕", tick).setAttribute("aria-hidden", "true");
      return tick;
    }, (tick, m) => {
      const [low, high] = [Number(slider.min), Number(slider.max)];
      const part = high > low ? Math.min(1, Math.max(0, (m.time - low) / (high - low))) : 1;
      tick.style.left = `calc(8px + (100% - 16px) * ${part.toFixed(4)})`;
    });
    const all = [...ticks.children];
    const chosen = all.find((tick) => tick.tabIndex === 0 && tick.dataset.held) || all[all.length - 1];
    for (const tick of all) tick.tabIndex = tick === chosen ? 0 : -1;
  }
  ticks.addEventListener("keydown", (event) => {
    const all = [...ticks.children];
    const next = all[all.indexOf(document.activeElement) + { ArrowLeft: -1, ArrowRight: 1 }[event.key]];
    if (!next) return;
    for (const tick of all) {
      delete tick.dataset.held;
      tick.tabIndex = -1;
    }
    next.dataset.held = true;
    next.tabIndex = 0;
    next.focus();
    event.preventDefault();
  });

  function drawHead() {
    const head = model.get("head");
    say(name, head.title || "");
    say(facts, head.facts || "");
  }

  function drawClock() {
    const c = model.get("clock");
    if (c.now === undefined) return;
    const past = c.position != null; // JupyterLite makes undefined of None
    el.dataset.live = past ? "past" : "live";
    live.className = `lk-live ${past ? "past" : c.closed ? "closed" : c.running || !c.steps ? "live" : "stands"}`;
    say(live, past ? `◷ past: ${seconds(c.position)}` : c.closed ? "■ closed" : c.running ? "● live" : c.steps ? "❚❚ time stands: press ▶" : "● live");
    play.classList.toggle("primary", Boolean(c.steps && !past && !c.playing && !c.running));
    live.title = past ? "You are looking back; the run itself is not changed" : c.steps && !c.running ? "Simulated time moves only while ▶ is on, or while a cell runs it" : "You see the run as it is now";
    play.textContent = c.playing ? "❚❚" : "▶";
    play.dataset.act = c.playing ? "pause" : "play";
    const words = past ? (c.playing ? "Pause the replay" : "Play from here") : c.playing ? "Pause" : "Play";
    play.setAttribute("aria-label", words);
    play.title = c.playing ? words : `${words}${c.closed ? " (the cluster is closed: only the past can be played)" : ""}`;
    step.disabled = !past && !c.steps;
    if (speed.dataset.all !== JSON.stringify(c.speeds)) {
      speed.dataset.all = JSON.stringify(c.speeds);
      speed.replaceChildren(...c.speeds.map((s) => new Option(`${s}×`, s)));
    }
    if (document.activeElement !== speed) speed.value = c.speed;
    slider.min = c.start;
    slider.max = Math.max(c.now, c.start + 1e-6);
    if (!dragging) slider.value = past ? c.position : slider.max;
    slider.setAttribute("aria-valuetext", past ? `${seconds(c.position)}, in the past` : `${seconds(c.now)}, now`);
    say(time, `${seconds(past ? c.position : c.now)}`);
    now.style.visibility = past ? "visible" : "hidden";
    drawMarks();
    nameCharts(el);
    say(compact, c.compact ? "Everything" : "Compact");
    compact.title = c.compact ? "Show the whole panel" : "Show machines and stage only";
    compact.setAttribute("aria-label", compact.title);
    for (const each of chips.querySelectorAll("button.act")) each.disabled = past || c.closed;
  }

  function chip(machine) {
    const element = make("div", "lk-chip");
    element.setAttribute("role", "group");
    const glyph = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    glyph.setAttribute("viewBox", "0 0 16 16");
    glyph.setAttribute("aria-hidden", "true");
    glyph.innerHTML = `<path d="${placed(OUTLINES[machine.shape], 8, 8, 5.6)}"/>`;
    element.append(glyph);
    make("b", "", machine.name, element);
    make("span", "lk-state", "", element);
    make("span", "lk-count", "", element);
    const acts = make("span", "lk-acts", "", element);
    for (const [first, second] of [["kill", "restart"], ["pause", "resume"], ["slow", "normal"]]) {
      const act = button("", "", () => {
        // Kill turns into Restart under the pointer: the second half of a double click must not undo the first.
        // And what is under way is not asked for twice: a real machine takes its time to die.
        if (element.dataset.pending || performance.now() - (act.changed || -1e9) < 700) return;
        send(act.dataset.act, { machine: machine.name });
        element.dataset.pending = act.dataset.act;
        say(element.querySelector(".lk-state"), PENDING[act.dataset.act]);
        setTimeout(() => {
          if (!element.dataset.pending) return;
          delete element.dataset.pending;
          drawMachines();
        }, 6000);
      }, acts);
      act.classList.add("act", first);
      act.dataset.first = first;
      act.dataset.second = second;
    }
    return element;
  }

  const PENDING = { kill: "killing …", restart: "starting …", pause: "pausing …", resume: "resuming …", slow: "slowing …", normal: "…" };
  const WORDS = { kill: "Kill", restart: "Restart", pause: "Pause", resume: "Resume", slow: "Slow", normal: "Normal speed" };

  function drawMachines() {
    const machines = model.get("machines");
    chips.classList.toggle("many", machines.length > 8);
    keyed(chips, machines, (m) => m.name, chip, (element, m) => {
      const state = `${m.state}/${m.factor}/${m.incarnation}`;
      if (element.dataset.pending && element.dataset.was !== state) delete element.dataset.pending;
      element.dataset.was = state;
      element.dataset.machine = m.name;
      element.dataset.state = m.state;
      element.style.setProperty("--lk-own", `var(--lk-c${m.colour % 8})`);
      element.setAttribute("aria-label", `${m.name}, ${m.state}, ${many(m.nodes, "node")}`);
      const words = m.state === "slow" ? `◔ ${m.factor}× slower` : STATES[m.state];
      if (!element.dataset.pending) say(element.querySelector(".lk-state"), words);
      say(element.querySelector(".lk-count"), m.names.length ? m.names.join(", ") : many(m.nodes, "node"));
      element.title = m.pid ? `process ${m.pid}` : "";
      const [kill, pause, slow] = element.querySelectorAll("button.act");
      const on = { kill: m.state === "dead", pause: m.state === "paused", slow: m.factor !== 1 };
      for (const [act, off] of [[kill, on.kill], [pause, on.pause], [slow, on.slow]]) {
        const chosen = off ? act.dataset.second : act.dataset.first;
        if (act.dataset.act === chosen) continue;
        if (act.dataset.act) act.changed = performance.now();
        act.dataset.act = chosen;
        act.textContent = WORDS[chosen].replace(" speed", "");
        act.setAttribute("aria-label", `${WORDS[chosen]} ${m.name}`);
        act.title = `${WORDS[chosen]} ${m.name}`;
      }
      kill.hidden = m.state === "closed";
      pause.hidden = kill.hidden || m.state === "dead";
      slow.hidden = pause.hidden || m.state === "paused";
    });
    drawClock();
  }

  return { head: drawHead, clock: drawClock, machines: drawMachines, marks: drawMarks, runs: drawRuns, said: drawSaid };
}

// A chart is read aloud by its heading, not by the numbers of its axes.
function nameCharts(el) {
  for (const chart of el.closest(".labkit-panel")?.querySelectorAll(".bqplot:not([role])") || []) {
    chart.setAttribute("role", "img");
    chart.setAttribute("aria-label", `Chart: ${chart.previousElementSibling?.textContent || "numbers over time"}`);
  }
}
