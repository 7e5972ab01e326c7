/* Where a backbone fails: which class it takes for which, and the images behind each cell. */
const MOST_WRITTEN = 24;
const MOST_TURNED = 6;
const MOST_LISTED = 12;
const MOST_PRINTED = 12;

section("confusion", "Where it fails", (data) => {
  let backbone = data.backbones[0];
  let rates = false;
  const place = element("div", {});
  const show = () => place.replaceChildren(...failures(data.classes, backbone, rates));
  show();
  // Paper has no menu: there the other backbones follow the one that was chosen.
  const others = element("div", {});
  window.addEventListener("beforeprint", () => others.replaceChildren(...data.backbones
    .filter((b) => b !== backbone).slice(0, MOST_PRINTED - 1).flatMap((b) => failures(data.classes, b, rates))));
  window.addEventListener("afterprint", () => others.replaceChildren());
  return [
    element("div", { class: "tools" }, picker(data.backbones, (chosen) => { backbone = chosen; show(); }),
      data.classes.length <= MOST_WRITTEN && choice("Cells show", [["counts", "Counts"], ["rates", "Rates"]], (chosen) => { rates = chosen === "rates"; show(); })),
    place, others,
  ];
});

function failures(classes, backbone, rates) {
  const drill = element("div", { role: "region", "aria-label": "Images of a cell", "aria-live": "polite" });
  const open = (row, column, button) => openCell(drill, classes, backbone, row, column, button);
  const right = backbone.counts.reduce((sum, row, i) => sum + row[i], 0);
  const all = backbone.counts.flat().reduce((sum, n) => sum + n, 0);
  const seeds = backbone.seeds > 1 ? `, sum of ${backbone.seeds} seeds` : "";
  const drawn = classes.length <= MOST_WRITTEN ? matrixTable(classes, backbone, rates, open) : matrixMap(classes, backbone);
  return [
    element("h3", { class: "printed above" }, named(backbone.label)),
    element("p", { class: "soft" }, `${right.toLocaleString("en")} of ${all.toLocaleString("en")} answers right${seeds}. Rows are the true class, columns the answer; colour is the share of a row.`, element("span", { class: "unprinted" }, " A cell opens its images.")),
    element("div", { class: "failing" }, drawn, mixedUp(classes, backbone, open)),
    drill,
    element("details", { open: classes.length <= 12 || printing }, element("summary", {}, "Precision, recall and F1 of each class"),
      sortable(backbone.scores, `Scores of each class, ${backbone.label}`)),
  ];
}

function matrixTable(classes, backbone, rates, open) {
  const turned = classes.length > MOST_TURNED;
  const few = classes.length <= 4;
  const random = backbone.label.endsWith("(random init)");
  return element("div", { class: "scroll matrix-frame" },
    element("table", { class: `matrix${few ? " few" : ""}${random ? " random" : ""}` },
      element("caption", { class: "unseen" }, `Confusion matrix of ${backbone.label}, ${rates ? "rates" : "counts"}`),
      element("thead", {}, element("tr", {}, element("th", { class: "soft small left" }, "true ↓ answer →"), classes.map((name) =>
        element("th", { scope: "col", class: turned ? "turned" : null, title: name }, turned ? element("span", {}, shortened(name, 40)) : shortened(name, 24))))),
      element("tbody", {}, classes.map((name, row) => element("tr", {},
        element("th", { scope: "row", class: "left", title: name }, shortened(name, 24)),
        backbone.counts[row].map((count, column) => matrixCell(classes, backbone, row, column, rates, open)))))));
}

function matrixCell(classes, backbone, row, column, rates, open) {
  const count = backbone.counts[row][column];
  const total = backbone.counts[row].reduce((sum, n) => sum + n, 0);
  const share = total ? count / total : 0;
  const text = rates ? (total ? percent(share) : "–") : count.toLocaleString("en");
  const depth = share > 0.88 ? " strong" : share > 0.6 ? " middle" : "";
  const look = `cell${depth}${count ? "" : " none"}`;
  return element("td", {}, element("button", {
    class: look,
    type: "button",
    style: { "--share": String(share) },
    "aria-expanded": "false",
    "aria-label": `${classes[row]} taken for ${classes[column]}: ${count}, ${percent(share)}`,
    click: (event) => open(row, column, event.currentTarget),
  }, text));
}

/* Too many classes to write down: a picture of the whole, and the list beside it for the figures. */
function matrixMap(classes, { label, counts }) {
  const zoom = Math.max(1, Math.floor(480 / classes.length));
  const canvas = element("canvas", { class: "matrix-map", width: classes.length * zoom, height: classes.length * zoom, role: "img", "aria-label": `Confusion matrix of ${label}: ${classes.length} classes, true down, answers across` });
  const paint = () => {
    const context = canvas.getContext("2d");
    canvas.style.background = "var(--wash)";
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.fillStyle = printing ? "#0072b2" : resolvedColour();
    counts.forEach((row, i) => {
      const total = row.reduce((sum, n) => sum + n, 0) || 1;
      row.forEach((count, j) => {
        // Rare mix-ups among many classes would be invisible on a linear scale.
        context.globalAlpha = Math.sqrt(count / total);
        if (count) context.fillRect(j * zoom, i * zoom, zoom, zoom);
      });
    });
  };
  paint();
  document.addEventListener("theme", paint);
  for (const when of ["beforeprint", "afterprint"]) window.addEventListener(when, paint);
  return element("figure", { class: "plate" }, canvas, element("figcaption", { class: "soft small" }, `${classes.length} classes, true down, answers across; square-root scale`));
}

function resolvedColour() {
  const probe = element("span", { style: { color: "var(--blue)" } });
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

function mixedUp(classes, { counts }, open) {
  const wrong = counts.flatMap((row, i) => row.map((count, j) => ({ i, j, count }))).filter(({ i, j, count }) => i !== j && count > 0);
  wrong.sort((a, b) => b.count - a.count);
  if (!wrong.length) return element("p", {}, "Not one mistake.");
  return element("div", {}, element("h3", {}, "Most mixed up"),
    element("div", { class: "scroll" }, element("table", {},
      element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Answers"), element("th", { scope: "col", class: "left" }, "True → taken for"), element("th", { class: "unprinted" }, element("span", { class: "unseen" }, "Images")))),
      element("tbody", {}, wrong.slice(0, MOST_LISTED).map(({ i, j, count }) => element("tr", {},
        element("td", {}, count.toLocaleString("en")),
        element("td", { class: "left" }, named(shortened(classes[i], 40)), " → ", named(shortened(classes[j], 40))),
        element("td", { class: "unprinted" }, element("button", { class: "button", type: "button", "aria-label": `Images of ${classes[i]} taken for ${classes[j]}`, click: (event) => open(i, j, event.currentTarget) }, "Images"))))))));
}

function openCell(drill, classes, backbone, row, column, button) {
  const again = button.getAttribute("aria-expanded") === "true";
  document.querySelectorAll("#confusion [aria-expanded]").forEach((b) => b.setAttribute("aria-expanded", "false"));
  drill.replaceChildren();
  drill.className = "";
  if (again) return;
  button.setAttribute("aria-expanded", "true");
  drill.className = "drill";
  const answers = block("answers");
  const found = answers.backbones[backbone.label]?.[`${row},${column}`] ?? [];
  const title = row === column ? `${classes[row]}, rightly answered` : `${classes[row]} taken for ${classes[column]}`;
  const count = backbone.counts[row][column];
  const close = element("button", { class: "button", type: "button", click: () => { openCell(drill, classes, backbone, row, column, button); button.focus(); } }, "Close");
  drill.append(element("div", { class: "tools" }, element("h3", {}, title), close));
  if (!count) return drill.append(element("p", { class: "soft" }, "No image."));
  const images = found.map(([image, sure, seeds]) => ({
    image,
    file: answers.files[image],
    words: [`${percent(sure)} sure`, backbone.seeds > 1 && `${seeds} of ${backbone.seeds} seeds`].filter(Boolean).join(", "),
  }));
  drill.append(images.length ? contactSheet(images) : element("p", { class: "soft" }, "The images of this cell are not listed here; the arrays of the run have them."));
  const listed = found.reduce((sum, [, , seeds]) => sum + seeds, 0);
  if (images.length && listed < count) drill.append(element("p", { class: "soft small" }, `The surest ${images.length}, which stand for ${listed} of ${count} answers.`));
  return undefined;
}
