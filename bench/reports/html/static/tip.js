/* The tooltip of a mark in a chart, under the pointer or keyboard focus. */
const tip = element("div", { id: "tip", role: "tooltip", hidden: true });
document.body.append(tip);

function explained(node, title, lines) {
  node.setAttribute("tabindex", "0");
  node.setAttribute("role", "img");
  node.setAttribute("aria-label", [title, ...lines].join("; "));
  node.classList.add("point");
  const show = () => showTip((node.querySelector(".halo") ?? node).getBoundingClientRect(), title, lines);
  for (const name of ["pointerenter", "focus"]) node.addEventListener(name, show);
  for (const name of ["pointerleave", "blur"]) node.addEventListener(name, hideTip);
  return node;
}

function showTip(box, title, lines) {
  tip.replaceChildren(element("b", {}, title), ...lines.map((line) => element("div", {}, line)));
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.min(Math.max(8, box.left + box.width / 2 - width / 2), innerWidth - width - 8);
  const top = box.top - height - 10 < 8 ? box.bottom + 10 : box.top - height - 10;
  tip.style.left = `${left + scrollX}px`;
  tip.style.top = `${top + scrollY}px`;
}

function hideTip() {
  tip.hidden = true;
}

document.addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });

/* What is about the same backbone lights up together: its rows in tables, its marks in charts. */
function tagged(node, about) {
  if (about) node.dataset.about = about;
  return node;
}

let lit = null;
function light(event) {
  const about = event.target.closest?.("[data-about]")?.dataset.about;
  if (about === lit) return;
  lit = about;
  document.querySelectorAll(".lit").forEach((node) => node.classList.remove("lit"));
  if (about) document.querySelectorAll(`[data-about="${CSS.escape(about)}"]`).forEach((node) => node.classList.add("lit"));
}

for (const name of ["pointerover", "focusin"]) document.addEventListener(name, light);
