/* Sections made of blocks: an explanation, then tables, lists and drawings in their order. */
const FEW_NOTES = 10, LONG_TABLE = 60;

function blockSection(name) {
  const { title, about, blocks } = DATA.sections[name];
  return { title, draw: () => [about && element("p", { class: "soft" }, coded(about)), blocks.map(drawBlock).flat()] };
}

function drawBlock(content) {
  if (content.kind === "table") return drawTable(content);
  if (content.kind === "notes") return drawNotes(content);
  return content.kind === "commands" ? drawCommands(content) : drawings[content.name](content.data);
}

function drawTable(spec) {
  const frame = sortable(spec, spec.title);
  if (spec.heat) {
    frame.querySelectorAll("tbody tr").forEach((row, i) => [...row.children].slice(...spec.heat).forEach((node, j) => {
      node.classList.add("shaded");
      node.style.setProperty("--share", String(spec.rows[i][spec.heat[0] + j].value ?? 0));
    }));
  }
  const parts = [spec.about && element("p", { class: "soft small" }, coded(spec.about)), frame];
  if (!spec.folded) return parts;
  const long = spec.rows.length > LONG_TABLE ? "long" : null;
  return element("details", { class: long }, element("summary", {}, spec.title), parts);
}

function drawNotes({ title, items, more, where, folded }) {
  const list = element("ul", {}, items.map(([who, what]) => element("li", {}, who && [element("strong", {}, named(who)), ": "], coded(what))),
    more > 0 && element("li", { class: "soft" }, `and ${more.toLocaleString("en")} more${where && ", "}`, coded(where)));
  if (!title) return list;
  const count = (items.length + more).toLocaleString("en");
  return element("details", { open: !folded && items.length <= FEW_NOTES }, element("summary", {}, `${title} (${count})`), list);
}

/* Text with names of files and options between backticks. */
function coded(text) {
  return text.split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part));
}

function drawCommands({ title, items }) {
  const lines = items.map(([about, command]) => element("div", { class: "command" },
    about && element("div", { class: "soft small" }, about), copied(command)));
  return title ? element("details", {}, element("summary", {}, title), lines) : lines;
}

function copied(text) {
  const shown = element("pre", { tabindex: "0" }, text);
  const button = element("button", { class: "button", type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      // Where a page may not write to the clipboard, the text is selected for the reader to copy.
      getSelection().selectAllChildren(shown);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1600);
  });
  return element("div", { class: "row" }, shown, button);
}
