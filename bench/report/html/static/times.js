/* Where the time of each trial went. */
section("times", "Time", (data) => [
  element("p", { class: "soft" }, `All as from cold caches; “reused” is how much of the total was found done. ${Object.entries(data.parts).map(([part, words]) => `${part}: ${words}`).join("; ")}.`),
  element("details", { open: data.table.rows.length <= 12 }, element("summary", {}, `Seconds of ${data.table.rows.length} trials`), sortable(data.table, "Seconds of each trial")),
]);
