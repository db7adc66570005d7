// Part of the stage's module (stage.py puts the two files together): what moves.

// -- things that move -------------------------------------------------------------------------------------------------

function curve(scene, a, b) {
  const mx = (a.x + b.x) / 2, my = (a.y + b.y) / 2;
  const [cx, cy] = scene.centre;
  return { a, b, c: { x: mx + (cx - mx) * scene.bend, y: my + (cy - my) * scene.bend } };
}

function along({ a, b, c }, t) {
  const u = 1 - t;
  return { x: u * u * a.x + 2 * u * t * c.x + t * t * b.x, y: u * u * a.y + 2 * u * t * c.y + t * t * b.y };
}

const ease = (t) => (t < 0.5 ? 2 * t * t : 1 - 2 * (1 - t) * (1 - t));

class Movers {
  constructor(canvas, colours) {
    this.canvas = canvas;
    this.colours = colours;
    this.flights = [];
    this.standing = [];
    this.seen = new Set();
    this.epoch = null;
    this.frame = null;
    this.scene = null;
  }

  // Pulses of an older epoch (another position of the scrubber) vanish; a pulse already seen is not started again.
  take({ epoch, items }, scene) {
    this.scene = scene;
    if (epoch !== this.epoch) {
      this.epoch = epoch;
      this.seen = new Set();
      this.flights = [];
    }
    this.standing = items.filter((p) => p.at != null || still.matches);
    const fresh = items.filter((p) => p.at == null && !still.matches && !this.seen.has(p.id));
    this.seen = new Set(items.map((p) => p.id)); // Python repeats a pulse in successive states, never later
    const now = performance.now();
    fresh.forEach((pulse, index) => {
      // A batch that arrives at once is fanned out over the tenth of a second in which it happened.
      this.flights.push({ pulse, begin: now + (90 * index) / fresh.length });
    });
    if (this.flights.length > 400) this.flights = this.flights.slice(-400);
    this.wake();
  }

  wake() {
    if (this.frame === null) this.frame = requestAnimationFrame(() => this.tick());
  }

  stop() {
    if (this.frame !== null) cancelAnimationFrame(this.frame);
    this.frame = null;
  }

  tick() {
    this.frame = null;
    const now = performance.now();
    this.flights = this.flights.filter((f) => now - f.begin < FLIGHT_MS + (f.pulse.kind === "lost" ? 500 : 0));
    this.draw(now);
    if (this.flights.length) this.wake();
  }

  draw(now) {
    const { canvas, scene } = this;
    if (!scene || !canvas.clientWidth) return;
    const density = window.devicePixelRatio || 1;
    const [w, h] = [Math.round(canvas.clientWidth * density), Math.round(canvas.clientHeight * density)];
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, w, h);
    const scale = w / scene.width;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    const marks = new Map(scene.marks.map((m) => [m.id, m]));
    const palette = this.colours();
    for (const pulse of this.standing) this.dot(context, marks, pulse, pulse.at == null ? 0.5 : pulse.at, palette);
    for (const { pulse, begin } of this.flights) {
      if (now >= begin) this.dot(context, marks, pulse, (now - begin) / FLIGHT_MS, palette);
    }
  }

  dot(context, marks, pulse, progress, palette) {
    const [a, b] = [marks.get(pulse.source), marks.get(pulse.target)];
    if (!a || !b) return;
    const path = curve(this.scene, a, b);
    context.fillStyle = context.strokeStyle = palette[pulse.kind] || palette.request;
    if (pulse.kind === "lost" && progress > 0.5 && pulse.at == null) {
      // A lost message stops on its way: that is all anybody will ever see of it.
      const { x, y } = along(path, 0.5);
      const d = 4;
      context.globalAlpha = Math.max(0, 1 - (progress - 0.5) / 1.2);
      context.lineWidth = 2;
      context.beginPath();
      context.moveTo(x - d, y - d);
      context.lineTo(x + d, y + d);
      context.moveTo(x + d, y - d);
      context.lineTo(x - d, y + d);
      context.stroke();
      context.globalAlpha = 1;
      return;
    }
    const t = ease(Math.min(1, Math.max(0, progress)));
    const tail = along(path, Math.max(0, t - 0.08));
    const { x, y } = along(path, t);
    context.globalAlpha = 0.45;
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(tail.x, tail.y);
    context.lineTo(x, y);
    context.stroke();
    context.globalAlpha = 1;
    context.beginPath();
    if (pulse.kind === "reply") context.rect(x - 2.6, y - 2.6, 5.2, 5.2); // shape is the second channel
    else context.arc(x, y, 3.2, 0, 7);
    context.fill();
  }
}

// -- a lookup, hop by hop ---------------------------------------------------------------------------------------------

class Route {
  constructor(group, announce) {
    this.group = group;
    this.announce = announce;
    this.timer = null;
    this.shown = "";
  }

  show(route, scene) {
    const text = JSON.stringify([route, scene.marks.map((m) => [m.id, m.x, m.y])]);
    if (text === this.shown) return;
    const same = this.route && route && route.id === this.route.id;
    this.shown = text;
    this.route = route;
    this.scene = scene;
    this.group.classList.toggle("over", Boolean(route && route.over));
    if (!route || !route.hops || !route.hops.length) {
      this.stop();
      this.group.replaceChildren();
      return;
    }
    if (!same) this.at = 0;
    if (still.matches || route.standing) {
      this.at = route.hops.length;
      if (!same) this.announce(route.hops.map((hop) => hop.text).join("; "));
    }
    this.paint();
    this.advance();
  }

  advance() {
    clearTimeout(this.timer);
    if (!this.route || this.at >= this.route.hops.length) return;
    this.timer = setTimeout(() => {
      this.at += 1;
      this.paint();
      this.announce(this.route.hops[this.at - 1].text);
      this.advance();
    }, this.at === 0 ? 150 : this.route.ms);
  }

  paint() {
    this.group.replaceChildren();
    const marks = new Map(this.scene.marks.map((m) => [m.id, m]));
    const badges = [];
    this.route.hops.slice(0, this.at).forEach((hop, index) => {
      const [a, b] = [marks.get(hop.source), marks.get(hop.target)];
      if (!a || !b || a === b) return;
      const path = curve(this.scene, a, b);
      const d = `M${a.x},${a.y}Q${path.c.x},${path.c.y} ${b.x},${b.y}`;
      const last = index === this.at - 1 && index < this.route.hops.length;
      const line = make("path", { d, class: `lk-route ${hop.lost ? "lost" : ""} ${last ? "now" : ""}`, "data-hop": index + 1 }, this.group);
      if (last && !still.matches && !this.route.standing) {
        const length = line.getTotalLength();
        line.style.setProperty("--lk-length", length);
        line.style.animationDuration = `${this.route.ms * 0.7}ms`;
        line.classList.add("grow");
      }
      // Nearer its target, so that hops of one origin stay apart; where another badge is already, further along.
      const free = ([x, y]) => badges.every(([p]) => Math.hypot(p.x - x, p.y - y) > 17);
      const spots = [0.68, 0.5, 0.82, 0.36, 0.22].map((t) => along(path, t));
      badges.push([spots.find(({ x, y }) => free([x, y])) || spots[0], index + 1, hop]);
    });
    badges.forEach(([p, number, hop]) => {
      const badge = make("g", { class: `lk-badge ${hop.lost ? "lost" : ""}` }, this.group);
      make("circle", { cx: p.x, cy: p.y, r: 9 }, badge);
      const text = make("text", { x: p.x, y: p.y + 4, "text-anchor": "middle" }, badge);
      text.textContent = hop.lost ? "✕" : number;
      title(badge, hop.text);
    });
    const owner = marks.get(this.route.owner);
    if (owner && this.at >= this.route.hops.length) {
      make("circle", { class: "lk-owner", cx: owner.x, cy: owner.y, r: owner.r + 8 }, this.group);
    }
  }

  stop() {
    clearTimeout(this.timer);
  }
}
