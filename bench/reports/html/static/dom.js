/* Making elements. Text is always set as text, so no name from the data can become markup. */
const DATA = JSON.parse(document.getElementById("data").textContent);

function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else if (name === "style") Object.entries(value).forEach(([k, v]) => node.style.setProperty(k, v));
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/* A name from the data, isolated from the text direction around it; it may break before `@` and
   after `_`. */
function named(text) {
  const parts = text.split(/(?=@)|(?<=_)/).flatMap((part, place) => (place ? [element("wbr"), part] : [part]));
  return element("span", { class: "name", title: text.length > 40 ? text : null }, parts);
}

/* A large part of the page's data, decoded on first use. */
const decoded = new Map();
function block(name) {
  if (!decoded.has(name)) {
    const source = document.getElementById(`block-${name}`);
    decoded.set(name, source ? JSON.parse(source.textContent) : null);
  }
  return decoded.get(name);
}

/* Buttons of which one is pressed; `choose` receives its item, which has a title. */
function choice(what, items, choose) {
  const buttons = items.map((item, index) =>
    element("button", {
      class: "button",
      type: "button",
      "aria-pressed": String(index === 0),
      click: (event) => {
        buttons.forEach((b) => b.setAttribute("aria-pressed", String(b === event.currentTarget)));
        choose(item);
      },
    }, shortened(item.title, 60)));
  return element("div", { class: "choice", role: "group", "aria-label": what }, buttons);
}

/* A menu in their place. */
function picker(what, items, choose) {
  const menu = element("select", { class: "field", change: () => choose(items[menu.value]) },
    items.map(({ title }, index) => element("option", { value: index }, shortened(title, 60))));
  return element("label", {}, element("span", {}, what), menu);
}

/* Cut in the middle, because names differ at their ends. */
function shortened(text, most) {
  if (text.length <= most) return text;
  const head = Math.floor(most / 2);
  return `${text.slice(0, head)}…${text.slice(text.length - (most - 1 - head))}`;
}

const pen = document.createElement("canvas").getContext("2d");
pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
const widths = new Map();
function textWidth(text) {
  if (!widths.has(text)) widths.set(text, pen.measureText(text).width);
  return widths.get(text);
}

/* A name cut in the middle to so many pixels. */
function fitted(name, room) {
  let most = Math.min(name.length, Math.max(2, Math.floor(room / 3)));
  while (most > 2 && textWidth(shortened(name, most)) > room) most -= 1;
  return shortened(name, most);
}

function percent(share, digits = 1) {
  return `${(100 * share).toFixed(digits)}%`;
}

function plainNumber(value) {
  if (Math.abs(value) >= 1e6) return `${plainNumber(value / 1e6)} M`;
  return Number(value.toPrecision(4)).toLocaleString("en", { maximumSignificantDigits: 4 });
}

/* A heading with a link to what it heads. */
function heading(tag, id, title) {
  return element(tag, {}, title, " ", element("a", { class: "anchor unprinted", href: `#${id}`, "aria-label": `Link to ${title}` }, "#"));
}

/* A button that saves what it is next to. */
function saver(format, about, save) {
  return element("button", { type: "button", "aria-label": `Save ${about} as ${format}`, click: save }, format);
}

function fileName(title) {
  return title.toLowerCase().replace(/[^a-z0-9]+/g, "_").replace(/^_|_$/g, "") || "table";
}

/* Saves what the page made, in a file of that name. */
function saveFile(name, type, content) {
  const address = URL.createObjectURL(new Blob([content], { type }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

/* Fills a `details` when it is first opened, or printed open. */
function whenOpened(details, fill) {
  const once = () => {
    if (!details.open) return;
    details.removeEventListener("toggle", once);
    fill();
  };
  details.addEventListener("toggle", once);
}

/* Print cannot be opened: folded parts are printed, too. Pictures and what goes on for pages
   are so only where the reader has opened them. */
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
