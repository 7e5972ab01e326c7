/* Pairwise significance: differences from the best with their intervals, then every pair. */
section("certainty", "Pairwise significance", (data) => [
  data.bars.length > 0 && element("p", { class: "soft" }, "Differences in accuracy from the best, in percentage points, on the same test images, with their 95% intervals. Where one reaches zero, the data do not say who is better."),
  data.bars.length > 0 && chart("Differences from the best", (width) => drawDifferences(data.bars, width)),
  element("details", {}, element("summary", {}, "Every pair"),
    element("p", { class: "soft small" }, data.about),
    sortable(data.pairs, "Every pair of backbones"),
    data.more > 0 && element("p", { class: "soft small" }, `and ${data.more.toLocaleString("en")} more pairs`)),
]);

function drawDifferences(bars, width) {
  const narrow = width < 560;
  const [right, row] = [14, narrow ? 44 : 30];
  const left = narrow ? 6 : Math.min(330, Math.max(...bars.map((b) => textWidth(shortened(b.label, 46)))) + 18);
  const ends = [0, ...bars.flatMap((b) => b.ends)];
  const range = [100 * Math.min(...ends), 100 * Math.max(...ends)];
  const x = linear(range, [left + 6, width - right - 6]);
  const floor = bars.length * row + 6;
  const children = roundTicks(range, width / 110).flatMap((tick) => [
    svg("line", { class: "grid", x1: x(tick), x2: x(tick), y1: 0, y2: floor }),
    svg("text", { x: x(tick), y: floor + 15, "text-anchor": "middle" }, plainNumber(tick)),
  ]);
  children.push(svg("line", { x1: x(0), x2: x(0), y1: 0, y2: floor, stroke: "var(--ink)", "stroke-width": 1.5 }));
  bars.forEach((b, index) => {
    const y = index * row + (narrow ? 30 : row / 2 + 2);
    const [low, middle, high] = b.ends.map((v) => x(100 * v));
    children.push(
      svg("text", narrow ? { class: "ink over", x: left, y: y - 12 } : { class: "ink", x: left - 10, y: y + 4, "text-anchor": "end" }, shortened(b.label, narrow ? 38 : 46)),
      explained(svg("g", {},
        svg("path", { class: "blue whisker", d: `M${low} ${y}H${high}M${low} ${y - 4}v8M${high} ${y - 4}v8` }),
        svg("circle", { class: "halo", cx: middle, cy: y, r: 9 }),
        svg("circle", { cx: middle, cy: y, r: 5, fill: b.differ ? "var(--blue)" : "var(--paper)", stroke: "var(--blue)", "stroke-width": 2 })),
      b.label, [b.text, b.words].filter(Boolean)));
  });
  return { height: floor + 24, children };
}
