/* Images with captions; those without a picture are listed by their file. */
function contactSheet(images) {
  const pictures = block("pictures") ?? {};
  const seen = images.filter(({ image }) => image in pictures);
  const unseen = images.filter(({ image }) => !(image in pictures));
  return element("div", {},
    seen.length > 0 && element("ul", { class: "sheet" }, seen.map(({ image, file, words, title }) => element("li", {},
      element("img", { src: pictures[image], alt: title ? `${title}: ${file}` : file, decoding: "async", width: 144, height: 144 }),
      title && element("div", {}, title), element("div", {}, words), element("div", { class: "file name", title: file }, file)))),
    unseen.length > 0 && element("ul", { class: "files" }, unseen.map(({ file, words, title }) =>
      element("li", {}, named(file), ` (${[title, words].filter(Boolean).join(", ")})`))));
}

/* Contact sheets, one at a time; pictures are decoded when they are first opened. */
function drawGallery({ title, sheets }) {
  const place = element("div", {});
  const show = (sheet) => place.replaceChildren(...[sheet.about && element("p", { class: "soft small" }, sheet.about), contactSheet(sheet.shots)].filter(Boolean));
  const details = element("details", { class: "long" }, element("summary", {}, title),
    sheets.length > 1 && element("div", { class: "tools" }, picker(sheets, show, "Of")), place);
  whenOpened(details, () => show(sheets[0]));
  return details;
}
