/* Reproduce: commands to copy, the protocol, the weights, the environment. */
section("reproduction", "Reproduce", (data) => [
  data.commands.map(([about, command]) => element("div", { class: "command" }, element("div", { class: "soft small" }, about), copied(command))),
  data.protocol && element("details", {}, element("summary", {}, "The whole protocol"), copied(data.protocol)),
  data.weights.length > 0 && element("details", {}, element("summary", {}, "Weights"),
    sortable(plainTable(["Backbone", "Weights", "File or package", "SHA-256"], data.weights), "Weights of each backbone")),
  data.environment.length > 0 && element("details", {}, element("summary", {}, "Environment"),
    sortable(plainTable(["What", "Which"], data.environment), "Environment")),
  data.notes.length > 0 && element("details", {}, element("summary", {}, "Notes of the trials"),
    data.notes.map(([label, notes]) => element("div", {}, element("h3", {}, named(label)), element("ul", {}, notes.map((note) => element("li", {}, note)))))),
]);

function plainTable(titles, rows) {
  return { columns: titles.map((title) => ({ title, left: true })), rows: rows.map((row) => row.map((text) => ({ text }))) };
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
