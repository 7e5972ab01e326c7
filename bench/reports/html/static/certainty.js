/* Differences from the best with their intervals. */
drawing("certainty", ({ bars }) => {
  const labelled = bars.map((bar) => ({ ...bar, label: bar.names.map((name) => shortened(name, 60)).join(" − ") }));
  return labelled.length > 0 && chart("Differences from the best", (width) => drawDifferences(labelled, width));
});

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
