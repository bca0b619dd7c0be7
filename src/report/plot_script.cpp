#include "report/plot_script.h"

namespace borealis {

std::string_view plot_script_style() {
  return R"(
.plot-host { position: relative; }
svg.live { touch-action: pan-y; user-select: none; -webkit-user-select: none; cursor: crosshair; }
svg.live:focus-visible { outline: 2px solid var(--accent); outline-offset: 4px; }
svg.live .dot { pointer-events: none; }
svg .cross { stroke: var(--axis); stroke-dasharray: 3 3; fill: none; pointer-events: none; }
svg .selection { fill: var(--accent); opacity: .18; pointer-events: none; }
.readout { position: absolute; z-index: 1; max-width: 60%; padding: .35rem .55rem;
  border: 1px solid var(--line); border-radius: 6px; background: var(--page); color: var(--ink);
  font-size: .82rem; line-height: 1.4; pointer-events: none; overflow-wrap: anywhere;
  font-variant-numeric: tabular-nums; box-shadow: 0 1px 6px rgb(0 0 0 / .18); }
.readout div:first-child { color: var(--muted); }
.readout .swatch { margin-right: .4rem; }
.readout .faint { opacity: .6; }
@media print { .readout, .scripted { display: none; } }
)";
}

std::string plot_script() {
  return std::string(plot_script_drawing()).append(plot_script_pointer());
}

}  // namespace borealis
