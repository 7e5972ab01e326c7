/* Data audit: copies, conflicts, leaks, and their effect on the accuracies. */
section("audit", "Data audit", (data) => {
  const sheet = element("div", {});
  const pairs = element("details", { class: "long" }, element("summary", {}, `The pairs (${(data.pairs.length + data.more).toLocaleString("en")})`), sheet);
  whenOpened(pairs, () => sheet.append(pairSheet(data)));
  return [
    element("p", {}, data.outcome),
    data.others.length > 0 && element("ul", {}, data.others.map((other) => element("li", {}, other))),
    sortable(data.counts, "Copies found"),
    data.pairs.length > 0 && pairs,
    data.accuracies && element("div", {}, element("h3", { class: "above" }, "Accuracy without leaked images"),
      element("p", { class: "soft small" }, "From the stored answers, with 95% intervals. The weights are the same: they were trained on the copies."),
      sortable(data.accuracies, "Accuracy without leaked images")),
  ];
});

function pairSheet({ pairs, more }) {
  const pictures = block("audit_pictures") ?? {};
  return element("div", {}, element("ul", { class: "sheet pairs" }, pairs.map((pair, place) => element("li", {},
    pictures[place] && element("img", { src: pictures[place], alt: `${pair.images[0][0]} and ${pair.images[1][0]}`, decoding: "async" }),
    element("div", {}, pair.how, " ", pair.labels && element("span", { class: "badge bad" }, "two labels"), " ", pair.splits && element("span", { class: "badge bad" }, "two splits")),
    pair.images.map(([file, where]) => element("div", { class: "file", title: file }, named(file), ` (${where})`))))),
  more > 0 && element("p", { class: "soft small" }, `and ${more.toLocaleString("en")} more, in audit.json`));
}
