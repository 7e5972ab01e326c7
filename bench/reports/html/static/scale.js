/* From values to positions on the page, lines through points, and names that fit. */
function linear([low, high], [from, to]) {
  const span = high - low || 1;
  return (value) => from + ((value - low) / span) * (to - from);
}

function logarithmic([low, high], range) {
  const along = linear([Math.log(low), Math.log(high)], range);
  return (value) => along(Math.log(value));
}

function plainNumber(value) {
  if (Math.abs(value) >= 1e6) return `${plainNumber(value / 1e6)} M`;
  return Number(value.toPrecision(4)).toLocaleString("en", { maximumSignificantDigits: 4 });
}

function path(points) {
  return points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

const pen = document.createElement("canvas").getContext("2d");
function textWidth(text) {
  pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  return pen.measureText(text).width;
}

/* A name cut in the middle to so many pixels. */
function fitted(name, room) {
  let most = Math.min(name.length, Math.max(2, Math.floor(room / 3)));
  while (most > 2 && textWidth(shortened(name, most)) > room) most -= 1;
  return shortened(name, most);
}
