/* Accuracy against the number of training images, a line a backbone. */
const LOOKS = [["var(--blue)", "circle"], ["var(--orange)", "square"], ["var(--green)", "triangle"], ["var(--red)", "diamond"], ["var(--ink)", "cross"]];

drawing("learning", (data) => [
  key(data.curves.slice(0, 10).map((curve, i) => [marker(15, 6.5, i), named(curve.label)])),
  chart("Learning curves", (width) => drawLearning(data.curves.slice(0, 10), width)),
  data.curves.length > 10 && element("p", { class: "soft small" }, "The first ten are drawn; the table has all."),
]);

/* Distinguished by shape as well as colour; from the sixth on, by a hollow shape. */
function marker(x, y, index) {
  const [colour, shape] = LOOKS[index % LOOKS.length];
  const look = { stroke: colour, "stroke-width": 2, fill: index < LOOKS.length ? colour : "var(--paper)" };
  if (shape === "circle") return svg("circle", { cx: x, cy: y, r: 4.5, ...look });
  const outlines = {
    square: `M${x - 4} ${y - 4}h8v8h-8z`,
    triangle: `M${x} ${y - 5}l5 9h-10z`,
    diamond: `M${x} ${y - 5.5}l5.5 5.5l-5.5 5.5l-5.5 -5.5z`,
    cross: `M${x - 4} ${y - 4}l8 8M${x + 4} ${y - 4}l-8 8`,
  };
  return svg("path", { d: outlines[shape], ...look });
}

function drawLearning(curves, width) {
  const [left, right, top, bottom] = [48, 20, 10, 40];
  const height = Math.max(240, Math.min(380, width * 0.45));
  const points = curves.flatMap((c) => c.points);
  const sizes = [...new Set(points.map((p) => p.images))].sort((a, b) => a - b);
  const ends = points.flatMap((p) => p.accuracy);
  const range = [Math.min(...ends), Math.max(...ends)];
  const x = logarithmic([sizes[0] / 1.1, sizes.at(-1) * 1.1], [left, width - right]);
  const y = linear(range, [height - bottom, top]);
  const children = roundTicks(range, 5).flatMap((tick) => [
    svg("line", { class: "grid", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
    svg("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, percent(tick, 0)),
  ]);
  for (const size of sizes) children.push(svg("text", { x: x(size), y: height - bottom + 17, "text-anchor": "middle" }, size.toLocaleString("en")));
  children.push(svg("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, "training images (logarithmic)"));
  curves.forEach((curve, i) => {
    // Slightly shifted, so that no interval hides another.
    const aside = (i - (curves.length - 1) / 2) * 5;
    const places = curve.points.map((p) => [x(p.images) + aside, y(p.accuracy[1])]);
    children.push(svg("path", { class: "line", stroke: LOOKS[i % LOOKS.length][0], d: path(places) }));
    curve.points.forEach((p, j) => {
      const [px, py] = places[j];
      children.push(explained(svg("g", {},
        svg("line", { class: "whisker", stroke: LOOKS[i % LOOKS.length][0], x1: px, x2: px, y1: y(p.accuracy[0]), y2: y(p.accuracy[2]) }),
        svg("circle", { class: "halo", cx: px, cy: py, r: 10 }), marker(px, py, i)), curve.label, [`${p.images.toLocaleString("en")} images`, p.text]));
    });
  });
  return { height, children };
}
