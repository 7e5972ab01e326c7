/* Creates elements. Text is always set as text, so no name from the data can become markup. */
const DATA = JSON.parse(document.getElementById("data").textContent);

function element(tag, attributes = {}, ...children) {
  return build(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return build(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else if (name === "style") Object.entries(value).forEach(([k, v]) => node.style.setProperty(k, v));
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/* A name from the data, isolated from the surrounding text direction. It may break before `@` and after
   `_`. */
function nameSpan(text) {
  const parts = text.split(/(?=@)|(?<=_)/).flatMap((part, place) => (place ? [element("wbr"), part] : [part]));
  return element("span", { class: "name", title: text.length > 40 ? text : null }, parts);
}

/* Large data of the page, decoded on first use. */
const decoded = {};
function largeData(name) {
  return (decoded[name] ??= JSON.parse(document.getElementById(`data-${name}`).textContent));
}

/* Buttons of which one is pressed; `choose` is called with its item. Items have a title. */
function choiceButtons(what, items, choose) {
  const buttons = items.map((item, index) =>
    element("button", {
      class: "button",
      type: "button",
      "aria-pressed": String(index === 0),
      click: (event) => {
        buttons.forEach((b) => b.setAttribute("aria-pressed", String(b === event.currentTarget)));
        choose(item);
      },
    }, shorten(item.title, 60)));
  return element("div", { class: "choice", role: "group", "aria-label": what }, buttons);
}

/* A menu with the same arguments. */
function choiceMenu(what, items, choose) {
  const menu = element("select", { class: "field", change: () => choose(items[menu.value]) },
    items.map(({ title }, index) => element("option", { value: index }, shorten(title, 60))));
  return element("label", {}, element("span", {}, what), menu);
}

/* A text cut in the middle, because names often differ only at their ends. */
function shorten(text, most) {
  if (text.length <= most) return text;
  const head = Math.floor(most / 2);
  return `${text.slice(0, head)}…${text.slice(text.length - (most - 1 - head))}`;
}

const measure = document.createElement("canvas").getContext("2d");
measure.font = `12px ${getComputedStyle(document.body).fontFamily}`;
const widths = new Map();
function textWidth(text) {
  if (!widths.has(text)) widths.set(text, measure.measureText(text).width);
  return widths.get(text);
}

/* A name cut in the middle to `room` pixels. */
function fitText(name, room) {
  let most = Math.min(name.length, Math.max(2, Math.floor(room / 3)));
  while (most > 2 && textWidth(shorten(name, most)) > room) most -= 1;
  return shorten(name, most);
}

function percent(share) {
  return `${(100 * share).toFixed(1)}%`;
}

/* A heading with a link to its section. */
function heading(tag, id, title) {
  return element(tag, {}, title, " ", element("a", { class: "anchor unprinted", href: `#${id}`, "aria-label": `Link to ${title}` }, "#"));
}

/* A button that saves a table or chart as a file. */
function saveButton(format, about, save) {
  return element("button", { type: "button", "aria-label": `Save ${about} as ${format}`, click: save }, format);
}

function fileName(title) {
  return title.toLowerCase().replace(/[^a-z0-9]+/g, "_").replace(/^_|_$/g, "") || "table";
}

/* Saves content as a file of this name. */
function saveFile(name, type, content) {
  const address = URL.createObjectURL(new Blob([content], { type }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

/* Collapsed parts are opened for printing, except pictures and long tables. */
let printing = false;
const unfolded = [];
window.addEventListener("beforeprint", () => {
  printing = true;
  for (const details of document.querySelectorAll("details:not([open]):not(.long):not(.unprinted)")) {
    details.open = true;
    unfolded.push(details);
  }
});
window.addEventListener("afterprint", () => {
  printing = false;
  for (const details of unfolded.splice(0)) details.open = false;
});
