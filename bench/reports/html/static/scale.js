/* From values to positions on the page, the round values of an axis, and lines through points. */
function linear([low, high], [from, to]) {
  const span = high - low || 1;
  return (value) => from + ((value - low) / span) * (to - from);
}

function logarithmic([low, high], range) {
  const along = linear([Math.log(low), Math.log(high)], range);
  return (value) => along(Math.log(value));
}

function roundTicks([low, high], about) {
  const rough = (high - low || 1) / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1) ticks.push(i * step);
  return ticks;
}

function logTicks([low, high], most) {
  let ticks = [];
  for (const steps of [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 5, 7]]) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
      for (const step of steps) found.push(step * 10 ** power);
    }
    const within = found.filter((tick) => tick >= low && tick <= high);
    if (within.length > most && ticks.length > 1) break;
    ticks = within;
  }
  // Within a narrow range no such figure may stand: then evenly spaced ones serve as well.
  return ticks.length > 1 ? ticks : roundTicks([low, high], Math.min(most, 6));
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
