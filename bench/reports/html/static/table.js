/* A plain table whose columns sort. */
function sortable(spec, about) {
  const body = element("tbody", {}, spec.rows.map((row) => element("tr", {}, row.map((cell, index) =>
    element(index === 0 ? "th" : "td", { class: spec.columns[index].left ? "left" : null, scope: index === 0 ? "row" : null },
      cell.link ? element("a", { href: cell.link }, named(cell.text)) : spec.columns[index].left ? named(cell.text) : cell.text)))));
  const rows = [...body.children].map((node, index) => ({ node, cells: spec.rows[index] }));
  const heads = spec.columns.map((column, index) => sortHead(column.title, column.left, (descending) => {
    heads.forEach((head, i) => { if (i !== index) head.removeAttribute("aria-sort"); });
    rows.sort((a, b) => compareCells(a.cells[index], b.cells[index], descending));
    body.append(...rows.map((row) => row.node));
  }, !column.left));
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": about },
    element("table", {}, element("caption", { class: "unseen" }, about), element("thead", {}, element("tr", {}, heads)), body));
}

/* A heading that sorts: best first, then reversed. */
function sortHead(title, left, sort, descendingFirst = false, about = null) {
  const head = element("th", { scope: "col", class: left ? "left" : null },
    element("button", {
      type: "button",
      title: about,
      click: () => {
        const now = head.getAttribute("aria-sort");
        const descending = now ? now === "ascending" : descendingFirst;
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
