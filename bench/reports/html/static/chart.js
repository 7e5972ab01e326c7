/* Charts: frames that are redrawn for each width, the key, saving, tooltips and highlighting. */
const PAPER = { page: 690, plate: 330 };
const DRAWN_PLATES = 6;
const MAX_BUTTONS = 8; // for more alternatives there is a menu
const CHOSEN = new Map(); // by chart: the title of the alternative that is shown

function drawChart(spec, under) {
  const key = drawKey(spec);
  const body = element("div", { class: "chart-body" }, spec.choice ? drawAlternatives(spec, key) : [key, drawPanels(spec)]);
  const any = (test) => spec.panels.some(({ layers }) => layers.some(test));
  const help = [any(({ opens, filled }) => opens || filled) && "Click a cell to see its images.",
    any(({ kind, name }) => kind === "line" && name) && "Point at a chart, or use the arrow keys in it, to read the figures of an epoch."]
    .filter(Boolean).map((text) => element("span", { class: "unprinted" }, ` ${text}`));
  return element("div", { class: "chart-block", id: `chart-${spec.name}` }, spec.title !== under && heading("h3", `chart-${spec.name}`, spec.title), body,
    element("div", { class: "chart-foot" }, element("p", { class: "soft small" }, spec.note, help), saveButtons(spec, body)));
}

function drawAlternatives(spec, key) {
  let panel;
  const name = element("p", { class: "printed" });
  const note = element("p", { class: "soft small" });
  const frame = chartFrame(spec.title, () => panel);
  const choose = (chosen) => {
    panel = chosen;
    CHOSEN.set(spec.name, panel.title);
    document.dispatchEvent(new Event("chosen"));
    closeImages();
    name.replaceChildren(nameSpan(panel.title));
    note.textContent = panel.note ?? "";
    frame.redraw();
  };
  choose(spec.panels[0]);
  // Print has no menu: the other alternatives follow the chosen one.
  const others = element("div", { class: "plates" });
  window.addEventListener("beforeprint", () => others.replaceChildren(...spec.panels
    .filter((one) => one !== panel).slice(0, (spec.on_paper ?? 1) - 1).map((one) => drawPlate([one]))));
  window.addEventListener("afterprint", () => others.replaceChildren());
  const several = spec.panels.length > 1 && (spec.panels.length > MAX_BUTTONS ? choiceMenu : choiceButtons)(spec.choice, spec.panels, choose);
  return [element("div", { class: "tools" }, several), name, frame, key, note, others];
}

/* A single panel, or a grid of panels grouped by title: the first few at once, the others on demand
   and in print. */
function drawPanels({ title, panels }) {
  if (panels.length === 1 && !panels[0].title) return chartFrame(title, () => panels[0]);
  const groups = [...new Set(panels.map((panel) => panel.title))].map((one) => panels.filter((panel) => panel.title === one));
  const frame = element("div", { class: "plates" }, groups.slice(0, DRAWN_PLATES).map(drawPlate));
  if (groups.length <= DRAWN_PLATES) return frame;
  const more = element("button", { class: "button more", type: "button" }, `Show all ${groups.length}`);
  const all = () => {
    if (!more.isConnected) return;
    more.remove();
    frame.append(...groups.slice(DRAWN_PLATES).map(drawPlate));
  };
  more.addEventListener("click", all);
  window.addEventListener("beforeprint", all);
  return [frame, more];
}

function drawPlate(panels) {
  const [{ title, about, note }] = panels;
  return setAbout(element("figure", { class: "plate" }, title && element("figcaption", {}, nameSpan(title)),
    panels.map((panel) => chartFrame([panel.y.title, title].filter(Boolean).join(" of "), () => panel)),
    note && element("p", { class: "soft small" }, note)), about);
}

/* A panel, redrawn whenever the width changes and for printing. */
function chartFrame(label, panelNow) {
  const frame = element("div", { class: "chart" });
  let drawn = 0;
  const update = (width) => {
    if (!width || Math.abs(width - drawn) < 2) return;
    drawn = width;
    const panel = panelNow();
    const { height, children } = drawPanel(panel, width);
    const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label }, children);
    stepThrough(drawing, panel.x.names?.length ?? 1);
    frame.replaceChildren(drawing);
  };
  new ResizeObserver(([entry]) => {
    if (!matchMedia("print").matches) update(Math.floor(entry.contentRect.width));
  }).observe(frame);
  frame.redraw = () => { const width = drawn; drawn = 0; update(width); };
  // In print, the text of a chart drawn for a wide screen would be too small to read.
  if (printing) update(PAPER.plate);
  window.addEventListener("beforeprint", () => {
    const width = Math.min(drawn, frame.closest(".plates") ? PAPER.plate : PAPER.page);
    drawn = 0; // redraw at any width, because printed charts are less high
    update(width);
  });
  window.addEventListener("afterprint", () => update(Math.floor(frame.clientWidth)));
  return frame;
}

/* Tab reaches a chart, and the arrow keys move between its marks. */
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

/* The key, with each name of a layer once. */
function drawKey({ panels }) {
  const layers = new Map(panels.flatMap((panel) => panel.layers).filter((layer) => layer.name).map((layer) => [layer.name, layer]));
  if (!layers.size) return null;
  return element("ul", { class: "key" }, [...layers.values()].map((layer) => setAbout(element("li", {},
    svg("svg", { viewBox: "0 0 30 13", "aria-hidden": "true" },
      (layer.kind === "line" || layer.joined) && svg("line", { class: lineLook(layer), x1: 0, x2: 30, y1: 6.5, y2: 6.5 }),
      layer.kind === "points" && drawMarker(15, 6.5, layer)), nameSpan(layer.name)), layer.joined && layer.name)));
}

/* Buttons that save a chart as it is shown. */
function saveButtons({ name, title }, body) {
  return element("div", { class: "savers unprinted" },
    saveButton("SVG", title, () => saveFile(`${name}.svg`, "image/svg+xml", asSvg(title, body))),
    saveButton("PNG", title, () => savePng(`${name}.png`, asSvg(title, body))));
}

const LOOKS = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "stroke-linecap", "opacity", "paint-order", "font-size", "font-weight", "font-family", "text-anchor", "visibility"];

/* The title, drawings and captions of a chart as one SVG, placed as on the page. */
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

/* The tooltip of a mark in a chart, under the pointer or keyboard focus. */
const tip = element("div", { id: "tip", role: "tooltip", hidden: true });
document.body.append(tip);

function addTooltip(node, title, lines) {
  node.setAttribute("tabindex", "0");
  node.setAttribute("role", "img");
  node.setAttribute("aria-label", [title, ...lines].join("; "));
  node.classList.add("point");
  const show = () => showTip((node.querySelector(".halo") ?? node).getBoundingClientRect(), title, lines);
  for (const name of ["pointerenter", "focus"]) node.addEventListener(name, show);
  for (const name of ["pointerleave", "blur"]) node.addEventListener(name, hideTip);
  return node;
}

function showTip(box, title, lines) {
  tip.replaceChildren(element("b", {}, title), ...lines.map((line) => element("div", {}, line)));
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.min(Math.max(8, box.left + box.width / 2 - width / 2), innerWidth - width - 8);
  const top = box.top - height - 10 < 8 ? box.bottom + 10 : box.top - height - 10;
  tip.style.left = `${left + scrollX}px`;
  tip.style.top = `${top + scrollY}px`;
}

function hideTip() {
  tip.hidden = true;
}

document.addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });

/* Rows of tables and marks of charts about the same backbone are highlighted together. */
function setAbout(node, about) {
  if (about) node.dataset.about = about;
  return node;
}

let lit = null;
function highlight(event) {
  const about = event.target.closest?.("[data-about]")?.dataset.about;
  if (about === lit) return;
  lit = about;
  document.querySelectorAll(".lit").forEach((node) => node.classList.remove("lit"));
  if (about) document.querySelectorAll(`[data-about="${CSS.escape(about)}"]`).forEach((node) => node.classList.add("lit"));
}

for (const name of ["pointerover", "focusin"]) document.addEventListener(name, highlight);
