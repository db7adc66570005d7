// Part of both modules (stage.py puts the files together, and OUTLINES and OVERLAYS of looks.toml above them).

// An outline of size 1 as one of size r at x, y; looks.py has the same function.
const placed = (path, x, y, r) => path.replace(/(-?[\d.]+),(-?[\d.]+)/g, (_, a, b) => `${+(x + a * r).toFixed(2)},${+(y + b * r).toFixed(2)}`);
