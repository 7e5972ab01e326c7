/* Contact sheets: what all backbones get wrong, and the most confident mistakes of each. */
section("mistakes", "Mistakes", (data) => {
  const place = element("div", {});
  const show = (backbone) => place.replaceChildren(
    element("p", { class: "soft small" }, `${backbone.total.toLocaleString("en")} images wrong in most seeds${backbone.total > backbone.images.length ? `; the most confident ${backbone.images.length}` : ""}.`),
    contactSheet(backbone.images));
  // The pictures are decoded when this is first opened.
  const own = element("details", { class: "long" }, element("summary", {}, "The most confident mistakes of each backbone"),
    element("div", { class: "tools" }, picker(data.backbones, show)), place);
  whenOpened(own, () => show(data.backbones[0]));
  if (!data.shared_total) return [element("p", { class: "soft" }, data.together > 1 ? "No image is misclassified by every pretrained backbone." : "With one pretrained backbone there are no shared mistakes."), own];
  const sheet = element("div", {});
  const all = element("details", { class: "long" }, element("summary", {}, `Misclassified by every pretrained backbone: ${data.shared_total.toLocaleString("en")} ${data.shared_total === 1 ? "image" : "images"}`),
    element("p", { class: "soft small" }, `Images that ${data.together} networks all misclassify with high confidence often have a wrong label. True → predicted; most confident first.`), sheet);
  whenOpened(all, () => sheet.append(contactSheet(data.shared)));
  return [all, own];
});
