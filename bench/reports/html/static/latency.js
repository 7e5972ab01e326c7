/* The distribution of the timed queries: a row a backbone, fastest first, a tick a query. */
drawing("latency", (data) => [
  element("p", { class: "soft small" }, "A tick is a query. The box holds the middle half, its line is the median. The scale is logarithmic."),
  chart("Latency of one image", (width) => drawLatencies(data.backbones, width)),
]);

function drawLatencies(backbones, width) {
  const narrow = width < 560;
  const wide = Math.min(200, Math.max(...backbones.map((b) => textWidth(shortened(b.label, 26)))) + 14);
  const [left, right, row] = [narrow ? 2 : wide, 14, narrow ? 54 : 38];
  const height = backbones.length * row + 44;
  const all = backbones.flatMap((b) => b.drawn);
  const range = [Math.min(...all) / 1.04, Math.max(...all) * 1.04];
  const x = logarithmic(range, [left, width - right]);
  const floor = backbones.length * row + 4;
  const children = logTicks(range, width / 80).flatMap((tick) => [
    svg("line", { class: "grid", x1: x(tick), x2: x(tick), y1: 0, y2: floor }),
    svg("text", { x: x(tick), y: floor + 16, "text-anchor": "middle" }, plainNumber(tick)),
  ]);
  children.push(svg("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, "ms"));
  backbones.forEach((b, index) => {
    const y = index * row + (narrow ? 34 : row / 2);
    const label = shortened(b.label, 26);
    const name = narrow
      ? svg("text", { class: "ink", x: left, y: y - 17 }, label)
      : svg("text", { class: "ink", x: left - 12, y: y + 4, "text-anchor": "end" }, label);
    const ticks = svg("path", { class: "blue", "stroke-width": 1, opacity: 0.35, d: b.drawn.map((v) => `M${x(v).toFixed(1)} ${y - 9}v18`).join("") });
    const box = b.quartiles && middleHalf(b.quartiles.map(x), y);
    const cover = svg("rect", { class: "halo", x: left, y: y - row / 2 + 2, width: width - right - left, height: row - 4, rx: 4, "pointer-events": "all" });
    const lines = [...Object.entries(b.percentiles).map(([n, text]) => `${n}: ${text}`), `${b.queries.toLocaleString("en")} queries`];
    if (!b.quartiles) lines.push("too few queries for the middle half");
    if (b.random) lines.push("random init: times are valid");
    children.push(name, explained(svg("g", {}, ticks, box, cover), b.label, lines));
  });
  return { height, children };
}

function middleHalf([low, middle, high], y) {
  return [
    svg("rect", { x: low, y: y - 9, width: Math.max(1, high - low), height: 18, fill: "var(--blue)", "fill-opacity": 0.22, stroke: "var(--blue)", "stroke-width": 1.2 }),
    svg("line", { x1: middle, x2: middle, y1: y - 12, y2: y + 12, stroke: "var(--ink)", "stroke-width": 2.5 }),
  ];
}
