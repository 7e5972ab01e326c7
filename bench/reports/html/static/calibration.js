/* Reliability diagrams: confidence against accuracy. */
drawing("calibration", (data) => [
  element("p", { class: "soft" }, "Answers grouped by the confidence that came with them. On the diagonal a backbone is right as often as it says; below it, it is too sure of itself. The size of a mark shows how many answers it stands for; bars are 95% intervals over the test images."),
  plates(data.backbones, (backbone) => element("figure", { class: "plate" },
    element("figcaption", {}, named(backbone.label)),
    chart(`Reliability of ${backbone.label}`, (width) => drawReliability(backbone, width)))),
]);

function drawReliability(backbone, width) {
  const side = Math.min(width - 46, 300);
  const [left, top] = [40, 8];
  const height = top + side + 40;
  const least = Math.min(...backbone.sure.filter((_, i) => backbone.count[i]), 0.9);
  const start = Math.min(Math.floor(least * 5) / 5, 0.5);
  const x = linear([start, 1], [left, left + side]);
  const y = linear([0, 1], [top + side, top]);
  const children = [];
  for (const tick of roundTicks([start, 1], 4)) {
    children.push(svg("text", { x: x(tick), y: top + side + 16, "text-anchor": "middle" }, percent(tick, 0)));
  }
  for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
    children.push(svg("line", { class: "grid", x1: left, x2: left + side, y1: y(tick), y2: y(tick) }),
      svg("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, percent(tick, 0)));
  }
  children.push(svg("line", { class: "axis dashed", x1: x(start), y1: y(start), x2: x(1), y2: y(1) }),
    svg("text", { x: left + side / 2, y: height - 6, "text-anchor": "middle" }, "confidence (across), share right (up)"));
  const most = Math.max(...backbone.count);
  backbone.count.forEach((count, bin) => {
    if (!count) return;
    const [sure, right] = [backbone.sure[bin], backbone.right[bin]];
    const radius = 3.5 + 6 * Math.sqrt(count / most);
    const [low, high] = backbone.ends[bin];
    const mark = svg("g", {},
      svg("line", { class: "blue whisker", x1: x(sure), x2: x(sure), y1: y(low), y2: y(high) }),
      svg("circle", { class: "halo", cx: x(sure), cy: y(right), r: radius + 3 }),
      svg("circle", { cx: x(sure), cy: y(right), r: radius, fill: "var(--blue)", "fill-opacity": 0.85 }));
    children.push(explained(mark, `${percent(right)} right`, [`mean confidence ${percent(sure)}`, `${count.toLocaleString("en")} answers`]));
  });
  return { height, children };
}
