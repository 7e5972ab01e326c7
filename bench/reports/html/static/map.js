/* Heat maps with too many cells for texts, such as a confusion matrix of a thousand classes. */
const SHADES = 8;
const DOT = 1.5; // smallest visible size of a cell, in pixels
const REACH = 8; // distance from the pointer at which a cell is found, in pixels

/* Draws all cells of a shade as one path. */
function drawMap(layer, panel, layout) {
  const { x, y, across, step, frame: { left, right, top, floor } } = layout;
  const { filled } = layer;
  const paths = Array.from({ length: SHADES }, () => "");
  for (let i = 0; i < filled.length; i += 3) {
    const [row, column, shade] = filled.slice(i, i + 3);
    paths[Math.ceil(shade * SHADES) - 1] += `M${(x(column) - across / 2).toFixed(2)} ${y(row).toFixed(2)}h${Math.max(DOT, across).toFixed(2)}`;
  }
  return [svg("rect", { class: "band", x: left, y: top, width: right - left, height: floor - top }),
    ...paths.map((d, i) => svg("path", { class: "blue", "stroke-width": Math.max(DOT, step), opacity: (i + 1) / SHADES, d })),
    mapReader(layer, panel.title, layout)];
}

/* Names the cell nearest to the pointer; a click shows its images. For the keyboard there is the table
   below. */
function mapReader({ filled }, label, { frame: { left, right, top, floor }, across, step }) {
  const cover = svg("rect", { class: "cover", x: left, y: top, width: right - left, height: floor - top });
  const nearest = ({ clientX, clientY }) => {
    const box = cover.getBoundingClientRect();
    let [found, least] = [null, REACH];
    for (let i = 0; i < filled.length; i += 3) {
      const away = Math.hypot(box.left + (filled[i + 1] + 0.5) * across - clientX, box.top + (filled[i] + 0.5) * step - clientY);
      if (away < least) [found, least] = [[filled[i], filled[i + 1]], away];
    }
    return found;
  };
  cover.addEventListener("pointermove", (event) => {
    const cell = nearest(event);
    if (cell) showTip(new DOMRect(event.clientX, event.clientY - 4, 0, 8), cellTitle(largeData("predictions"), ...cell), []);
    else hideTip();
  });
  cover.addEventListener("pointerleave", hideTip);
  cover.addEventListener("click", (event) => {
    const cell = nearest(event);
    closeImages();
    if (cell) showImages(cover, label, ...cell, 0, () => {});
  });
  return cover;
}
