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

const latency = (name) => ({ name, of: (hour) => hour.latency?.[`${name}_us`] });
const KINDS = [
  { name: "Hit rate", note: "", scale: rates, format: percent, series: [{ name: "hits of lookups", of: hitRate }] },
  { name: "Latency", note: "log scale", scale: decades, format: duration, series: ["p50", "p95", "p99"].map(latency) },
  { name: "Errors", note: "", scale: counts, format: count, bars: true, series: [{ name: "timeouts, or Redis away", of: (hour) => hour.errors }] },
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

function chart({ name, note, scale, format, bars, series }, h, choose, point) {
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
  const plot = h("div", { className: "plot" }, svg, range);
  const figure = h("figure", {},
    h("figcaption", {}, h("h3", {}, name, " ", h("small", {}, note)), hourLabel), h("ul", {}, ...legend), plot);
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

  /** Lines, broken where there is no value; a value between two gaps is a dot. */
  function line(hours, of, i) {
    const path = draw("path", { class: `line s${i}` });
    const dots = draw("path", { class: `dot s${i}` });
    let lines = "", points = "", before = null;
    hours.forEach((hour, n) => {
      const value = of(hour);
      if (value != null) {
        const place = `${x(n).toFixed(1)} ${y(at(value))}`;
        lines += (before == null ? "M" : "L") + place;
        const alone = before == null && (n + 1 === hours.length || of(hours[n + 1]) == null);
        if (alone || n + 1 === hours.length) points += `M${place}h0`;
      }
      before = value;
    });
    path.setAttribute("d", lines);
    dots.setAttribute("d", points);
    return [path, dots];
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
      const present = series.flatMap(({ of }) => hours.map(of)).filter((value) => value != null);
      const { at: where, ticks } = scale(present);
      at = where;
      const axis = ticks.flatMap((tick) => [
        draw("path", { class: "grid", d: `M${LEFT} ${y(at(tick))}H${width - RIGHT}` }),
        draw("text", { x: LEFT - 8, y: y(at(tick)), dy: "0.32em", "text-anchor": "end" }, format(tick)),
      ]);
      // Every sixth hour of the local day.
      hours.forEach((hour, n) => {
        if (new Date(hour.hour).getHours() % 6) return;
        axis.push(
          draw("path", { class: "grid", d: `M${x(n).toFixed(1)} ${HEIGHT - BOTTOM}v4` }),
          draw("text", { x: x(n).toFixed(1), y: HEIGHT - 5, "text-anchor": "middle" }, clock.format(new Date(hour.hour))));
      });
      const data = series.flatMap(({ of }, i) => (bars ? hours.flatMap((hour, n) => bar(hour, n, of)) : line(hours, of, i)));
      if (!present.some((value) => value || !bars)) {
        data.push(draw("text", { class: "none", x: (LEFT + width) / 2, y: HEIGHT / 2, "text-anchor": "middle" }, bars ? "No errors" : "No lookups"));
      }
      svg.replaceChildren(...axis, cursor, ...data);
      const spans = series.map(({ name: label, of }) => {
        const some = hours.map(of).filter((value) => value != null);
        return some.length ? `${label} ${format(Math.min(...some))} to ${format(Math.max(...some))}` : `${label} none`;
      });
      svg.setAttribute("aria-label", `${name}, the last ${hours.length} hours: ${spans.join(", ")}`);
    },
    select(hours, index) {
      const hour = hours[index];
      range.max = hours.length - 1;
      range.value = index;
      hourLabel.textContent = hourName(hour, index === hours.length - 1);
      cursor.setAttribute("d", `M${x(index).toFixed(1)} ${TOP}V${HEIGHT - BOTTOM}`);
      const texts = series.map(({ of }, i) => (values[i].textContent = shown(of(hour), format)));
      range.ariaValueText = `${hourLabel.textContent}: ${series.map((one, i) => `${one.name} ${texts[i]}`).join(", ")}`;
    },
  };
}
