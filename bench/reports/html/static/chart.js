/* A chart that is redrawn for each width, and once for print. */
const PAPER = { page: 690, plate: 330 };

function chart(label, draw) {
  const frame = element("div", { class: "chart" });
  let drawn = 0;
  const update = (width) => {
    if (!width || Math.abs(width - drawn) < 2) return;
    drawn = width;
    const { height, children } = draw(width);
    frame.replaceChildren(
      svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label }, children));
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

function path(points) {
  return points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

/* The legend of a chart: pairs of a small drawing and its text. */
function key(entries) {
  return element("ul", { class: "key" }, entries.map(([mark, words]) =>
    element("li", {}, svg("svg", { viewBox: "0 0 30 13", "aria-hidden": "true" }, mark), words)));
}
