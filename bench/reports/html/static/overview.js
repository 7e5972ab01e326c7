/* The top of the page. */
const FEW_WARNINGS = 4;

function masthead(overview) {
  return element("header", { class: "masthead column" },
    element("div", { class: "line" }, element("h1", {}, named(overview.name)), themeButton()),
    overview.verdict && verdict(overview.verdict),
    element("details", { open: innerWidth > 640 }, element("summary", {}, "What was run"),
      element("dl", { class: "facts" }, overview.facts.map(([title, text]) =>
        [element("dt", {}, title), element("dd", {}, text)]))),
    overview.warnings.length > 0 && warnings(overview.warnings));
}

function verdict({ sentence, certainty, about, first }) {
  return element("div", { class: "verdict", role: "region", "aria-label": "Verdict" },
    element("p", { class: "sentence" }, sentence),
    first.length > 1 && [
      element("p", { class: "soft small above" }, about),
      element("dl", { class: "chances" }, first.map(({ label, share, text }) => [
        element("dt", {}, named(shortened(label, 40))),
        element("dd", {}, element("span", { class: "bar", style: { width: `${100 * share}%` } }), text),
      ])),
    ],
    certainty && element("p", { class: "certainty small" }, certainty));
}

function warnings(texts) {
  const items = (some) => some.map((text) => element("li", {}, text));
  const rest = texts.slice(FEW_WARNINGS);
  return element("aside", { "aria-label": "Warnings" },
    element("ul", { class: "warnings" }, items(texts.slice(0, FEW_WARNINGS)),
      rest.length > 0 && element("details", {}, element("summary", {}, `${rest.length} more`), element("ul", {}, items(rest)))));
}
