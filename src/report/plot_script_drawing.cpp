// The first part of the script: a drawing is made anew for a part of its x.
#include "report/plot_script.h"

namespace borealis {

std::string_view plot_script_drawing() {
  return R"js(
(() => {
"use strict";

// As the axes of the page: groups of three, no more digits than say something.
function number(value) {
  const size = Math.abs(value);
  if (size >= 1e15 || (size > 0 && size < 1e-4)) return value.toExponential(3);
  if (Number.isInteger(value) || size >= 1e4) {
    return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, "\u00a0");
  }
  return String(Number(value.toPrecision(5)));
}

function steps(low, high, wanted) {
  const raw = (high - low) / wanted, power = 10 ** Math.floor(Math.log10(raw));
  return power * [1, 2, 5, 10].find(factor => raw <= factor * power * (1 + 1e-9));
}

function ticks(low, high, step) {
  const found = [];
  for (let n = Math.ceil(low / step - 1e-6); n * step <= high + step * 1e-6; ++n) {
    found.push({ value: n * step, text: number(Number((n * step).toPrecision(12))) });
  }
  return found;
}

function logTicks(low, high) {
  const found = [];
  const fine = Math.log10(high / low) < 3;
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); ++power) {
    for (const factor of fine ? [1, 2, 5] : [1]) {
      const value = factor * 10 ** power;
      if (value >= low && value <= high) found.push({ value, text: number(value) });
    }
  }
  return found;
}

// The drawing anew, of a part of x.
class Drawing {
  constructor(svg, data) {
    this.svg = svg;
    this.data = data;
    const [left, top, width, height, xLow, xHigh, yLow, yHigh] =
        svg.dataset.frame.split(" ").map(Number);
    Object.assign(this, { left, top, width, height });
    this.whole = [xLow, xHigh];
    this.wholeY = [yLow, yHigh];
    this.view = this.whole;
    [this.low, this.high] = this.wholeY;
    this.body = svg.querySelector(".body");
    this.zoomed = null;
  }

  add(parent, name, attributes, text) {
    const element = document.createElementNS(this.svg.namespaceURI, name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    if (text !== undefined) element.textContent = text;
    parent.append(element);
    return element;
  }

  atX(x) { return this.left + (x - this.view[0]) / (this.view[1] - this.view[0]) * this.width; }
  atY(y) {
    const share = this.data.y_log ? Math.log(y / this.low) / Math.log(this.high / this.low)
                                  : (y - this.low) / (this.high - this.low);
    return this.top + (1 - Math.min(1, Math.max(0, share))) * this.height;
  }
  isWhole() { return this.view === this.whole; }

  // What of the values lies in the view, as the first drawing would scale it.
  fit() {
    let low = Infinity, high = -Infinity;
    for (const series of this.data.series) {
      series.y.forEach((y, i) => {
        if (y === null || series.x[i] < this.view[0] || series.x[i] > this.view[1]) return;
        low = Math.min(low, y);
        high = Math.max(high, y);
      });
    }
    if (low > high) return;
    if (this.data.y_most !== null && low < this.data.y_most) high = Math.min(high, this.data.y_most);
    // Ticks have to be numbers apart.
    if (high - low <= Math.abs(high) * 1e-9) {
      low -= Math.abs(low) * 0.1 || 1;
      high += Math.abs(high) * 0.1 || 1;
    }
    if (this.data.y_log) { low /= 1.1; high *= 1.1; }
    this.low = low;
    this.high = high;
  }

  draw() {
    this.zoomed?.remove();
    this.zoomed = null;
    this.body.style.display = this.isWhole() ? "" : "none";
    this.svg.classList.toggle("zoomed", !this.isWhole());
    [this.low, this.high] = this.wholeY;
    if (this.isWhole()) return;
    this.fit();
    this.zoomed = this.add(this.svg, "g", {});
    this.body.after(this.zoomed);  // under the cross hair
    this.drawAxes();
    this.drawLines();
  }

  drawAxes() {
    const rows = Math.max(2, Math.floor(this.height / 44));
    const columns = Math.max(2, Math.floor(this.width / 90));
    let values = [];
    if (this.data.y_log) {
      values = logTicks(this.low, this.high);
    } else {
      const step = steps(this.low, this.high, rows);
      this.low = Math.floor(this.low / step + 1e-9) * step;
      this.high = Math.ceil(this.high / step - 1e-9) * step;
      values = ticks(this.low, this.high, step);
    }
    const { left, top, width, height, zoomed } = this, bottom = top + height;
    for (const { value, text } of values) {
      const y = this.atY(value);
      this.add(zoomed, "path", { class: "grid", d: `M${left} ${y}h${width}` });
      this.add(zoomed, "text", { class: "tick", x: left - 8, y: y + 4.5, "text-anchor": "end" }, text);
    }
    this.add(zoomed, "path", { class: "axis", d: `M${left} ${bottom}h${width}` });
    for (const { value, text } of ticks(...this.view, steps(...this.view, columns))) {
      const x = this.atX(value);
      this.add(zoomed, "path", { class: "axis", d: `M${x} ${bottom}v5` });
      this.add(zoomed, "text", { class: "tick", x, y: bottom + 20, "text-anchor": "middle" }, text);
    }
  }

  drawLines() {
    const { left, top, width, height } = this;
    // An inner drawing cuts off what lies outside of it.
    const inner = this.add(this.zoomed, "svg",
        { x: left, y: top, width, height, viewBox: `${left} ${top} ${width} ${height}` });
    const few = series => series.x.filter(x => x >= this.view[0] && x <= this.view[1]).length <= 40;
    for (const series of this.data.series) {
      let path = "", down = false;
      series.x.forEach((x, i) => {
        if (series.y[i] === null) { down = false; return; }
        path += `${down ? "L" : "M"}${this.atX(x).toFixed(1)} ${this.atY(series.y[i]).toFixed(1)}`;
        down = true;
      });
      if (series.line && path) {
        const look = `line c${series.color}${series.faint ? " faint" : ""}`;
        this.add(inner, "path", { class: look, d: path });
      }
      if (!series.dots && (series.faint || !few(series))) continue;
      series.x.forEach((x, i) => {
        if (series.y[i] === null || x < this.view[0] || x > this.view[1]) return;
        this.add(inner, "circle", { class: `dot c${series.color}`, cx: this.atX(x),
                                    cy: this.atY(series.y[i]), r: series.line ? 3.2 : 4.5 });
      });
    }
    for (const x of this.data.marks) {
      const d = `M${this.atX(x)} ${top + height - 9}l5 8h-10z`;
      this.add(inner, "path", { class: "mark", d });
    }
  }
}
)js";
}

}  // namespace borealis
