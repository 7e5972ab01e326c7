/* A panel of a chart: its axes, layers and texts. */
const COLOURS = ["blue", "orange", "green", "red", "ink"];
const NARROW = 560;
const STRIP = 46;
const CELL = { height: 26, width: 72 };
const TWO_LINES = { height: 36, width: 54 };
const FEW = { columns: 4, height: 62, width: 104 }; // up to so many columns have large cells
const MAP = 480; // width of a heat map without texts
const ASIDE = 5; // pixels between the marks of two joined layers

const colourOf = ({ colour, kind }) => (colour === null || (kind === "line" && colour === undefined) ? "faint" : COLOURS[(colour ?? 0) % COLOURS.length]);
const lineLook = (layer) => `line ${colourOf(layer)}${layer.dashed ? " dashed" : ""}`;

/* The marker of a layer: its own colour and shape; from the sixth layer on, hollow. */
function drawMarker(x, y, layer, size = 0.3) {
  const index = layer.colour ?? 0;
  const name = colourOf(layer);
  const look = { stroke: `var(--${name})`, "stroke-width": 2, fill: layer.hollow || index >= COLOURS.length ? "var(--paper)" : `var(--${name})` };
  const r = 3 + 5 * Math.sqrt(size) - (layer.joined ? 1.2 : 0);
  const outlines = [
    null,
    `M${x - 4} ${y - 4}h8v8h-8z`,
    `M${x} ${y - 5}l5 9h-10z`,
    `M${x} ${y - 5.5}l5.5 5.5l-5.5 5.5l-5.5 -5.5z`,
    `M${x - 4} ${y - 4}l8 8M${x + 4} ${y - 4}l-8 8`,
  ];
  const outline = layer.joined && outlines[index % COLOURS.length];
  return outline ? svg("path", { d: outline, ...look }) : svg("circle", { cx: x, cy: y, r, ...look });
}

function drawPanel(panel, width) {
  const layout = layOut(panel, width);
  const { x, y, frame, height } = layout;
  const children = [...drawSpans(panel, layout), ...drawAxes(panel, layout)];
  const labels = [];
  // Joined layers are shifted, so that their intervals do not hide each other.
  const joined = panel.layers.filter((layer) => layer.joined && layer.marks.some((mark) => mark.interval));
  for (const layer of panel.layers) {
    const aside = joined.includes(layer) ? (joined.indexOf(layer) - (joined.length - 1) / 2) * ASIDE : 0;
    if (layer.kind === "points") children.push(...drawPoints(layer, panel, layout, aside, labels));
    else if (layer.kind === "line") children.push(...drawLine(layer, x, y, frame));
    else if (layer.kind === "cells") children.push(...drawCells(layer, panel, layout));
    else children.push(drawSpread(layer, layout));
  }
  const written = frame.strip ? [[frame.left, frame.floor, frame.left + 6 + textWidth(panel.strip), frame.floor + 16]] : [];
  const lines = panel.layers.filter((layer) => layer.steps).flatMap((layer) => stepsOf(layer, x, y));
  children.push(...placeNames(labels, written, lines, [frame.left, frame.right, frame.top, frame.bottom]));
  if (panel.layers.some((layer) => layer.kind === "line" && layer.name)) children.push(lineReader(panel, layout));
  return { height, children };
}

const marksOf = (panel) => panel.layers.filter((layer) => layer.kind === "points").flatMap((layer) => layer.marks);

/* The layout of a panel: the scales of both axes and the frame between them. */
function layOut(panel, width) {
  const rows = panel.y.names;
  const columns = panel.x.names;
  const cells = panel.layers[0].kind === "cells" && panel.layers[0];
  const above = rows && !cells && width < NARROW; // there is no room for names to the left
  const most = cells ? Math.max(60, width * 0.34) : 330;
  const names = rows?.map((name) => fitText(name, most));
  const left = !rows ? 46 : above ? 8 : Math.max(...names.map(textWidth)) + 14;
  const right = Math.min(width - 14, cells ? left + columns.length * cellWidth(cells, columns, width - 14 - left) : Infinity);
  const across = columns && (right - left) / columns.length;
  const top = panel.spans ? 32 : panel.y.title ? 22 : 8;
  const step = rows && (cells ? (cells.texts ? sizeOf(cells, columns).height : across) : above ? 46 : 32);
  const random = marksOf(panel).filter((mark) => mark.y === null).length;
  const strip = random ? STRIP + 12 * Math.max(0, Math.min(random, 10) - 3) : 0;
  const some = !panel.layers.every((layer) => layer.kind === "points" && layer.marks.every((mark) => mark.y === null));
  const plot = rows ? rows.length * step : some ? Math.max(panel.height ? 0 : 230, Math.min(printing ? 240 : 400, (right - left) * (panel.height ?? 0.45))) : 0;
  const floor = top + plot;
  const bottom = floor + strip;
  const turned = columns && columns.some((name) => textWidth(name) > across - 4);
  const deep = turned ? Math.min(150, Math.max(...columns.map(textWidth))) + 8 : 20;
  const shift = above ? 8 : 0;
  return {
    names, columns, above, step, across, turned,
    frame: { left, right, top, floor, bottom, strip },
    x: columns ? (i) => left + (i + 0.5) * across : scale(panel.x, [left, right]),
    y: rows ? (i) => top + (i + 0.5) * step + shift : scale(panel.y, [floor - 2, top]),
    height: bottom + deep + (panel.x.title ? 18 : 2),
  };
}

const linesOf = (cells) => Math.max(...cells.texts.flat().map((lines) => lines.length));

const sizeOf = (cells, columns) => (linesOf(cells) < 2 ? CELL : columns.length > FEW.columns ? TWO_LINES : FEW);

function cellWidth(cells, columns, room) {
  const widest = Math.max(...columns.map(textWidth)) + 5;
  if (!cells.texts) return Math.max(MAP / columns.length, widest > 5 ? 13 : 0);
  const { width } = sizeOf(cells, columns);
  return columns.length * Math.max(width, widest) <= room ? Math.max(width, widest) : width; // else names are turned
}

/* A function from the values of an axis to positions between two ends. */
function scale({ low, high, log }, [from, to]) {
  const at = log ? Math.log : Number;
  const span = at(high) - at(low) || 1;
  return (value) => from + ((at(value) - at(low)) / span) * (to - from);
}

function drawAxes(panel, { x, y, names, columns, above, frame, turned, across, height }) {
  const { left, right, top, floor, bottom, strip } = frame;
  const children = [];
  if (strip) children.push(svg("rect", { class: "band", x: left, y: floor + 2, width: right - left, height: strip - 2 }), svg("text", { x: left + 6, y: floor + 13, "font-size": 10 }, panel.strip));
  if (columns) {
    columns.forEach((name, i) => name && children.push(setAbout(turned
      ? svg("text", { class: "ink", transform: `translate(${x(i) + 4} ${bottom + 8}) rotate(-90)`, "text-anchor": "end" }, fitText(name, 150))
      : svg("text", { class: "ink", x: x(i), y: bottom + 16, "text-anchor": "middle" }, fitText(name, across)), name)));
  } else {
    let end = -Infinity;
    panel.x.ticks?.forEach((value, i) => {
      const text = panel.x.words[i];
      children.push(svg("line", { class: "grid", x1: x(value), x2: x(value), y1: top, y2: bottom }));
      const half = textWidth(text) / 2;
      if (x(value) - half < end) return;
      end = x(value) + half + 6;
      children.push(svg("text", { x: x(value), y: bottom + 17, "text-anchor": "middle" }, text));
    });
  }
  if (names) {
    names.forEach((name, i) => name && children.push(setAbout(above
      ? svg("text", { class: "ink over", x: left, y: y(i) - 15 }, fitText(panel.y.names[i], right - left))
      : svg("text", { class: "ink", x: left - 9, y: y(i) + 4, "text-anchor": "end" }, name), panel.y.names[i])));
  } else if (floor > top) {
    panel.y.ticks?.forEach((value, i) => children.push(svg("line", { class: "grid", x1: left, x2: right, y1: y(value), y2: y(value) }),
      svg("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, panel.y.words[i])));
  }
  if (panel.y.title && floor > top) children.push(svg("text", { x: 0, y: 11 }, panel.y.title));
  if (panel.x.title) children.push(svg("text", { x: (left + right) / 2, y: height - 5, "text-anchor": "middle" }, panel.x.title));
  return children;
}

function drawSpans(panel, { x, columns, across, frame }) {
  return (panel.spans ?? []).flatMap(({ start, end, name }, i) => {
    const [from, to] = columns ? [frame.left + start * across, frame.left + end * across] : [x(start), x(end)];
    return [
      i % 2 && !columns && svg("rect", { class: "band", x: from, y: frame.top, width: to - from, height: frame.bottom - frame.top }),
      to - from > 26 && svg("text", { x: from + 3, y: frame.top - 6, "font-size": 11 }, fitText(name, to - from - 4)),
    ].filter(Boolean);
  });
}

function drawPoints(layer, panel, { x, y, frame }, aside, labels) {
  const places = layer.marks.map((mark) => ({ mark, px: x(mark.x) + aside, py: mark.y === null ? (frame.floor + frame.bottom) / 2 + 5 : y(mark.y) }));
  const whiskers = places.map(({ mark, px, py }) => {
    if (!mark.interval) return "";
    if (panel.y.names) return `M${x(mark.interval[0])} ${py}H${x(mark.interval[1])}${mark.interval.map((v) => `M${x(v)} ${py - 4}v8`).join("")}`;
    return `M${px} ${y(mark.interval[0])}V${y(mark.interval[1])}${mark.interval.map((v) => `M${px - 4} ${y(v)}h8`).join("")}`;
  });
  const nodes = places.map(({ mark, px, py }, i) => {
    const node = svg("g", {}, whiskers[i] && ["hit", `whisker ${colourOf(layer)}`].map((look) => svg("path", { class: look, d: whiskers[i] })),
      svg("circle", { class: "halo", cx: px, cy: py, r: 11, "pointer-events": "all" }), drawMarker(px, py, layer, mark.size));
    if (layer.labelled) {
      const [low, high] = mark.interval && mark.y !== null ? mark.interval.map(y) : [py, py];
      labels.push({ text: fitText(mark.label, 190), about: mark.about ?? mark.label, x: px, y: py, low, high });
    }
    return mark.tip ? setAbout(addTooltip(node, mark.label, mark.tip), mark.about ?? panel.about ?? mark.label) : node;
  });
  return [layer.joined && svg("path", { class: lineLook(layer), d: pathOf(places.map(({ px, py }) => [px, py])) }), ...nodes].filter(Boolean);
}

function drawLine(layer, x, y, frame) {
  const parts = [[]];
  layer.x.forEach((value, i) => {
    if (layer.y[i] === null) return parts.push([]);
    const part = parts.at(-1);
    const point = [x(value), y(layer.y[i])];
    if (layer.steps && part.length) part.push([point[0], part.at(-1)[1]]);
    return part.push(point);
  });
  const alone = parts.filter((part) => part.length === 1 && !layer.steps);
  return [
    svg("path", { class: lineLook(layer), d: parts.filter((part) => part.length > 1).map(pathOf).join("") }),
    // A line through a single point would be invisible.
    ...alone.map(([[cx, cy]]) => svg("circle", { cx, cy, r: 2.5, fill: `var(--${colourOf(layer)})` })),
  ];
}

function drawCells(layer, panel, layout) {
  const { x, y, across, step } = layout;
  if (!layer.texts) return drawMap(layer, panel, layout);
  // A line of text is shown in all cells or in none: showing only the figures that fit would mislead.
  const widest = [0, 1].map((n) => Math.max(...[...new Set(layer.texts.flat().map((lines) => lines[n] ?? ""))].map(textWidth)));
  const along = ({ title }, name) => [title, name].filter(Boolean).join(" ");
  return layer.shades.flatMap((row, i) => row.map((shade, j) => {
    const lines = layer.texts[i][j];
    const sizes = lines.length < 2 ? [11] : step === FEW.height ? [16, 12] : [12, 10];
    const shown = lines.filter((_, n) => (widest[n] * sizes[n]) / 12 < across - 2);
    const box = { x: x(j) - across / 2 + 0.5, y: y(i) - step / 2 + 0.5, width: across - 1, height: step - 1, rx: 2 };
    const look = shade > 0.85 ? "inverse" : shade > 0.55 ? "dark" : "ink";
    const node = svg("g", {}, svg("rect", { class: "band", ...box }),
      svg("rect", { class: "halo", ...box, style: { fill: "var(--blue)", "fill-opacity": String(shade ?? 0) } }),
      shown.map((line, n) => svg("text", { class: look, x: x(j), y: y(i) + 4 + (sizes[0] + 2) * (n - (shown.length - 1) / 2), "text-anchor": "middle", "font-size": sizes[n] }, line)));
    const span = panel.spans?.find(({ start, end }) => j >= start && j < end)?.name;
    const about = layer.about?.length === panel.y.names.length ? layer.about[i] : layer.about?.[j];
    addTooltip(node, along(panel.y, panel.y.names[i]), [[span, along(panel.x, panel.x.names[j])].filter(Boolean).join(", "), lines.join(", ") || "–"]);
    if (layer.opens?.[i][j]) openOnClick(node, panel.title, i, j, layer.opens[i][j]);
    return setAbout(node, about);
  }));
}

function drawSpread({ row, ticks, label, tip, box }, { x, y, step, frame }) {
  const middle = y(row);
  return setAbout(addTooltip(svg("g", {},
    svg("path", { class: "blue", "stroke-width": 1, opacity: 0.35, d: ticks.map((v) => `M${x(v).toFixed(1)} ${middle - 9}v18`).join("") }),
    box && svg("rect", { x: x(box[0]), y: middle - 9, width: Math.max(1, x(box[2]) - x(box[0])), height: 18, fill: "var(--blue)", "fill-opacity": 0.22, stroke: "var(--blue)", "stroke-width": 1.2 }),
    box && svg("line", { x1: x(box[1]), x2: x(box[1]), y1: middle - 12, y2: middle + 12, stroke: "var(--ink)", "stroke-width": 2.5 }),
    svg("rect", { class: "halo", x: frame.left, y: middle - step / 2 + 1, width: frame.right - frame.left, height: step - 2, rx: 4, "pointer-events": "all" })), label, tip), label);
}

/* Shows the figures of all lines at the position of the pointer or the keyboard focus. */
function lineReader(panel, { x, frame: { left, right, top, bottom } }) {
  const read = panel.layers.filter((layer) => layer.name);
  const at = new Map();
  read.forEach((layer) => (layer.marks ?? layer.x.map((value, i) => ({ x: value, y: layer.y[i] }))).forEach((mark) => {
    if (mark.y === null) return;
    if (!at.has(mark.x)) at.set(mark.x, new Map());
    at.get(mark.x).set(layer.name, [...(at.get(mark.x).get(layer.name) ?? []), mark.y]);
  }));
  const stops = [...at.keys()].sort((a, b) => a - b);
  const rule = svg("line", { class: "axis", y1: top, y2: bottom, visibility: "hidden" });
  const cover = svg("rect", { x: left, y: top, width: right - left, height: bottom - top, fill: "transparent" });
  const group = svg("g", { tabindex: 0, role: "slider", "aria-label": [panel.y.title, panel.title].filter(Boolean).join(" of "), "aria-valuemin": 1, "aria-valuenow": 1, "aria-valuemax": stops.length }, rule, cover);
  let stop = 0;
  const show = () => {
    const value = stops[stop];
    const span = panel.spans?.find(({ start, end }) => value > start && value <= end)?.name;
    const title = [span, `${panel.x.title} ${value}`].filter(Boolean).join(", ");
    const lines = [...at.get(value)].map(([name, found]) => `${name}: ${found.map((one) => (panel.y.percent ? percent(one) : one.toLocaleString("en", { maximumSignificantDigits: 4 }))).join(", ")}`);
    for (const end of ["x1", "x2"]) rule.setAttribute(end, x(value));
    rule.setAttribute("visibility", "visible");
    group.setAttribute("aria-valuenow", stop + 1);
    group.setAttribute("aria-valuetext", [title, ...lines].join("; "));
    showTip(rule.getBoundingClientRect(), title, lines);
  };
  const hide = () => { rule.setAttribute("visibility", "hidden"); hideTip(); };
  group.addEventListener("pointermove", (event) => {
    const box = cover.getBoundingClientRect();
    const where = left + ((event.clientX - box.left) / box.width) * (right - left);
    stop = stops.reduce((best, value, i) => (Math.abs(x(value) - where) < Math.abs(x(stops[best]) - where) ? i : best), 0);
    show();
  });
  group.addEventListener("pointerleave", hide);
  group.addEventListener("focus", () => { if (group.matches(":focus-visible")) show(); });
  group.addEventListener("blur", hide);
  group.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    stop = Math.min(stops.length - 1, Math.max(0, stop + step));
    show();
  });
  return group;
}

/* The boxes of the horizontal and vertical parts of a stepped line. */
function stepsOf(layer, x, y) {
  return layer.x.slice(1).flatMap((value, i) => {
    const [from, to, before, after] = [x(layer.x[i]), x(value), y(layer.y[i]), y(layer.y[i + 1])];
    return [[Math.min(from, to), before - 2, Math.max(from, to), before + 2], [to - 2, Math.min(before, after), to + 2, Math.max(before, after)]];
  });
}

/* Places the name of each mark next to it, clear of lines and intervals if possible. A name without
   room is only in the tooltip. */
function placeNames(marks, written, lines, [left, right, top, bottom]) {
  const taken = [...written, ...marks.map((m) => [m.x - 8, m.y - 8, m.x + 8, m.y + 8])];
  const crossed = [...lines, ...marks.map((m) => [m.x - 2, m.high, m.x + 2, m.low])];
  const overlaps = (a, others) => others.some((b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]);
  return marks.map((mark) => {
    const size = textWidth(mark.text);
    const places = [[10, 4], [8, -9], [8, 19], [-10 - size, 4], [-8 - size, -9], [-8 - size, 19], [-size / 2, -13], [-size / 2, 23], [14, -22], [14, 30], [-14 - size, -22], [4, -34], [4, 44], [-14 - size, 30]];
    const possible = places.map(([dx, dy]) => [mark.x + dx, mark.y + dy - 10, mark.x + dx + size, mark.y + dy + 3])
      .filter((b) => b[0] >= left && b[2] <= right && b[1] >= top - 6 && b[3] <= bottom && !overlaps(b, taken));
    const free = possible.find((b) => !overlaps(b, crossed)) ?? possible[0];
    if (!free) return null;
    taken.push([free[0] - 4, free[1], free[2] + 4, free[3]]);
    return setAbout(svg("text", { class: "ink over", x: free[0], y: free[3] - 3 }, mark.text), mark.about);
  }).filter(Boolean);
}

function pathOf(points) {
  return points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}
