/* Charts: a frame that is redrawn for each width, the key, and what a reader does with them. */
const PAPER = { page: 690, plate: 330 };
const DRAWN_PLATES = 6;

function drawChart(spec, under) {
  const body = element("div", { class: "chart-body" });
  const key = drawKey(spec);
  if (spec.choice) {
    let panel = spec.panels[0];
    const note = element("p", { class: "soft small" });
    const frame = chartFrame(spec.title, () => panel);
    const choose = (name) => {
      panel = spec.panels.find((one) => one.title === name);
      note.textContent = panel.note ?? "";
      frame.redraw();
    };
    body.append(element("div", { class: "tools" }, spec.panels.length > 1 && choice(spec.choice, spec.panels.map((one) => [one.title, one.title]), choose)), frame);
    choose(panel.title);
    body.append(...[key, note].filter(Boolean));
  } else {
    const groups = [...new Set(spec.panels.map(({ title }) => title))].map((title) => spec.panels.filter((panel) => panel.title === title));
    if (key) body.append(key);
    if (spec.panels.length > 1 || spec.panels[0].title) body.append(plates(groups, drawPlate, DRAWN_PLATES));
    else body.append(chartFrame(spec.title, () => spec.panels[0]));
  }
  return element("div", { class: "chart-block", id: `chart-${spec.name}` }, spec.title !== under && heading("h3", `chart-${spec.name}`, spec.title), body,
    element("div", { class: "chart-foot" }, element("p", { class: "soft small" }, spec.note ?? ""), savers(spec, body)));
}

function drawPlate(panels) {
  const [{ title, about }] = panels;
  return tagged(element("figure", { class: "plate" }, title && element("figcaption", {}, named(title)),
    panels.map((panel) => chartFrame([panel.y.title, title].filter(Boolean).join(" of "), () => panel))), about);
}

/* A panel, drawn again whenever the width changes, and once for print. */
function chartFrame(label, panelNow) {
  const frame = element("div", { class: "chart" });
  let drawn = 0;
  const update = (width) => {
    if (!width || Math.abs(width - drawn) < 2) return;
    drawn = width;
    const panel = panelNow();
    const { height, children } = drawPanel(panel, width);
    const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label }, children);
    stepThrough(drawing, panel.layers[0].kind === "cells" ? panel.x.names.length : 1);
    frame.replaceChildren(drawing);
  };
  new ResizeObserver(([entry]) => {
    if (!matchMedia("print").matches) update(Math.floor(entry.contentRect.width));
  }).observe(frame);
  frame.redraw = () => { const width = drawn; drawn = 0; update(width); };
  // On paper the text of a chart that was drawn for a wide screen would be too small to read.
  if (printing) update(PAPER.plate);
  window.addEventListener("beforeprint", () => update(Math.min(drawn, PAPER.page)));
  window.addEventListener("afterprint", () => update(Math.floor(frame.clientWidth)));
  return frame;
}

/* Tab reaches a chart, the arrow keys its marks: a map of hundreds of cells is one stop. */
function stepThrough(drawing, across) {
  const points = [...drawing.querySelectorAll(".point")];
  points.forEach((point, index) => point.setAttribute("tabindex", index ? "-1" : "0"));
  drawing.addEventListener("keydown", (event) => {
    const at = points.indexOf(document.activeElement);
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across }[event.key];
    if (at < 0 || !step) return;
    event.preventDefault();
    const next = points[at + step];
    if (!next) return;
    points[at].setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  });
}

/* The key: every name of a layer once, as it is drawn. */
function drawKey({ panels }) {
  const layers = new Map(panels.flatMap((panel) => panel.layers).filter((layer) => layer.name).map((layer) => [layer.name, layer]));
  if (!layers.size) return null;
  return element("ul", { class: "key" }, [...layers.values()].map((layer) => tagged(element("li", {},
    svg("svg", { viewBox: "0 0 30 13", "aria-hidden": "true" },
      (layer.kind === "line" || layer.joined) && svg("line", { class: lineLook(layer), x1: 0, x2: 30, y1: 6.5, y2: 6.5 }),
      layer.kind === "points" && marker(15, 6.5, layer)), named(layer.name)), layer.joined && layer.name)));
}

/* Links that save what is seen of a chart. */
function savers({ name, title }, body) {
  return element("div", { class: "savers unprinted" },
    saver("SVG", title, () => saveFile(`${name}.svg`, "image/svg+xml", asSvg(title, body))),
    saver("PNG", title, () => savePng(`${name}.png`, asSvg(title, body))));
}

const LOOKS = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "stroke-linecap", "opacity", "paint-order", "font-size", "font-weight", "font-family", "text-anchor", "visibility"];

/* The title, drawings and captions of a chart, each where it is on the page, as one file. */
function asSvg(title, body) {
  const nodes = [...body.querySelectorAll("svg, .key .name, figcaption")];
  const boxes = nodes.map((node) => node.getBoundingClientRect());
  const [left, top] = [Math.min(...boxes.map((box) => box.left)) - 12, Math.min(...boxes.map((box) => box.top)) - 44];
  const [width, height] = [Math.max(...boxes.map((box) => box.right)) - left + 12, Math.max(...boxes.map((box) => box.bottom)) - top + 12];
  const words = (node, text, x, y, size) => {
    const { color, fontSize, fontWeight, fontFamily } = getComputedStyle(node);
    return svg("text", { x, y, fill: color, "font-size": size ?? fontSize, "font-weight": size ? 700 : fontWeight, "font-family": fontFamily }, text);
  };
  const whole = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height },
    svg("rect", { width, height, fill: getComputedStyle(document.body).backgroundColor }), words(document.body, title, 12, 26, 17));
  nodes.forEach((node, place) => {
    const [x, y] = [boxes[place].left - left, boxes[place].top - top];
    if (!node.matches("svg")) return whole.append(words(node, node.textContent, x, y + boxes[place].height * 0.75));
    const copy = node.cloneNode(true);
    Object.entries({ x, y, width: boxes[place].width, height: boxes[place].height, overflow: "visible" }).forEach(([key, value]) => copy.setAttribute(key, value));
    const copies = copy.querySelectorAll("*");
    node.querySelectorAll("*").forEach((original, index) => {
      const look = getComputedStyle(original);
      for (const name of ["style", "tabindex", "class"]) copies[index].removeAttribute(name);
      for (const name of LOOKS) copies[index].setAttribute(name, look.getPropertyValue(name));
    });
    return whole.append(copy);
  });
  return new XMLSerializer().serializeToString(whole);
}

function savePng(name, source) {
  const image = new Image();
  image.addEventListener("load", () => {
    const canvas = element("canvas", { width: 2 * image.width, height: 2 * image.height });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => saveFile(name, "image/png", blob));
  });
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(source)}`;
}
