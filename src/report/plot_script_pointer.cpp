// The second part of the script: cross hair, read-out, zoom; and where all begins.
#include "report/plot_script.h"

namespace borealis {

std::string_view plot_script_pointer() {
  return R"js(
class Plot extends Drawing {
  constructor(svg, data) {
    super(svg, data);
    this.at = null;    // x of the cross hair
    this.drag = null;  // where it began, in the drawing's units
    const xs = new Set();
    for (const series of data.series) series.x.forEach((x, i) => series.y[i] !== null && xs.add(x));
    this.xs = [...xs].sort((a, b) => a - b);
    this.cross = this.add(svg, "path", { class: "cross" });
    const { top: y, height } = this;
    this.selection = this.add(svg, "rect", { class: "selection", y, height, width: 0 });
    this.readout = document.createElement("div");
    this.readout.className = "readout";
    this.readout.setAttribute("role", "status");
    this.readout.hidden = true;
    svg.parentElement.classList.add("plot-host");
    svg.parentElement.append(this.readout);
    svg.classList.add("live");
    svg.tabIndex = 0;
    this.listen();
  }

  xOf(event) {
    const box = this.svg.getBoundingClientRect();
    const scale = this.svg.viewBox.baseVal.width / box.width;
    return Math.min(this.left + this.width, Math.max(this.left, (event.clientX - box.left) * scale));
  }
  valueAt(unit) {
    return this.view[0] + (unit - this.left) / this.width * (this.view[1] - this.view[0]);
  }

  listen() {
    const on = (name, act) => this.svg.addEventListener(name, act);
    on("pointerdown", event => {
      if (event.button !== 0) return;
      this.drag = this.xOf(event);
      this.point(event);
      try { this.svg.setPointerCapture(event.pointerId); } catch { /* a pointer that is gone */ }
    });
    on("pointermove", event => {
      this.point(event);
      if (this.drag !== null) this.select(this.drag, this.xOf(event));
    });
    on("pointerup", event => {
      const from = this.drag, to = this.xOf(event);
      this.endDrag();
      if (from !== null && Math.abs(to - from) > 8) {
        this.zoom(this.valueAt(Math.min(from, to)), this.valueAt(Math.max(from, to)));
      }
    });
    on("pointercancel", () => this.endDrag());
    on("pointerleave", event => {
      if (event.pointerType === "mouse" && this.drag === null) this.hide();
    });
    on("dblclick", () => this.reset());
    on("keydown", event => this.key(event));
    on("blur", () => this.hide());
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || this.xs.length === 0) return;
    const last = this.xs.length - 1;
    const here = this.at === null ? -1 : this.xs.indexOf(this.at);
    const moves = { ArrowLeft: here < 0 ? last : Math.max(0, here - 1),
                    ArrowRight: Math.min(last, here + 1), Home: 0, End: last };
    if (event.key in moves) {
      this.reveal(this.xs[moves[event.key]]);
    } else if (event.key === "+" || event.key === "=" || event.key === "-") {
      const factor = event.key === "-" ? 2 : 0.5, [low, high] = this.view;
      const middle = this.at ?? (low + high) / 2;
      this.zoom(middle + (low - middle) * factor, middle + (high - middle) * factor);
    } else if (event.key === "0") {
      this.reset();
    } else if (event.key === "Escape") {
      this.hide();
    } else {
      return;
    }
    event.preventDefault();
  }

  point(event) {
    const wanted = this.valueAt(this.xOf(event));
    let nearest = null;
    for (const x of this.xs) {
      if (x < this.view[0] || x > this.view[1]) continue;
      if (nearest === null || Math.abs(x - wanted) < Math.abs(nearest - wanted)) nearest = x;
    }
    if (nearest !== null) this.show(nearest);
  }

  // A key may lead out of what is shown.
  reveal(x) {
    const [low, high] = this.view, half = (high - low) / 2;
    if (x < low || x > high) this.zoom(x - half, x + half);
    this.show(x);
  }

  // Of a line its point nearest to x, where the line comes near to x at all.
  nearest(series, x) {
    let best = -1;
    series.x.forEach((other, i) => {
      if (series.y[i] === null) return;
      if (best < 0 || Math.abs(other - x) < Math.abs(series.x[best] - x)) best = i;
    });
    if (best < 0) return null;
    const near = (this.view[1] - this.view[0]) / 100, own = series.x[best];
    const within = x >= series.x[0] - near && x <= series.x[series.x.length - 1] + near;
    if (!within) return null;
    return { x: own, y: series.y[best], apart: Math.abs(own - x) > near / 2 };
  }

  show(x) {
    this.at = x;
    this.cross.setAttribute("d", `M${this.atX(x).toFixed(1)} ${this.top}v${this.height}`);
    const rows = [document.createElement("div")];
    rows[0].textContent = `${this.data.x} ${number(x)}`;
    if (this.data.marks.includes(x)) rows[0].textContent += `: ${this.data.marks_label}`;
    for (const series of this.data.series) {
      const point = this.nearest(series, x);
      if (!point) continue;
      const row = document.createElement("div"), swatch = document.createElement("span");
      swatch.className = `swatch c${series.color}${series.faint ? " faint" : ""}`;
      const where = point.apart ? ` (at ${number(point.x)})` : "";
      row.append(swatch, `${series.label}: ${number(point.y)}${where}`);
      rows.push(row);
    }
    this.readout.replaceChildren(...rows);
    this.readout.hidden = false;
    this.place();
  }

  // Beside the cross hair, on the side that has room.
  place() {
    const box = this.svg.getBoundingClientRect();
    const host = this.svg.parentElement.getBoundingClientRect();
    const scale = box.width / this.svg.viewBox.baseVal.width;
    const x = box.left - host.left + this.atX(this.at) * scale;
    const style = this.readout.style;
    style.top = `${box.top - host.top + (this.top + 6) * scale}px`;
    const leftward = this.atX(this.at) > this.left + this.width / 2;
    style.left = leftward ? "auto" : `${x + 10}px`;
    style.right = leftward ? `${host.width - x + 10}px` : "auto";
  }

  hide() {
    this.at = null;
    this.cross.removeAttribute("d");
    this.readout.hidden = true;
  }

  select(from, to) {
    this.selection.setAttribute("x", Math.min(from, to).toFixed(1));
    this.selection.setAttribute("width", Math.abs(to - from).toFixed(1));
  }

  endDrag() {
    this.drag = null;
    this.selection.setAttribute("width", 0);
  }

  zoom(low, high) {
    const [first, last] = this.whole;
    low = Math.max(first, low);
    high = Math.min(last, high);
    // As near as two points of all.
    if (high - low < (last - first) * 1e-6) return;
    if (low <= first && high >= last) return this.reset();
    this.view = [low, high];
    this.draw();
    if (this.at !== null) this.at < low || this.at > high ? this.hide() : this.show(this.at);
  }

  reset() {
    const at = this.at;
    this.view = this.whole;
    this.draw();
    if (at !== null) this.show(at);
  }
}

for (const svg of document.querySelectorAll("svg[data-plot]")) {
  const data = document.getElementById(`${svg.dataset.plot}-data`);
  if (data) new Plot(svg, JSON.parse(data.textContent));
}
for (const element of document.querySelectorAll(".scripted")) element.hidden = false;
})();
)js";
}

}  // namespace borealis
