#include "report/svg_plot.h"

namespace borealis {

std::string_view plot_style() {
  // Ten colours that stay apart in both schemes and for the common colour deficiencies.
  return R"(
:root, svg.plot { color-scheme: light dark;
  --ink: #1c2430; --muted: #5b6675; --line: #dfe3e8; --axis: #9aa4b1; --page: #ffffff;
  --c0: #1f6fb8; --c1: #d9801a; --c2: #218a5d; --c3: #bf3f66; --c4: #7657c2; --c5: #7b8592;
  --c6: #1595a8; --c7: #a58a12; --c8: #8a5a3c; --c9: #3d4f9f; --mark: #c22f2f; }
@media (prefers-color-scheme: dark) { :root, svg.plot {
  --ink: #e6eaf0; --muted: #a3adba; --line: #2d3540; --axis: #6b7683; --page: #14181d;
  --c0: #67aaf0; --c1: #f2ab51; --c2: #56c596; --c3: #f0809f; --c4: #ab90f5; --c5: #98a2ae;
  --c6: #4dcadb; --c7: #d9c04c; --c8: #cf9f7d; --c9: #8c9cf2; --mark: #ff7a70; } }
svg.plot { display: block; width: 100%; height: auto; font: 13px system-ui, -apple-system,
  "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
svg.plot text { fill: var(--ink); }
svg.plot .tick { fill: var(--muted); font-variant-numeric: tabular-nums; }
svg.plot .label { fill: var(--muted); }
svg.plot .page { fill: var(--page); }
svg .grid { stroke: var(--line); fill: none; }
svg .axis { stroke: var(--axis); fill: none; }
svg .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round; }
svg .line.faint { stroke-width: 1.1; opacity: 0.6; }
svg .dot { stroke: var(--page); stroke-width: 1; }
svg .mark { fill: var(--mark); }
svg .line.c0 { stroke: var(--c0); } svg .dot.c0, svg .bar-part.c0 { fill: var(--c0); }
svg .line.c1 { stroke: var(--c1); } svg .dot.c1, svg .bar-part.c1 { fill: var(--c1); }
svg .line.c2 { stroke: var(--c2); } svg .dot.c2, svg .bar-part.c2 { fill: var(--c2); }
svg .line.c3 { stroke: var(--c3); } svg .dot.c3, svg .bar-part.c3 { fill: var(--c3); }
svg .line.c4 { stroke: var(--c4); } svg .dot.c4, svg .bar-part.c4 { fill: var(--c4); }
svg .line.c5 { stroke: var(--c5); } svg .dot.c5, svg .bar-part.c5 { fill: var(--c5); }
svg .line.c6 { stroke: var(--c6); } svg .dot.c6, svg .bar-part.c6 { fill: var(--c6); }
svg .line.c7 { stroke: var(--c7); } svg .dot.c7, svg .bar-part.c7 { fill: var(--c7); }
svg .line.c8 { stroke: var(--c8); } svg .dot.c8, svg .bar-part.c8 { fill: var(--c8); }
svg .line.c9 { stroke: var(--c9); } svg .dot.c9, svg .bar-part.c9 { fill: var(--c9); }
svg.bar { display: block; width: 100%; height: 30px; border-radius: 4px; }
svg .bar-room { fill: var(--line); }
)";
}

}  // namespace borealis
