/* Where the time of each trial went. */
section("times", "Time", (data) => [
  element("p", { class: "soft" }, data.about),
  element("details", { open: data.table.rows.length <= 12, class: data.table.rows.length > 60 ? "long" : null }, element("summary", {}, `Seconds of ${data.table.rows.length} trials`), sortable(data.table, "Seconds of each trial")),
]);
