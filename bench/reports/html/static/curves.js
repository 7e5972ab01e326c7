/* Training curves: loss and accuracy of each epoch, phases next to each other, a line a seed. */
drawing("curves", (data) => [
  key([
    [svg("line", { class: "line blue", x1: 0, x2: 30, y1: 6, y2: 6 }), "training"],
    [svg("line", { class: "line orange dashed", x1: 0, x2: 30, y1: 6, y2: 6 }), "validation"],
  ]),
  plates(data.backbones, (backbone) => element("figure", { class: "plate" },
    element("figcaption", {}, named(backbone.label), backbone.seeds.length > 1 && element("span", { class: "soft" }, ` · ${backbone.seeds.length} seeds`)),
    ["loss", "accuracy"].map((what) => chart(`${what} of ${backbone.label}`, (width) => drawCurves(backbone, what, width))))),
]);

/* Each phase starts at the same epoch for every seed: one that stopped early leaves a gap. */
function phaseStarts(seeds) {
  const starts = [0];
  for (let i = 0; i < Math.max(...seeds.map((s) => s.phases.length)); i += 1) {
    starts.push(starts.at(-1) + Math.max(...seeds.map((s) => s.phases[i]?.loss.length ?? 0)));
  }
  return starts;
}

function drawCurves(backbone, what, width) {
  const [left, right, top, height] = [42, 8, 30, 160];
  const bottom = 26;
  const { seeds } = backbone;
  const starts = phaseStarts(seeds);
  const values = seeds.flatMap((s) => s.phases.flatMap((p) => [...p[what], ...p[`val_${what}`], p.kept?.[what]])).filter((v) => v !== null && v !== undefined);
  if (!values.length) return { height: 0, children: [] };
  const range = what === "loss" ? [0, Math.max(...values)] : [Math.min(...values), 1];
  const x = linear([0.5, starts.at(-1) + 0.5], [left, width - right]);
  const y = linear(range, [height - bottom, top]);
  const children = [svg("text", { class: "ink", x: 0, y: 11 }, what)];
  for (const tick of roundTicks(range, 3)) {
    children.push(svg("line", { class: "grid", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
      svg("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, what === "loss" ? plainNumber(tick) : percent(tick, 0)));
  }
  const names = seeds.reduce((a, b) => (b.phases.length > a.phases.length ? b : a)).phases.map((p) => p.name);
  names.forEach((name, i) => {
    const edge = x(starts[i] + 0.5);
    const room = Math.floor((x(starts[i + 1] + 0.5) - edge) / 7);
    if (i) children.push(svg("line", { class: "axis", x1: edge, x2: edge, y1: top - 12, y2: height - bottom }));
    if (room > 2) children.push(svg("text", { x: edge + (i ? 4 : 0), y: 24, "font-size": 11 }, shortened(name, room)));
  });
  for (const tick of roundTicks([1, Math.max(2, starts.at(-1))], Math.min(6, starts.at(-1))).filter(Number.isInteger)) {
    if (tick <= starts.at(-1)) children.push(svg("text", { x: x(tick), y: height - 10, "text-anchor": "middle" }, String(tick)));
  }
  for (const seed of seeds) {
    seed.phases.forEach((phase, i) => {
      children.push(curveLine(phase, what, "blue", starts[i], x, y), curveLine(phase, `val_${what}`, "orange dashed", starts[i], x, y));
      if (phase.kept) {
        children.push(svg("circle", { class: "orange", cx: x(Math.max(0.5, starts[i] + phase.best)), cy: y(phase.kept[what]), r: 4, fill: "var(--paper)", "stroke-width": 1.8 }));
      }
    });
  }
  children.push(epochReader(backbone, what, starts, x, [left, top, width - right, height - bottom]));
  return { height, children };
}

function curveLine(phase, name, look, start, x, y) {
  const points = phase[name].map((v, i) => [i, v]).filter(([, v]) => v !== null).map(([i, v]) => [x(start + i + 1), y(v)]);
  const colour = `var(--${look.split(" ")[0]})`;
  // A line through one point would not be seen.
  if (points.length === 1) return svg("circle", { cx: points[0][0], cy: points[0][1], r: 2.5, fill: colour });
  return svg("path", { class: `line ${look}`, d: path(points) });
}

/* Over a chart: shows the figures of the epoch under the pointer or keyboard focus. */
function epochReader(backbone, what, starts, x, [left, top, right, bottom]) {
  const rule = svg("line", { class: "axis", y1: top, y2: bottom, visibility: "hidden" });
  const cover = svg("rect", { x: left, y: top, width: right - left, height: bottom - top, fill: "transparent" });
  const group = svg("g", { tabindex: 0, role: "slider", "aria-label": `epochs of ${backbone.label}, ${what}`, "aria-valuemin": 1, "aria-valuemax": starts.at(-1) }, rule, cover);
  let epoch = 1;
  const show = () => {
    const phase = starts.findLastIndex((s) => s < epoch);
    const lines = backbone.seeds.filter((s) => s.phases[phase]?.[what].length >= epoch - starts[phase]).map((s) => {
      const at = epoch - starts[phase] - 1;
      const [train, validation] = [what, `val_${what}`].map((n) => epochFigure(s.phases[phase][n][at], what));
      return `${backbone.seeds.length > 1 ? `seed ${s.seed}: ` : ""}training ${train}, validation ${validation}${s.phases[phase].best === at + 1 ? ", kept" : ""}`;
    });
    const title = `${backbone.seeds[0].phases[phase]?.name ?? ""}, epoch ${epoch - starts[phase]}`;
    for (const end of ["x1", "x2"]) rule.setAttribute(end, x(epoch));
    rule.setAttribute("visibility", "visible");
    group.setAttribute("aria-valuenow", epoch);
    group.setAttribute("aria-valuetext", [title, ...lines].join("; "));
    showTip(rule.getBoundingClientRect(), title, lines);
  };
  const hide = () => { rule.setAttribute("visibility", "hidden"); hideTip(); };
  group.addEventListener("pointermove", (event) => {
    const box = cover.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    epoch = Math.min(starts.at(-1), Math.max(1, Math.round(0.5 + share * starts.at(-1))));
    show();
  });
  group.addEventListener("pointerleave", hide);
  group.addEventListener("focus", () => { if (group.matches(":focus-visible")) show(); });
  group.addEventListener("blur", hide);
  group.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    epoch = Math.min(starts.at(-1), Math.max(1, epoch + step));
    show();
  });
  return group;
}

function epochFigure(value, what) {
  if (value === null) return "none";
  return what === "loss" ? value.toPrecision(3) : percent(value);
}
