// Charts by the hour, as SVG. They share the hour that is looked at.
//
// Each has a range input over its plot, which cannot be seen: it gives the hour to keyboards, fingers and
// screen readers, natively. The legend shows the values of that hour, and which line has which dashes.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 148, LEFT = 50, RIGHT = 14, TOP = 8, BOTTOM = 22;

const number = new Intl.NumberFormat("en-GB");
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

export const count = (n) => number.format(n);
/** Rounded down: 100% is only said of all. */
export const percent = (rate) => `${(Math.floor(rate * 1e4 + 1e-6) / 100).toFixed(2).replace(".00", "")}%`;
/** Three digits. */
export const duration = (us) => {
  const [n, unit] = us < 1e3 ? [us, "µs"] : us < 1e6 ? [us / 1e3, "ms"] : [us / 1e6, "s"];
  return `${n.toFixed(us < 1e3 || n >= 100 ? 0 : n < 10 ? 2 : 1).replace(/\.0+$/, "")} ${unit}`;
};
/** The share of hits; none where nothing was looked up. */
export const hitRate = (sum) => (sum.total ? sum.hits / sum.total : null);
/** A value as text, or a dash for none. */
export const shown = (value, format) => (value == null ? "–" : format(value));
/** "14:00–15:00", in the local zone. */
export const hourName = (hour, isLast) => {
  const start = new Date(hour.hour);
  return `${clock.format(start)}–${isLast ? "now" : clock.format(start.getTime() + 3600e3)}`;
};

// A scale says where a value is, from 0 at the bottom to 1, and which values to mark.

/** Hit rates: from the round rate below the lowest to 100%. */
const rates = (values) => {
  const low = [0.99, 0.95, 0.9, 0.8, 0.5, 0].find((rate) => rate <= Math.min(1, ...values));
  return { at: (v) => (v - low) / (1 - low), ticks: [low, (low + 1) / 2, 1] };
};
/** Latencies: logarithmic, in whole decades. */
const decades = (values) => {
  const low = Math.floor(Math.log10(Math.max(1, Math.min(1e3, ...values))));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(1, ...values))));
  const ticks = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
  return { at: (v) => (Math.log10(Math.max(1, v)) - low) / (high - low), ticks };
};
/** Counts: from 0 to a round number. */
const counts = (values) => {
  const most = Math.max(4, ...values);
  const step = 10 ** Math.floor(Math.log10(most / 2));
  const top = [2, 4, 6, 8, 10, 20].map((n) => n * step).find((n) => n >= most);
  return { at: (v) => v / top, ticks: [0, top / 2, top] };
};

/** A rate or a percentile of fewer lookups says little: it is drawn small, and neither joined nor scaled to. */
const FEW = 30;

const latency = (name) => ({ name, of: (hour) => hour.latency?.[`${name}_us`] });
const KINDS = [
  { name: "Hit rate", note: "", scale: rates, format: percent, number: (hour) => hour.total, series: [{ name: "hits of lookups", of: hitRate }] },
  { name: "Latency in the cache", note: "log scale", scale: decades, format: duration, number: (hour) => hour.latency?.calls, series: ["p50", "p95", "p99"].map(latency) },
  { name: "Errors", note: "", scale: counts, format: count, bars: true, number: () => Infinity, series: [{ name: "timeouts, or Redis away", of: (hour) => hour.errors }] },
];

function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** The charts: their element, and what to call with the hours, oldest first. */
export function charts(h) {
  let hours = [];
  // The hours that are looked at: chosen with the keyboard, and under the pointer, which goes before. By their
  // start, not their place: the hours move on. None is the current one.
  let chosen, pointed;
  const all = KINDS.map((kind) => chart(kind, h, choose, point));
  const element = h("div", { className: "charts" }, ...all.map((one) => one.figure));
  new ResizeObserver(() => show(hours)).observe(element);

  function choose(index) {
    chosen = index === hours.length - 1 ? undefined : hours[index].hour;
    select();
  }
  function point(index) {
    pointed = hours[index]?.hour;
    select();
  }
  function select() {
    const index = hours.findIndex(({ hour }) => hour === (pointed ?? chosen));
    for (const one of all) one.select(hours, index < 0 ? hours.length - 1 : index);
  }
  function show(latest) {
    hours = latest;
    if (!hours.length || !element.clientWidth) return;
    for (const one of all) one.plot(hours);
    select();
  }
  return { element, show };
}

function chart({ name, note, scale, format, bars, number, series }, h, choose, point) {
  const svg = draw("svg", { role: "img", height: HEIGHT });
  const range = h("input", { type: "range", min: 0, ariaLabel: `${name}: hour` });
  const hourLabel = h("span", { className: "muted" });
  const values = series.map(() => h("b"));
  const legend = series.map((one, i) => {
    const swatch = bars
      ? draw("rect", { class: "bar", x: 8, width: 7, height: 10 })
      : draw("path", { class: `line s${i}`, d: "M0 5H24" });
    const picture = draw("svg", { width: 24, height: 10, "aria-hidden": true }, swatch);
    return h("li", {}, picture, `${one.name} `, values[i]);
  });
  const fewPicture = draw("svg", { width: 24, height: 10, "aria-hidden": true }, draw("circle", { class: "dot few", cx: 12, cy: 5 }));
  const fewLegend = h("li", { className: "muted", hidden: true }, fewPicture, `fewer than ${FEW} lookups`);
  if (note) legend.push(h("li", { className: "muted" }, note));
  const plot = h("div", { className: "plot" }, svg, range);
  const figure = h("figure", {},
    h("figcaption", {}, h("h3", {}, name), hourLabel), h("ul", {}, ...legend, fewLegend), plot);
  const cursor = draw("path", { class: "cursor" });
  let width = 0, step = 0, at;
  const x = (i) => LEFT + (i + 0.5) * step;

  range.addEventListener("input", () => choose(+range.value));
  plot.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "mouse" || !step) return;
    const i = Math.floor((event.clientX - plot.getBoundingClientRect().left - LEFT) / step);
    point(Math.max(0, Math.min(+range.max, i)));
  });
  plot.addEventListener("pointerleave", () => step && point());

  const isFew = (hour) => number(hour) < FEW;

  /** Lines, broken where there is no value, or one of few lookups. A value that is not on a line is a dot, and so
   * is that of the current hour, which goes on. */
  function line(hours, of, i) {
    const isJoined = (hour) => hour && of(hour) != null && !isFew(hour);
    const dots = [];
    let lines = "";
    hours.forEach((hour, n) => {
      const value = of(hour);
      if (value == null) return;
      const place = [x(n).toFixed(1), y(Math.min(1, Math.max(0, at(value))))];
      const before = isJoined(hours[n - 1]);
      if (isJoined(hour)) lines += (before ? "L" : "M") + place.join(" ");
      const isNow = n === hours.length - 1;
      if (isNow || isFew(hour) || !before && !isJoined(hours[n + 1])) {
        dots.push(draw("circle", { class: `dot s${i}${isFew(hour) ? " few" : ""}${isNow ? " now" : ""}`, cx: place[0], cy: place[1] }));
      }
    });
    return [draw("path", { class: `line s${i}`, d: lines }), ...dots];
  }
  function bar(hour, n, of) {
    const value = of(hour);
    if (!value) return [];
    // What is not zero can be seen.
    const height = Math.max(2, at(value) * (HEIGHT - TOP - BOTTOM));
    const wide = Math.max(2, step * 0.62);
    return [draw("rect", { class: "bar", x: (x(n) - wide / 2).toFixed(1), width: wide.toFixed(1), y: (HEIGHT - BOTTOM - height).toFixed(1), height: height.toFixed(1) })];
  }
  const y = (share) => (TOP + (1 - share) * (HEIGHT - TOP - BOTTOM)).toFixed(1);

  return {
    figure,
    plot(hours) {
      width = plot.clientWidth;
      step = (width - LEFT - RIGHT) / hours.length;
      svg.setAttribute("width", width);
      const many = hours.some((hour) => number(hour) >= FEW) ? hours.filter((hour) => !isFew(hour)) : hours;
      const valuesOf = (of) => many.map(of).filter((value) => value != null);
      const present = series.flatMap(({ of }) => valuesOf(of));
      fewLegend.hidden = !hours.some((hour) => number(hour) && isFew(hour));
      const { at: where, ticks } = scale(present);
      at = where;
      const axis = ticks.flatMap((tick) => [
        draw("path", { class: "grid", d: `M${LEFT} ${y(at(tick))}H${width - RIGHT}` }),
        draw("text", { x: LEFT - 8, y: y(at(tick)), dy: "0.32em", "text-anchor": "end" }, format(tick)),
      ]);
      const mark = (n, text) => draw("text", { x: x(n).toFixed(1), y: HEIGHT - 5, "text-anchor": "middle" }, text);
      // The current hour is not over.
      const last = hours.length - 1;
      axis.push(
        draw("rect", { class: "now", x: (x(last) - step / 2).toFixed(1), width: step.toFixed(1), y: TOP, height: HEIGHT - TOP - BOTTOM }),
        mark(last, "now"));
      // Every sixth hour of the local day, but not where it would be under "now".
      hours.forEach((hour, n) => {
        if (new Date(hour.hour).getHours() % 6 || (last - n) * step < 36) return;
        axis.push(draw("path", { class: "grid", d: `M${x(n).toFixed(1)} ${HEIGHT - BOTTOM}v4` }), mark(n, clock.format(new Date(hour.hour))));
      });
      const data = series.flatMap(({ of }, i) => (bars ? hours.flatMap((hour, n) => bar(hour, n, of)) : line(hours, of, i)));
      if (!present.some((value) => value || !bars)) {
        data.push(draw("text", { class: "none", x: (LEFT + width) / 2, y: HEIGHT / 2, "text-anchor": "middle" }, bars ? "No errors" : "No lookups"));
      }
      svg.replaceChildren(...axis, cursor, ...data);
      const spans = series.map(({ name: label, of }) => {
        const some = valuesOf(of);
        return some.length ? `${label} ${format(Math.min(...some))} to ${format(Math.max(...some))}` : `${label} none`;
      });
      svg.setAttribute("aria-label", `${name}, the last ${hours.length} hours: ${spans.join(", ")}`);
    },
    select(hours, index) {
      const hour = hours[index];
      range.max = hours.length - 1;
      range.value = index;
      hourLabel.textContent = `${hourName(hour, index === hours.length - 1)}, ${count(hour.total)} ${hour.total === 1 ? "lookup" : "lookups"}`;
      cursor.setAttribute("d", `M${x(index).toFixed(1)} ${TOP}V${HEIGHT - BOTTOM}`);
      const texts = series.map(({ of }, i) => (values[i].textContent = shown(of(hour), format)));
      range.ariaValueText = `${hourLabel.textContent}: ${series.map((one, i) => `${one.name} ${texts[i]}`).join(", ")}`;
    },
  };
}
