/* Accuracy against a cost: points with intervals, the Pareto front, names. */
section("tradeoff", "Accuracy against cost", (data) => {
  let cost = data.costs[0];
  const drawing = chart("Accuracy against cost", (width) => drawTradeoff(data, cost, width));
  const about = element("p", { class: "soft small" });
  const choose = (name) => {
    cost = data.costs.find((c) => c.name === name);
    about.textContent = costWords(data, cost);
    drawing.redraw();
  };
  const tools = data.costs.length > 1 && element("div", { class: "tools" },
    choice("Cost", data.costs.map((c) => [c.name, c.title]), choose));
  choose(cost.name);
  const dot = svg("circle", { cx: 15, cy: 6.5, r: 5, fill: "var(--blue)" });
  const other = svg("circle", { cx: 15, cy: 6.5, r: 4.5, fill: "var(--paper)", stroke: "var(--blue)", "stroke-width": 2 });
  const square = svg("rect", { x: 11, y: 2.5, width: 8, height: 8, fill: "none", stroke: "var(--soft)", "stroke-width": 2 });
  const random = data.points.some((p) => p.random);
  const ranked = data.points.some((p) => !p.random);
  return [tools, drawing, key([
    ...(ranked ? [[dot, "on the Pareto front: nothing is both better and cheaper"], [other, "another is better and cheaper"]] : []),
    ...(random ? [[square, "random init: its cost is valid, its accuracy meaningless"]] : []),
  ]), about];
});

function costWords(data, cost) {
  const missing = data.points.filter((p) => !(cost.name in p.costs)).map((p) => p.label);
  const over = data.over ? ` ${data.over}` : "";
  const ranked = data.points.filter((p) => !p.random).length;
  const take = data.recommended && ranked > 1 ? ` Recommended: ${data.recommended}.` : "";
  const without = missing.length ? ` No ${cost.title.toLowerCase()} is known of ${missing.join(", ")}.` : "";
  return `Bars are 95% intervals of the test accuracy${over}. Further left costs less; the scale is logarithmic.${take}${without}`;
}

const STRIP = 46;

function drawTradeoff(data, cost, width) {
  const points = data.points.filter((p) => cost.name in p.costs).map((p) => ({ ...p, cost: p.costs[cost.name].value }));
  const ranked = points.filter((p) => !p.random);
  const random = points.filter((p) => p.random);
  const [left, right, top, bottom] = [48, 12, 14, 46];
  const plot = ranked.length ? Math.max(230, Math.min(printing ? 270 : 400, width * 0.5)) : 0;
  const strip = random.length ? STRIP + 12 * Math.max(0, Math.min(random.length, 10) - 3) : 0;
  const height = top + plot + strip + bottom;
  const costs = points.map((p) => p.cost);
  const margin = Math.max(1.15, (Math.max(...costs) / Math.min(...costs)) ** 0.08);
  const range = [Math.min(...costs) / margin, Math.max(...costs) * margin];
  const x = logarithmic(range, [left, width - right]);
  const children = [];

  for (const tick of logTicks(range, width / 80)) {
    children.push(svg("line", { class: "grid", x1: x(tick), x2: x(tick), y1: top, y2: top + plot + strip }),
      svg("text", { x: x(tick), y: top + plot + strip + 18, "text-anchor": "middle" }, plainNumber(tick)));
  }
  children.push(svg("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, cost.axis));
  const marks = [];
  const taken = [];
  if (ranked.length) children.push(...accuracyPanel(ranked, cost, x, { left, right: width - right, top, height: plot }, marks));
  if (random.length) {
    const y = top + plot + strip / 2;
    const title = "random init, not ranked";
    taken.push([left, top + plot, left + 6 + textWidth(title), top + plot + 16]);
    children.push(svg("rect", { class: "band", x: left, y: top + plot + 2, width: width - right - left, height: strip - 2 }),
      svg("text", { x: left + 6, y: top + plot + 13, "font-size": 10 }, title));
    random.forEach((p) => marks.push({ point: p, x: x(p.cost), y: y + 5, low: y, high: y }));
  }
  const names = placeNames(marks, taken, [left, width - right, top, top + plot + strip]);
  children.push(...names, ...marks.map((mark) => tradeoffMark(mark, cost)));
  return { height, children };
}

function accuracyPanel(ranked, cost, x, frame, marks) {
  const ends = ranked.flatMap((p) => p.accuracy);
  const [least, most] = [Math.min(...ends), Math.max(...ends)];
  const margin = Math.max(0.005, 0.06 * (most - least));
  const range = [Math.max(0, least - margin), Math.min(1, most + margin)];
  const y = linear(range, [frame.top + frame.height - 4, frame.top]);
  const ticks = roundTicks(range, 5);
  const digits = ticks.length > 1 && ticks[1] - ticks[0] < 0.0099 ? 1 : 0;
  const children = ticks.map((tick) => [
    svg("line", { class: "grid", x1: frame.left, x2: frame.right, y1: y(tick), y2: y(tick) }),
    svg("text", { x: frame.left - 6, y: y(tick) + 4, "text-anchor": "end" }, percent(tick, digits)),
  ]).flat();
  const front = paretoFront(ranked);
  const steps = front.flatMap((p, i) => (i ? [[x(p.cost), y(front[i - 1].accuracy[1])], [x(p.cost), y(p.accuracy[1])]] : [[x(p.cost), y(p.accuracy[1])]]));
  if (front.length) steps.push([frame.right, y(front.at(-1).accuracy[1])]);
  children.push(svg("path", { class: "front", d: path(steps) }));
  for (const p of ranked) {
    const [low, middle, high] = p.accuracy.map(y);
    marks.push({ point: p, x: x(p.cost), y: middle, low, high, front: front.includes(p) });
  }
  return children;
}

/* The Pareto front: points that no other beats in accuracy without costing more. */
function paretoFront(points) {
  const front = [];
  for (const p of [...points].sort((a, b) => a.cost - b.cost || b.accuracy[1] - a.accuracy[1])) {
    if (!front.length || p.accuracy[1] > front.at(-1).accuracy[1]) front.push(p);
  }
  return front;
}

function tradeoffMark({ point, x, y, low, high, front }, cost) {
  const shape = point.random
    ? svg("rect", { x: x - 5, y: y - 5, width: 10, height: 10, fill: "var(--paper)", stroke: "var(--soft)", "stroke-width": 2 })
    : svg("circle", { cx: x, cy: y, r: 6, fill: front ? "var(--blue)" : "var(--paper)", stroke: "var(--blue)", "stroke-width": 2 });
  const node = svg("g", {},
    svg("path", { class: "blue whisker", d: low === high ? "" : `M${x} ${low}V${high}M${x - 4} ${low}h8M${x - 4} ${high}h8` }),
    svg("circle", { class: "halo", cx: x, cy: y, r: 11 }), shape,
    svg("circle", { cx: x, cy: y, r: 14, fill: "transparent" }));
  return explained(node, point.label, [point.text, `${cost.title}: ${point.costs[cost.name].text}`, ...(point.notes || [])]);
}

/* A free place next to each mark for its name; a name without one is only in the tooltip. */
function placeNames(marks, written, [left, right, top, bottom]) {
  const taken = [...written, ...marks.flatMap((m) => [[m.x - 8, m.y - 8, m.x + 8, m.y + 8], [m.x - 2, m.high, m.x + 2, m.low]])];
  const overlaps = (a) => taken.some((b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]);
  const names = [];
  for (const mark of marks) {
    const text = shortened(mark.point.label, 26);
    const size = textWidth(text);
    const places = [[10, 4], [-10 - size, 4], [8, -9], [-8 - size, -9], [8, 19], [-8 - size, 19], [-size / 2, -13], [-size / 2, 23], [14, -22], [14, 30], [-14 - size, -22], [4, -34], [4, 44], [-14 - size, 30]];
    const free = places.map(([dx, dy]) => [mark.x + dx, mark.y + dy - 10, mark.x + dx + size, mark.y + dy + 3])
      .find((b) => b[0] >= left && b[2] <= right && b[1] >= top - 6 && b[3] <= bottom && !overlaps(b));
    if (free) {
      taken.push(free);
      names.push(svg("text", { class: "ink over", x: free[0], y: free[3] - 3 }, text));
    }
  }
  return names;
}

const pen = document.createElement("canvas").getContext("2d");
function textWidth(text) {
  pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  return pen.measureText(text).width;
}
