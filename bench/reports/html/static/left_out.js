/* What failed, was skipped or could not be read. */
section("left_out", "Left out", (data) => data.groups.map(({ title, items, more }) =>
  element("details", { open: items.length <= 10 }, element("summary", {}, `${title} (${(items.length + more).toLocaleString("en")})`),
    element("ul", {}, items.map(([who, why]) => element("li", {}, element("strong", {}, named(who)), `: ${why}`)),
      more > 0 && element("li", { class: "soft" }, `and ${more.toLocaleString("en")} more, in the run's files`)))));
