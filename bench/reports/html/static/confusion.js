/* Confusion matrix, and the images behind each cell. */
const MAX_WRITTEN = 24;
const MAX_SCORED = 20; // beyond that the section on classes has not all of them
const MAX_TURNED = 6;
const MAX_LISTED = 12;
const MAX_LISTED_LARGE = 40;
const MAX_PRINTED = 12;

drawings.confusion = (data) => {
  let backbone = data.backbones[0];
  let rates = false;
  const place = element("div", {});
  const show = () => place.replaceChildren(...failures(data.classes, backbone, rates).filter(Boolean));
  show();
  // Paper has no menu: there the other backbones follow the one that was chosen.
  const others = element("div", {});
  window.addEventListener("beforeprint", () => others.replaceChildren(...data.backbones
    .filter((b) => b !== backbone).slice(0, MAX_PRINTED - 1).flatMap((b) => failures(data.classes, b, rates)).filter(Boolean)));
  window.addEventListener("afterprint", () => others.replaceChildren());
  return [
    element("div", { class: "tools" }, picker(data.backbones, (chosen) => { backbone = chosen; show(); }),
      data.classes.length <= MAX_WRITTEN && choice("Cells show", [["counts", "Counts"], ["rates", "Rates"]], (chosen) => { rates = chosen === "rates"; show(); })),
    place, others,
  ];
};

/* The non-empty cells: right answers first, then the largest of the others. */
const unpacked = new Map();
function cellsOf(backbone) {
  if (!unpacked.has(backbone)) {
    const flat = backbone.cells;
    unpacked.set(backbone, Array.from({ length: flat.length / 3 }, (_, k) => ({ row: flat[3 * k], column: flat[3 * k + 1], count: flat[3 * k + 2] })));
  }
  return unpacked.get(backbone);
}

/* The number of answers on images of a class. */
function answersOf(backbone, row) {
  return backbone.scores[row][3];
}

function failures(classes, backbone, rates) {
  const drill = element("div", { role: "region", "aria-label": "Images of a cell", "aria-live": "polite" });
  const open = (cell, button) => openCell(drill, classes, backbone, cell, button);
  const right = cellsOf(backbone).reduce((sum, { row, column, count }) => sum + (row === column ? count : 0), 0);
  const all = backbone.scores.reduce((sum, [, , , images]) => sum + images, 0);
  const seeds = backbone.seeds > 1 ? `, sum of ${backbone.seeds} seeds` : "";
  const few = classes.length <= MAX_WRITTEN;
  const cellsMean = few && [" Rows are the true class, columns the answer; colour is the share of a row.", element("span", { class: "unprinted" }, " A cell opens its images.")];
  return [
    element("h3", { class: "printed above" }, named(backbone.label)),
    element("p", { class: "soft" }, `${right.toLocaleString("en")} of ${all.toLocaleString("en")} answers right${seeds}.`, ...(cellsMean || [])),
    few ? element("div", { class: "failing" }, matrixTable(classes, backbone, rates, open), mixedUp(classes, backbone, open, MAX_LISTED))
      : mixedUp(classes, backbone, open, MAX_LISTED_LARGE),
    drill,
    !few && wholeMatrix(classes, backbone),
    classes.length > MAX_SCORED && classScores(classes, backbone),
  ];
}

function classScores(classes, backbone) {
  const spec = () => ({
    columns: ["Class", "Precision", "Recall", "F1", "Images"].map((title, index) => ({ title, left: index === 0 })),
    rows: backbone.scores.map(([...figures], index) => {
      const images = figures.pop();
      return [{ text: classes[index] }, ...figures.map((value) => (value === null ? { text: "–" } : { text: percent(value, 2), value })), { text: images.toLocaleString("en"), value: images }];
    }),
  });
  const details = element("details", { class: "long" }, element("summary", {}, "Precision, recall and F1 of each class"));
  whenOpened(details, () => details.append(sortable(spec(), `Scores of each class, ${backbone.label}`)));
  return details;
}

function matrixTable(classes, backbone, rates, open) {
  const turned = classes.length > MAX_TURNED;
  const few = classes.length <= 4;
  const counts = classes.map(() => classes.map(() => 0));
  for (const { row, column, count } of cellsOf(backbone)) counts[row][column] = count;
  return element("div", { class: "scroll matrix-frame" },
    element("table", { class: `matrix${few ? " few" : ""}` },
      element("caption", { class: "unseen" }, `Confusion matrix of ${backbone.label}, ${rates ? "rates" : "counts"}`),
      element("thead", {}, element("tr", {}, element("th", { class: "soft small left" }, "true ↓ answer →"), classes.map((name) =>
        element("th", { scope: "col", class: turned ? "turned" : null, title: name }, turned ? element("span", {}, shortened(name, 40)) : shortened(name, 24))))),
      element("tbody", {}, classes.map((name, row) => element("tr", {},
        element("th", { scope: "row", class: "left", title: name }, shortened(name, 24)),
        counts[row].map((count, column) => matrixCell(classes, answersOf(backbone, row), { row, column, count }, rates, open)))))));
}

function matrixCell(classes, total, cell, rates, open) {
  const { row, column, count } = cell;
  const share = total ? count / total : 0;
  const text = rates ? (total ? percent(share) : "–") : count.toLocaleString("en");
  const depth = share > 0.8 ? " strong" : share > 0.6 ? " middle" : "";
  const look = `cell${depth}${count ? "" : " none"}`;
  return element("td", {}, element("button", {
    class: look,
    type: "button",
    style: { "--share": String(share) },
    "aria-expanded": "false",
    "aria-label": `${classes[row]} taken for ${classes[column]}: ${count}, ${percent(share)}`,
    click: (event) => open(cell, event.currentTarget),
  }, text));
}

/* Too many classes for a table: a picture of the matrix, drawn on demand. */
function wholeMatrix(classes, backbone) {
  const details = element("details", { class: "long" }, element("summary", {}, `The whole matrix, ${classes.length.toLocaleString("en")} classes`));
  whenOpened(details, () => details.append(matrixMap(classes, backbone)));
  return details;
}

function matrixMap(classes, backbone) {
  const zoom = Math.max(1, Math.floor(480 / classes.length));
  const canvas = element("canvas", { class: "matrix-map", width: classes.length * zoom, height: classes.length * zoom, role: "img", "aria-label": `Confusion matrix of ${backbone.label}: ${classes.length} classes, true down, answers across` });
  const paint = () => {
    const context = canvas.getContext("2d");
    canvas.style.background = "var(--wash)";
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.fillStyle = printing ? "#0072b2" : resolvedColour();
    for (const { row, column, count } of cellsOf(backbone)) {
      // Rare mix-ups among many classes would be invisible on a linear scale.
      context.globalAlpha = Math.sqrt(count / (answersOf(backbone, row) || 1));
      context.fillRect(column * zoom, row * zoom, zoom, zoom);
    }
  };
  paint();
  document.addEventListener("theme", paint);
  for (const when of ["beforeprint", "afterprint"]) window.addEventListener(when, paint);
  const left = backbone.left_out ? `; the ${backbone.left_out.toLocaleString("en")} smallest cells are left out` : "";
  return element("figure", { class: "plate" }, canvas, element("figcaption", { class: "soft small" }, `${classes.length.toLocaleString("en")} classes, true down, answers across; square-root scale${left}`));
}

function resolvedColour() {
  const probe = element("span", { style: { color: "var(--blue)" } });
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

/* The largest confusions; `cellsOf` has them in that order. */
function mixedUp(classes, backbone, open, most) {
  const wrong = cellsOf(backbone).filter(({ row, column }) => row !== column);
  if (!wrong.length) return element("p", {}, "Not one mistake.");
  const total = wrong.length + backbone.left_out;
  const more = total > most && element("p", { class: "soft small" }, `The largest ${most} of ${total.toLocaleString("en")}.`);
  return element("div", {}, element("h3", {}, "Most mixed up"),
    element("div", { class: "scroll" }, element("table", { class: "mixed" },
      element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Answers"), element("th", { scope: "col" }, "Of the class"), element("th", { scope: "col", class: "left" }, "True → taken for"), element("th", { class: "unprinted" }, element("span", { class: "unseen" }, "Images")))),
      element("tbody", {}, wrong.slice(0, most).map((cell) => element("tr", {},
        element("td", {}, cell.count.toLocaleString("en")),
        element("td", {}, percent(cell.count / answersOf(backbone, cell.row))),
        element("td", { class: "left" }, named(shortened(classes[cell.row], 40)), " → ", named(shortened(classes[cell.column], 40))),
        element("td", { class: "unprinted" }, element("button", { class: "button", type: "button", "aria-label": `Images of ${classes[cell.row]} taken for ${classes[cell.column]}`, click: (event) => open(cell, event.currentTarget) }, "Images"))))))), more);
}

function openCell(drill, classes, backbone, cell, button) {
  const { row, column, count } = cell;
  const again = button.getAttribute("aria-expanded") === "true";
  document.querySelectorAll("#confusion [aria-expanded]").forEach((b) => b.setAttribute("aria-expanded", "false"));
  drill.replaceChildren();
  drill.className = "";
  if (again) return;
  button.setAttribute("aria-expanded", "true");
  drill.className = "drill";
  const answers = block("answers");
  const found = answers.backbones[backbone.label]?.[`${row},${column}`] ?? [];
  const title = row === column ? `${classes[row]}, correct` : `${classes[row]} taken for ${classes[column]}`;
  const close = element("button", { class: "button", type: "button", click: () => { openCell(drill, classes, backbone, cell, button); button.focus(); } }, "Close");
  drill.append(element("div", { class: "tools" }, element("h3", {}, title), close));
  if (!count) return drill.append(element("p", { class: "soft" }, "No image."));
  const images = found.map(([image, sure, seeds]) => ({
    image,
    file: answers.files[image],
    words: [`confidence ${percent(sure)}`, backbone.seeds > 1 && `${seeds} of ${backbone.seeds} seeds`].filter(Boolean).join(", "),
  }));
  drill.append(images.length ? contactSheet(images) : element("p", { class: "soft" }, "The images of this cell are not listed here; the arrays of the run have them."));
  const listed = found.reduce((sum, [, , seeds]) => sum + seeds, 0);
  if (images.length && listed < count) drill.append(element("p", { class: "soft small" }, `The most confident ${images.length}, which represent ${listed} of ${count} answers.`));
  return undefined;
}
