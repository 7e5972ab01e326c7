/* All runs, newest first, and what each backbone did on each data set. */
const RUNS = [["created", "Made", true], ["name", "Run", true], ["dataset", "Data set", true], ["images", "Images"], ["protocol", "Protocol", true], ["backbones", "Backbones"], ["failed", "Failed"], ["best", "Best", true], ["accuracy", "Accuracy"], ["recommended", "Recommended", true]];
const HISTORY = [["created", "Made", true], ["run", "Run", true], ["protocol", "Protocol", true], ["px", "px"], ["seeds", "Seeds"], ["accuracy", "Accuracy"], ["latency", "p50"]];

function listed(columns, items, about) {
  return sortable({
    columns: columns.map(([, title, left]) => ({ title, left: Boolean(left) })),
    rows: items.map((item) => columns.map(([name]) => (typeof item[name] === "string" ? { text: item[name], link: name === "name" || name === "run" ? item.link : null } : item[name]))),
  }, about);
}

function dataset({ name, fingerprint, runs, backbones }) {
  const links = Object.fromEntries(DATA.runs.map((run) => [run.name, run.link]));
  return element("section", { "aria-label": `History on ${name}` },
    element("h2", {}, named(name), " ", element("span", { class: "soft small" }, `content ${fingerprint} · ${runs} ${runs === 1 ? "run" : "runs"}`)),
    element("div", { class: "scroll history", tabindex: "0", role: "region", "aria-label": `Backbones on ${name}` }, element("table", {},
      element("thead", {}, element("tr", {}, ["Backbone", "Newest", "p50", "Best", "Runs", "Accuracy, oldest to newest"].map((title, i) =>
        element("th", { scope: "col", class: i === 0 || i === 5 ? "left" : null }, title)))),
      element("tbody", {}, backbones.map((b) => backboneRow(b))))),
    element("details", {}, element("summary", {}, "Every run of each backbone"), backbones.map((b) => [
      element("h3", {}, named(b.label)), listed(HISTORY, b.runs.map((run) => ({ ...run, link: links[run.run] })), `Runs of ${b.label}`)])));
}

function backboneRow({ label, runs }) {
  const known = runs.filter((run) => run.accuracy.value !== undefined);
  const best = known.reduce((a, b) => (a && a.accuracy.value >= b.accuracy.value ? a : b), null);
  return element("tr", {},
    element("th", { scope: "row", class: "left" }, named(label), known.length ? null : element("span", { class: "badge" }, "random init only")),
    element("td", {}, known[0]?.accuracy.text ?? "–"),
    element("td", {}, runs[0].latency.text),
    element("td", {}, best?.accuracy.text ?? "–"),
    element("td", {}, String(runs.length)),
    element("td", { class: "trend" }, known.length > 1 ? trend(label, [...known].reverse()) : null));
}

function trend(label, runs) {
  const values = runs.map((run) => run.accuracy.value);
  const x = linear([0, values.length - 1], [8, 136]);
  const y = linear([Math.min(...values), Math.max(...values)], [22, 6]);
  return svg("svg", { viewBox: "0 0 144 28", role: "group", "aria-label": `Accuracy of ${label} over ${runs.length} runs` },
    svg("path", { class: "line blue", d: path(values.map((v, i) => [x(i), y(v)])) }),
    runs.map((run, i) => explained(svg("g", {},
      svg("circle", { class: "halo", cx: x(i), cy: y(values[i]), r: 7 }),
      svg("circle", { cx: x(i), cy: y(values[i]), r: 3.5, fill: "var(--blue)" })), run.accuracy.text, [run.run, run.created, run.protocol])));
}

document.body.prepend(
  element("header", { class: "masthead column" }, element("div", { class: "line" }, element("h1", {}, "Runs"), themeButton()),
    element("p", { class: "soft" }, "Figures of one data set and one protocol may be compared; times only where the machine was the same. Runs with random weights have no accuracy worth a place.")),
  element("main", { class: "column", id: "main" },
    DATA.runs.length ? element("section", { "aria-label": "All runs" }, listed(RUNS, DATA.runs, "All runs, newest first")) : element("p", {}, "No run yet."),
    DATA.datasets.map(dataset)));
