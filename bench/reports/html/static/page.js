/* The page: its head, the contents, and the sections, each an explanation followed by its blocks. */
const FEW_NOTES = 10, FEW_WARNINGS = 4, LONG_TABLE = 60;

function drawSection({ title, about, blocks }) {
  const several = blocks.filter(({ kind, folded }) => kind === "table" && !folded).length > 1;
  return [about && element("p", { class: "soft" }, withCode(about)),
    blocks.flatMap((one, index) => drawBlock(one, title, several || (index > 0 && blocks[index - 1].title !== one.title)))];
}

function drawBlock(content, under, titled) {
  const { kind } = content;
  if (kind === "table" && titled && !content.folded && content.title !== under) return [element("h3", { class: "above" }, content.title), ...drawTable(content)];
  if (kind === "chart") return drawChart(content, under);
  return { statement: drawStatement, facts: drawFacts, table: drawTable, gallery: drawGallery, notes: content.warning ? drawWarnings : drawNotes, commands: drawCommands }[kind](content);
}

function drawStatement({ sentence, certainty, lead, bars }) {
  const first = lead || sentence;
  return element("div", { class: "verdict", role: "region", "aria-label": "Verdict" },
    element("div", { class: "said" },
      element("p", { class: "sentence" }, first), sentence.length > first.length && element("p", {}, sentence.slice(first.length)),
      certainty && element("p", { class: "certainty small" }, certainty)),
    bars.rows.length > 0 && element("div", { class: "bars" }, element("p", { class: "soft small" }, bars.title),
      element("dl", {}, bars.rows.map(([label, share, words]) => [
        element("dt", {}, nameSpan(shorten(label, 40))),
        element("dd", {}, element("span", { class: "bar", style: { width: `${100 * share}%` } }), words),
      ]))));
}

function drawFacts({ title, items }) {
  return element("details", { open: innerWidth > 640 }, element("summary", {}, title),
    element("dl", { class: "facts" }, items.map(([what, text]) => [element("dt", {}, what), element("dd", {}, text)])));
}

function drawWarnings({ items }) {
  const list = (some) => some.map(([, text]) => element("li", {}, withCode(text)));
  const rest = items.slice(FEW_WARNINGS);
  return element("aside", { "aria-label": "Warnings" },
    element("ul", { class: "warnings" }, list(items.slice(0, FEW_WARNINGS)),
      rest.length > 0 && element("details", {}, element("summary", {}, `${rest.length} more`), element("ul", {}, list(rest)))));
}

function drawTable(spec) {
  const about = spec.about && element("p", { class: "soft small" }, withCode(spec.about));
  if (spec.follows) return [drawFollowing(spec)];
  if (!spec.folded) return [sortable(spec, spec.title), about];
  const long = spec.rows.length > LONG_TABLE || spec.rows.some((row) => row.some(({ image }) => image));
  const details = element("details", { class: long ? "long" : null }, element("summary", {}, spec.title));
  const fill = () => details.append(sortable(spec, spec.title), about || "");
  if (long) details.addEventListener("toggle", fill, { once: true }); // on first opening
  else fill();
  return details;
}

/* A table with only the rows of the backbone chosen in a chart; all rows are printed unless they are many. */
function drawFollowing(spec) {
  const place = element("div", {});
  const show = () => {
    const chosen = CHOSEN.get(spec.follows);
    const rows = spec.rows.filter(([{ text }]) => text === chosen).map((row) => row.slice(1));
    place.replaceChildren(element("p", { class: "printed" }, nameSpan(chosen)),
      rows.length ? sortable({ columns: spec.columns.slice(1), rows }, spec.title) : element("p", { class: "soft" }, `None for ${chosen}.`));
  };
  document.addEventListener("chosen", show);
  window.addEventListener("beforeprint", () => { if (spec.rows.length <= LONG_TABLE) place.replaceChildren(sortable(spec, spec.title)); });
  window.addEventListener("afterprint", show);
  show();
  return place;
}

function drawNotes({ title, items, more = 0, where = "", folded }) {
  const list = element("ul", {}, items.map(([who, what]) => element("li", {}, who && [element("strong", {}, nameSpan(who)), ": "], withCode(what))),
    more > 0 && element("li", { class: "soft" }, `and ${more.toLocaleString("en")} more${where && ", "}`, withCode(where)));
  if (!title) return list;
  const count = (items.length + more).toLocaleString("en");
  return element("details", { open: !folded && items.length <= FEW_NOTES }, element("summary", {}, `${title} (${count})`), list);
}

/* Text whose parts between backticks are set as code. */
function withCode(text) {
  return text.split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part));
}

function drawCommands({ title, items }) {
  const lines = items.map(([about, command]) => element("div", { class: "command" },
    about && element("div", { class: "soft small" }, about), copyBlock(command)));
  return title ? element("details", {}, element("summary", {}, title), lines) : lines;
}

function copyBlock(text) {
  const shown = element("pre", { tabindex: "0" }, text);
  const button = element("button", { class: "button", type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      // The page has no access to the clipboard: select the text, so that the reader can copy it.
      getSelection().selectAllChildren(shown);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1600);
  });
  return element("div", { class: "row" }, shown, button);
}

/* Light or dark: the system's setting until the reader chooses. */
function themeButton() {
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const button = element("button", { class: "button", type: "button" });
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const update = () => { button.textContent = dark() ? "☀ Light" : "☾ Dark"; };
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    update();
  });
  system.addEventListener("change", update);
  update();
  return button;
}

const { overview, ...sections } = DATA.sections;
document.body.prepend(
  element("a", { class: "skip", href: "#main" }, "Skip to the results"),
  element("header", { class: "masthead column" },
    element("div", { class: "line" }, element("h1", {}, nameSpan(overview.title)), themeButton()),
    overview.blocks.map(drawBlock)),
  element("nav", { class: "contents", "aria-label": "Contents" }, element("ul", { class: "column" },
    Object.entries(sections).map(([name, { title }]) => element("li", {}, element("a", { href: `#${name}` }, title))))),
  element("main", { id: "main", class: "column", tabindex: "-1" }, Object.entries(sections).map(([name, section]) =>
    element("section", { id: name, "aria-label": section.title }, heading("h2", name, section.title), drawSection(section)))),
  element("footer", { class: "column soft small" }, DATA.footer));

// The charts are drawn now, so the target of the link has moved since the browser scrolled to it.
window.addEventListener("load", () => { if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView(); });
