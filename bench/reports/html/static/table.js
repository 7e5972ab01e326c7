/* Tables: every column sorts, rows can be filtered by name and badge, and the least important columns
   are hidden where there is no room, until the reader chooses them. */
const MANY_ROWS = 15;
const SHORT = 16; // characters of texts that stay on one line
const FEWEST_COLUMNS = 3; // if fewer fit, the table scrolls

function sortable(spec, about) {
  const name = Math.max(0, spec.columns.findIndex((column) => column.left));
  const scales = spec.columns.map((column, index) => (column.strip ? stripScale(spec.rows.map((row) => row[index].ends)) : null));
  spec.columns.forEach((column, index) => { column.short = column.left && spec.rows.every((row) => row[index].text.length <= SHORT); });
  const rows = spec.rows.map((cells, place) => {
    const mark = spec.marks?.[place];
    const failed = mark?.state === "failed";
    const filled = failed ? Math.max(name, cells.findLastIndex(({ text }) => text !== "–")) + 1 : cells.length;
    const nodes = cells.slice(0, filled).map((cell, index) => tableCell(spec.columns[index], cell, index === name ? { mark } : null, scales[index]));
    if (failed) {
      // The reason spans all columns without figures, because that of the names is too narrow.
      const reason = element("div", { class: "small reason" }, mark.about);
      if (filled === name + 1 || filled === cells.length) nodes[name].append(reason);
      else nodes.push(element("td", {}, reason));
      nodes.at(-1).colSpan = cells.length + 1 - nodes.length;
    }
    return { cells, ...mark, label: cells[name].text, node: element("tr", { class: mark?.state }, nodes) };
  });
  if (spec.columns[name].title === "Backbone") rows.forEach(({ node, label }) => setAbout(node, label));
  const body = element("tbody", {}, rows.map(({ node }) => node));
  const heads = spec.columns.map((column, index) => sortHead(column, (descending) => {
    heads.forEach((head, i) => { if (i !== index) head.removeAttribute("aria-sort"); });
    // Failed rows are last in both directions.
    rows.sort((a, b) => (a.state === "failed") - (b.state === "failed") || compareCells(a.cells[index], b.cells[index], descending));
    body.append(...rows.map(({ node }) => node));
  }));
  const table = element("table", {}, element("caption", { class: "unseen" }, about), element("thead", {}, element("tr", {}, heads)), body);
  const frame = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${about}, scrolls sideways` }, table);
  const badges = badgesOf(rows);
  const tools = element("div", { class: "tools" }, (rows.length > MANY_ROWS || badges.length > 0) && rowFilters(rows, badges));
  const outer = element("div", { class: "table-block" }, tools, frame);
  if (spec.columns.length > 4) tools.append(...columnChooser(spec.columns, name, table, frame, outer));
  outer.append(element("div", { class: "savers unprinted" }, saveButton("CSV", about, () => saveFile(`${fileName(about)}.csv`, "text/csv", asCsv(spec)))));
  return outer;
}

/* A table as CSV with unrounded figures; an interval takes three columns. */
function asCsv({ columns, rows }) {
  const spread = columns.map((_, index) => rows.some((row) => row[index].ends));
  const cell = ({ text, value, ends }, index) => (spread[index] ? [1, 0, 2].map((end) => ends?.[end] ?? "") : [value ?? (text === "–" ? "" : text)]);
  const head = columns.flatMap(({ title }, index) => (spread[index] ? [title, `${title} low`, `${title} high`] : [title]));
  return [head, ...rows.map((row) => row.flatMap(cell))].map((line) => `${line.map(quoteCsv).join(",")}\r\n`).join("");
}

function quoteCsv(value) {
  if (typeof value === "number") return String(value);
  // A text must not become a formula in a spreadsheet.
  const text = /^\s*[=+\-@]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function tableCell(column, cell, head, scale) {
  const attributes = { class: column.left ? `left${column.short ? " short" : ""}` : null };
  if (column.shaded) Object.assign(attributes, { class: "shaded", style: { "--share": String(cell.value ?? 0) } });
  if (head) {
    const { state, badge, about } = head.mark ?? {};
    return element("th", { ...attributes, scope: "row", title: state === "muted" ? about : null },
      cell.link ? element("a", { href: cell.link }, nameSpan(cell.text)) : nameSpan(cell.text),
      state === "chosen" && element("span", { class: "badge", title: about }, badge));
  }
  if (cell.image) {
    const source = largeData("pictures")[cell.image];
    return element("td", attributes, source && element("img", { src: source, alt: "", decoding: "async" }));
  }
  if (scale && cell.ends) return element("td", { class: "strip" }, drawStrip(cell.ends, scale), cell.text);
  if (column.left) return element("td", attributes, cell.link ? element("a", { href: cell.link }, nameSpan(cell.text)) : nameSpan(cell.text));
  if (cell.value === undefined) return element("td", { class: "absent" }, cell.text);
  if (cell.opens) {
    const button = element("button", { type: "button", "aria-label": `${cell.text}, show the images` }, cell.text);
    return element("td", attributes, openOnClick(button, ...cell.opens, cell.value));
  }
  const [mean, deviation] = cell.text.split(" ± ");
  return element("td", attributes, mean, deviation && element("span", { class: "deviation" }, ` ± ${deviation}`));
}

/* A heading that sorts: best first, then reversed. */
function sortHead({ title, left, lower, about }, sort) {
  const head = element("th", { scope: "col", class: left ? "left" : null },
    element("button", {
      type: "button",
      title: about,
      click: () => {
        const now = head.getAttribute("aria-sort");
        const descending = now ? now === "ascending" : !left && !lower;
        head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        sort(descending);
      },
    }, title));
  return head;
}

/* Cells without a figure go last in both directions. */
function compareCells(a, b, descending) {
  const [x, y] = [a.value ?? null, b.value ?? null];
  const turn = descending ? -1 : 1;
  if (x !== null && y !== null) return turn * (x - y);
  if (x !== null || y !== null) return x === null ? 1 : -1;
  return turn * a.text.localeCompare(b.text);
}

/* Badges of some rows, but not of all: hiding all rows would empty the table. */
function badgesOf(rows) {
  const found = new Set(rows.filter(({ state }) => state && state !== "chosen").map(({ badge }) => badge));
  return [...found].filter((badge) => rows.some((row) => row.badge !== badge));
}

function rowFilters(rows, badges) {
  const hidden = new Set();
  const status = element("span", { class: "soft small", role: "status" });
  const search = element("input", { class: "field", type: "search", placeholder: "Filter by name", "aria-label": "Filter rows by name", input: () => apply() });
  const apply = () => {
    const wanted = search.value.trim().toLowerCase();
    let shown = 0;
    for (const { node, label, badge } of rows) {
      node.hidden = hidden.has(badge) || !label.toLowerCase().includes(wanted);
      shown += !node.hidden;
    }
    status.textContent = shown === rows.length ? "" : `${shown} of ${rows.length} shown`;
  };
  const boxes = badges.map((badge) => {
    const box = element("input", { type: "checkbox", checked: true, change: () => {
      if (box.checked) hidden.delete(badge); else hidden.add(badge);
      apply();
    } });
    return element("label", {}, box, `${badge} (${rows.filter((row) => row.badge === badge).length})`);
  });
  return [search, ...boxes, status];
}

function columnChooser(columns, name, table, frame, outer) {
  const shown = columns.map(() => true);
  const boxes = columns.map(({ title }, index) => element("input", { type: "checkbox", change: () => { chosen = true; show(index, boxes[index].checked); update(); } }));
  const summary = element("summary", {});
  const showAll = element("button", { class: "button", type: "button", hidden: true, click: () => { chosen = true; all(); update(); } }, "Show all columns");
  const menu = element("details", { class: "chooser unprinted", hidden: true }, summary,
    element("div", { class: "tools" }, columns.map(({ title }, index) => index !== name && element("label", {}, boxes[index], title))));
  let chosen = false;
  const show = (index, visible) => {
    boxes[index].checked = visible;
    if (shown[index] === visible) return;
    shown[index] = visible;
    for (const { cells } of table.rows) {
      const last = cells.length - 1;
      if (last === columns.length - 1 || index < last) cells[index].hidden = !visible;
      else cells[last].colSpan = Math.max(1, shown.slice(last).filter(Boolean).length);
    }
  };
  const update = () => {
    summary.textContent = `Columns (${shown.filter(Boolean).length} of ${columns.length})`;
    showAll.hidden = shown.every(Boolean);
  };
  const all = () => columns.forEach((_, index) => show(index, true));
  const order = columns.map((_, index) => index).filter((index) => index !== name && columns[index].importance < 100)
    .sort((a, b) => columns[b].importance - columns[a].importance || a - b);
  const fit = () => {
    if (chosen || printing || !frame.clientWidth) return;
    all();
    if (frame.scrollWidth > frame.clientWidth) {
      const widths = [...table.tHead.rows[0].cells].map((head) => head.getBoundingClientRect().width);
      const kept = columns.map((_, index) => index).filter((index) => !order.includes(index));
      for (const index of order) {
        const taken = [...kept, index].reduce((sum, one) => sum + widths[one], 0);
        if (kept.length < FEWEST_COLUMNS || taken <= frame.clientWidth) kept.push(index);
        else show(index, false);
      }
    }
    menu.hidden = shown.every(Boolean);
    update();
  };
  let width = 0;
  new ResizeObserver(([{ contentRect }]) => {
    if (contentRect.width === width) return;
    width = contentRect.width;
    requestAnimationFrame(fit);
  }).observe(outer);
  window.addEventListener("beforeprint", () => { if (!chosen) all(); });
  window.addEventListener("afterprint", fit);
  return [menu, showAll];
}

/* One scale for all intervals of a column, so that they can be compared. */
function stripScale(ends) {
  const values = ends.filter(Boolean).flat().filter((end) => end !== null);
  return values.length ? scale({ low: Math.min(...values), high: Math.max(...values) }, [6, 130]) : null;
}

function drawStrip([low, middle, high], scale) {
  return svg("svg", { viewBox: "0 0 136 16", "aria-hidden": "true" },
    svg("line", { class: "blue whisker", x1: scale(low), x2: scale(high), y1: 8, y2: 8 }),
    [low, high].map((end) => svg("line", { class: "blue whisker", x1: scale(end), x2: scale(end), y1: 5, y2: 11 })),
    middle !== null && svg("circle", { cx: scale(middle), cy: 8, r: 4, fill: "var(--blue)" }));
}
