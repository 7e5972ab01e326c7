/* Builds the page: the top, the contents, a section for everything that has data. */
const there = DATA.contents.filter((name) => name !== "overview").map((name) => ({ name, ...blockSection(name) }));
document.body.prepend(
  element("a", { class: "skip", href: "#main" }, "To the results"),
  element("header", { class: "masthead column" },
    element("div", { class: "line" }, element("h1", {}, named(DATA.sections.overview.title)), themeButton()),
    DATA.sections.overview.blocks.map(drawBlock)),
  element("nav", { class: "contents", "aria-label": "Contents" }, element("ul", { class: "column" },
    there.map(({ name, title }) => element("li", {}, element("a", { href: `#${name}` }, title))))),
  element("main", { id: "main", class: "column", tabindex: "-1" }, there.map(({ name, title, draw }) =>
    element("section", { id: name, "aria-label": title }, heading("h2", name, title), draw()))),
  element("footer", { class: "column soft small" }, DATA.footer));

// What a link leads to has moved since the browser looked for it, because the charts are drawn now.
window.addEventListener("load", () => { if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView(); });
