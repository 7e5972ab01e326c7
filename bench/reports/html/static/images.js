/* Images with captions; those without a picture are listed by their file. */
function contactSheet(images) {
  const pictures = block("pictures") ?? {};
  const seen = images.filter(({ image }) => image in pictures);
  const unseen = images.filter(({ image }) => !(image in pictures));
  return element("div", {},
    seen.length > 0 && element("ul", { class: "sheet" }, seen.map(({ image, file, words, title, heatmap, strongest, near }) => element("li", {},
      element("div", { class: "shot" },
        element("img", { src: pictures[image], alt: [title ? `${title}: ${file}` : file, heatmap && `heatmap strongest: ${strongest}`].filter(Boolean).join("; "), decoding: "async", width: 144, height: 144 }),
        heatmap && drawHeatmap(heatmap)),
      title && element("div", {}, title), element("div", {}, words), element("div", { class: "file name", title: file }, file),
      near && nearest(near, pictures)))),
    unseen.length > 0 && element("ul", { class: "files" }, unseen.map(({ file, words, title }) =>
      element("li", {}, named(file), ` (${[title, words].filter(Boolean).join(", ")})`))));
}

/* As many pixels as the map has places: the browser smooths them. */
function drawHeatmap(rows) {
  const [least, most] = [[12, 18, 48], [255, 170, 0]];
  const canvas = element("canvas", { class: "heatmap", width: rows[0].length, height: rows.length, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  rows.forEach((row, y) => row.forEach((share, x) => {
    context.fillStyle = `rgb(${least.map((from, i) => from + (most[i] - from) * share).join(" ")} / 0.55)`;
    context.fillRect(x, y, 1, 1);
  }));
  return canvas;
}

/* Training images that resemble a test image. */
function nearest(near, pictures) {
  return element("ul", { class: "near", "aria-label": "Nearest training images" }, near.map(({ image, words }) => element("li", {},
    pictures[`train/${image}`] && element("img", { src: pictures[`train/${image}`], alt: "", decoding: "async", width: 72, height: 72 }), words)));
}

/* Contact sheets, one at a time; pictures are decoded when they are first opened. */
function drawGallery({ title, sheets }) {
  const place = element("div", {});
  const show = (sheet) => place.replaceChildren(...[sheet.about && element("p", { class: "soft small" }, sheet.about), contactSheet(sheet.shots)].filter(Boolean));
  const mapped = sheets.some(({ shots }) => shots.some(({ heatmap }) => heatmap));
  const toggle = (event) => place.classList.toggle("unmapped", !event.currentTarget.checked);
  const details = element("details", { class: "long" }, element("summary", {}, title),
    (sheets.length > 1 || mapped) && element("div", { class: "tools" }, sheets.length > 1 && picker("Of", sheets.map((sheet) => ({ ...sheet, title: sheet.label })), show),
      mapped && element("label", {}, element("input", { type: "checkbox", checked: true, change: toggle }), "Heatmaps")), place);
  whenOpened(details, () => show(sheets[0]));
  return details;
}

/* Below the chart or table of a cell of a confusion matrix: its images, until it is pressed again. */
let closeImages = () => {};
function opensImages(node, ...cell) {
  const toggle = () => {
    const open = node.getAttribute("aria-expanded") === "true";
    closeImages();
    if (open) return;
    showImages(node, ...cell, () => node.setAttribute("aria-expanded", "false"));
    node.setAttribute("aria-expanded", "true");
  };
  node.setAttribute("role", "button");
  node.setAttribute("aria-expanded", "false");
  node.addEventListener("click", toggle);
  if (node instanceof SVGElement) node.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    toggle();
  });
  return node;
}

const cellTitle = ({ classes }, row, column) => (row === column ? `${classes[row]}, correct` : `${classes[row]} predicted as ${classes[column]}`);

function showImages(node, label, row, column, count, closed) {
  const { seeds, files, backbones } = block("answers");
  const found = backbones[label]?.[`${row},${column}`] ?? [];
  const title = cellTitle(block("answers"), row, column);
  const images = found.map(([image, sure, times]) => ({
    image,
    file: files[image],
    words: [`confidence ${percent(sure)}`, seeds[label] > 1 && `${times} of ${seeds[label]} seeds`].filter(Boolean).join(", "),
  }));
  const listed = found.reduce((sum, [, , times]) => sum + times, 0);
  const close = element("button", { class: "button", type: "button", click: () => { closeImages(); node.focus(); } }, "Close");
  const drill = element("div", { class: "drill", role: "region", "aria-label": "Images of a cell", "aria-live": "polite" },
    element("div", { class: "tools" }, element("h3", {}, title), close),
    images.length ? contactSheet(images) : element("p", { class: "soft" }, "The images of this cell are not listed here; the arrays of the run have them."),
    images.length > 0 && listed < count && element("p", { class: "soft small" }, `The most confident ${images.length}, which represent ${listed} of ${count} answers.`));
  node.closest(".chart-block, .table-block").append(drill);
  drill.scrollIntoView({ block: "nearest" });
  closeImages = () => {
    drill.remove();
    closed();
    closeImages = () => {};
  };
}
