/* Images with captions; those without a picture are listed by file name. */
function contactSheet(images) {
  const pictures = largeData("pictures");
  const shown = images.filter(({ image }) => image in pictures);
  const listed = images.filter(({ image }) => !(image in pictures));
  return element("div", {},
    shown.length > 0 && element("ul", { class: "sheet" }, shown.map(({ image, file, words, title, heatmap, strongest, near }) => element("li", {},
      element("div", { class: "shot" },
        element("img", { src: pictures[image], alt: [title ? `${title}: ${file}` : file, heatmap && `heatmap strongest: ${strongest}`].filter(Boolean).join("; "), decoding: "async", width: 144, height: 144 }),
        heatmap && drawHeatmap(heatmap)),
      title && element("div", {}, title), element("div", {}, words), element("div", { class: "file name", title: file }, file),
      near && drawNeighbours(near, pictures)))),
    listed.length > 0 && element("ul", { class: "files" }, listed.map(({ file, words, title }) =>
      element("li", {}, nameSpan(file), ` (${[title, words].filter(Boolean).join(", ")})`))));
}

/* A canvas with one pixel for each value; the browser interpolates between them. */
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
function drawNeighbours(near, pictures) {
  return element("ul", { class: "near", "aria-label": "Nearest training images" }, near.map(({ image, words }) => element("li", {},
    pictures[`train/${image}`] && element("img", { src: pictures[`train/${image}`], alt: "", decoding: "async", width: 72, height: 72 }), words)));
}

/* Contact sheets, one at a time; pictures are decoded when the gallery is first opened. */
function drawGallery({ title, sheets }) {
  const place = element("div", {});
  const show = (sheet) => place.replaceChildren(...[sheet.about && element("p", { class: "soft small" }, sheet.about), contactSheet(sheet.shots)].filter(Boolean));
  const mapped = sheets.some(({ shots }) => shots.some(({ heatmap }) => heatmap));
  const toggle = (event) => place.classList.toggle("unmapped", !event.currentTarget.checked);
  const details = element("details", { class: "long" }, element("summary", {}, title),
    (sheets.length > 1 || mapped) && element("div", { class: "tools" }, sheets.length > 1 && choiceMenu("Of", sheets.map((sheet) => ({ ...sheet, title: sheet.label })), show),
      mapped && element("label", {}, element("input", { type: "checkbox", checked: true, change: toggle }), "Heatmaps")), place);
  details.addEventListener("toggle", () => show(sheets[0]), { once: true });
  return details;
}

/* A click on a cell of a confusion matrix shows its images below the chart or table, and hides them again. */
let closeImages = () => {};
function openOnClick(node, ...cell) {
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
  const { seeds, files, backbones } = largeData("predictions");
  const found = backbones[label]?.[`${row},${column}`] ?? [];
  const title = cellTitle(largeData("predictions"), row, column);
  const images = found.map(([image, sure, times]) => ({
    image,
    file: files[image],
    words: [`confidence ${percent(sure)}`, seeds[label] > 1 && `${times} of ${seeds[label]} seeds`].filter(Boolean).join(", "),
  }));
  const listed = found.reduce((sum, [, , times]) => sum + times, 0);
  const close = element("button", { class: "button", type: "button", click: () => { closeImages(); node.focus(); } }, "Close");
  const drill = element("div", { class: "drill", role: "region", "aria-label": "Images of a cell", "aria-live": "polite" },
    element("div", { class: "tools" }, element("h3", {}, title), close),
    images.length ? contactSheet(images) : element("p", { class: "soft" }, "The images of this cell are not in this page; the arrays of the run have them."),
    images.length > 0 && listed < count && element("p", { class: "soft small" }, `The most confident ${images.length}, which represent ${listed} of ${count} predictions.`));
  node.closest(".chart-block, .table-block").append(drill);
  drill.scrollIntoView({ block: "nearest" });
  closeImages = () => {
    drill.remove();
    closed();
    closeImages = () => {};
  };
}
