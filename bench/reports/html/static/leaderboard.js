/* The ranked table: sorted by any column, filtered by name, with marks for what is not ranked. */
section("leaderboard", "Leaderboard", (board) => {
  const scale = intervalScale(board.rows);
  const rows = board.rows.map((row, place) => ({ row, place, node: boardRow(row, board, scale) }));
  const body = element("tbody", {}, rows.map(({ node }) => node));
  const heads = boardHeads(board, rows, body);
  const said = element("span", { class: "soft small", role: "status" });
  return [
    boardFilters(rows, said),
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Leaderboard, scrolls sideways" },
      element("table", { class: "board" },
        element("caption", { class: "unseen" }, "Backbones, ranked by test accuracy"),
        element("thead", {}, element("tr", {}, heads)), body)),
    element("p", { class: "soft small" }, board.about),
    ...(board.notes || []).map((note) => element("p", { class: "soft small" }, note)),
  ];
});

const STATES = [["ranked", "pretrained"], ["random", "random init"], ["failed", "failed"]];

function boardFilters(rows, said) {
  const hidden = new Set();
  const search = element("input", { class: "field", type: "search", placeholder: "Filter by name", "aria-label": "Filter backbones by name", input: () => apply() });
  const apply = () => {
    const wanted = search.value.trim().toLowerCase();
    let shown = 0;
    for (const { row, node } of rows) {
      node.hidden = hidden.has(row.state) || !row.label.toLowerCase().includes(wanted);
      shown += !node.hidden;
    }
    said.textContent = shown === rows.length ? "" : `${shown} of ${rows.length} shown`;
  };
  const there = STATES.map(([state, title]) => [state, title, rows.filter(({ row }) => row.state === state).length]);
  const boxes = there.filter(([, , count]) => count > 0 && count < rows.length).map(([state, title, count]) => {
    const box = element("input", { type: "checkbox", checked: true, change: () => {
      if (box.checked) hidden.delete(state); else hidden.add(state);
      apply();
    } });
    return element("label", {}, box, `${title} (${count})`);
  });
  return element("div", { class: "tools" }, search, boxes, said);
}

function boardHeads(board, rows, body) {
  const heads = [];
  const add = (title, options, value) => {
    const head = sortHead(title, options.left, (descending) => {
      heads.forEach((other) => { if (other !== head) other.removeAttribute("aria-sort"); });
      rows.sort((a, b) => compareRows(a, b, value, descending, options.quality));
      body.append(...rows.map(({ node }) => node));
    }, options.descendingFirst, options.about);
    if (options.kind) head.classList.add(options.kind);
    heads.push(head);
    return head;
  };
  add("#", { kind: "rank", about: "rank by test accuracy", quality: true }, ({ place }) => ({ value: place })).setAttribute("aria-sort", "ascending");
  add("Backbone", { kind: "backbone", left: true }, ({ row }) => ({ text: row.label }));
  if (hasSome(board, "verdict")) {
    add("Verdict", { kind: "tie", about: "how each compares with the best", quality: true }, ({ row }) => ({ text: row.verdict || "~" }));
  }
  if (hasSome(board, "tie")) {
    add("Ties", { kind: "tie", about: "backbones that share a letter do not differ significantly", quality: true }, ({ row }) => ({ text: row.tie || "~" }));
  }
  board.columns.forEach((column, index) => {
    const options = { about: column.about, quality: column.quality, descendingFirst: !column.lower };
    add(column.title, options, ({ row }) => row.cells[index]);
  });
  return heads;
}

/* A verdict and letters exist only if two or more were compared. */
function hasSome(board, name) {
  return board.rows.some((row) => row[name]);
}

/* Random weights and failures are never sorted among pretrained backbones by a quality figure. */
function compareRows(a, b, value, descending, quality) {
  const group = ({ row }) => (quality ? ["ranked", "random", "failed"].indexOf(row.state) : row.state === "failed" ? 1 : 0);
  return group(a) - group(b) || compareCells(value(a), value(b), descending);
}

function boardRow(row, board, scale) {
  const { columns } = board;
  const failed = row.state === "failed";
  const cells = failed
    ? element("td", { class: "reason", colspan: columns.length }, row.reason)
    : columns.map((column, index) => boardCell(row, column, row.cells[index], scale));
  const several = new Set(board.rows.map(({ seed }) => seed)).size > 1;
  const marks = [
    several && element("span", { class: "badge" }, `seed ${row.seed}`),
    row.state === "random" && element("span", { class: "badge", title: "random weights: its accuracy is meaningless; its times and sizes are valid" }, "random init"),
    failed && element("span", { class: "badge bad" }, "failed"),
    !failed && row.failed > 0 && element("span", { class: "badge bad" }, `${row.failed} failed`),
    ...(row.marks || []).map(([title, about]) => element("span", { class: "badge", title: about }, title)),
  ];
  return element("tr", { class: row.state },
    element("td", { class: "rank" }, row.rank === null ? "–" : String(row.rank)),
    element("th", { class: "backbone", scope: "row" }, named(row.label), marks),
    ["verdict", "tie"].map((name) => hasSome(board, name) && element("td", { class: "tie" }, row[name] || "–")),
    cells);
}

function boardCell(row, column, cell, scale) {
  if (column.name === "accuracy_low" && scale && row.state === "ranked") {
    return element("td", { class: "strip" }, intervalStrip(row.interval, cell.text, scale));
  }
  const [mean, deviation] = cell.text.split(" ± ");
  return element("td", {}, mean, deviation && element("span", { class: "deviation" }, ` ± ${deviation}`));
}

/* All intervals on one scale, so that they can be compared down the column. */
function intervalScale(rows) {
  const ends = rows.filter((row) => row.state === "ranked" && row.interval[0] !== null).flatMap((row) => row.interval);
  return ends.length ? linear([Math.min(...ends), Math.max(...ends)], [6, 130]) : null;
}

function intervalStrip([low, middle, high], text, scale) {
  if (low === null) return element("span", {}, text);
  return svg("svg", { viewBox: "0 0 136 24", role: "img", "aria-label": text },
    svg("line", { class: "blue whisker", x1: scale(low), x2: scale(high), y1: 8, y2: 8 }),
    [low, high].map((end) => svg("line", { class: "blue whisker", x1: scale(end), x2: scale(end), y1: 5, y2: 11 })),
    svg("circle", { cx: scale(middle), cy: 8, r: 4, fill: "var(--blue)" }),
    svg("text", { x: 136, y: 22, "text-anchor": "end", "font-size": 10 }, text));
}
