/* Contact sheets: what all backbones get wrong, and the most confident mistakes of each. */
drawing("mistakes", (data) => {
  const place = element("div", {});
  const show = (backbone) => place.replaceChildren(
    element("p", { class: "soft small" }, `${backbone.total.toLocaleString("en")} images wrong in most seeds${backbone.total > backbone.images.length ? `; the most confident ${backbone.images.length}` : ""}.`),
    contactSheet(backbone.images));
  // The pictures are decoded when this is first opened.
  const own = element("details", { class: "long" }, element("summary", {}, "The most confident mistakes of each backbone"),
    element("div", { class: "tools" }, picker(data.backbones, show)), place);
  whenOpened(own, () => show(data.backbones[0]));
  if (!data.shared.length) return own;
  const sheet = element("div", {});
  const all = element("details", { class: "long" }, element("summary", {}, "Pictures of what every backbone misclassifies"),
    element("p", { class: "soft small" }, "True → predicted; the most confident first."), sheet);
  whenOpened(all, () => sheet.append(contactSheet(data.shared)));
  return [all, own];
});
