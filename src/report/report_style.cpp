#include "report/report_style.h"

namespace borealis {

// Colours are the variables of plot_style(). Wide tables scroll inside their own box, so that the
// page itself never does sideways.
std::string_view report_style() {
  return R"(
:root { --panel: #f4f6f8; --accent: #13795b; }
@media (prefers-color-scheme: dark) { :root { --panel: #1c2229; --accent: #5fd0a4; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
main.wide-page { max-width: 76rem; }
header p { margin-bottom: 0; }
header { border-bottom: 3px solid var(--accent); padding-bottom: 1rem; margin-bottom: 1.75rem; }
h1 { font-size: clamp(1.5rem, 5vw, 2.1rem); line-height: 1.2; margin: 0 0 .35rem;
  overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; line-height: 1.3; margin: 2.75rem 0 .6rem; }
p { margin: .5rem 0 .9rem; max-width: 46rem; }
.subtitle, figcaption, .note { color: var(--muted); }
.note { border-left: 3px solid var(--accent); padding: .1rem 0 .1rem .8rem; }
.small { font-size: .9rem; }
a { color: var(--accent); }
code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, "DejaVu Sans Mono", monospace; }
pre { background: var(--panel); border-radius: 6px; padding: .9rem 1rem; margin: .6rem 0;
  font-size: .88rem; line-height: 1.5; overflow-x: auto; }
pre.prose { white-space: pre-wrap; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(3, 1fr); gap: .75rem;
  margin: 1.25rem 0; padding: 0; list-style: none; }
.tiles li { background: var(--panel); border-radius: 6px; padding: .75rem .9rem; min-width: 0; }
.tiles .figure { display: block; font-size: 1.4rem; font-weight: 650; line-height: 1.25;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.tiles .what { display: block; color: var(--muted); font-size: .85rem; line-height: 1.35; }
.scroll { overflow-x: auto; margin: .75rem 0; }
.scroll:focus-visible, summary:focus-visible { outline: 2px solid var(--accent); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--muted); font-size: .9rem; padding-bottom: .3rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .9rem .4rem 0;
  border-bottom: 1px solid var(--line); }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--muted); font-weight: 600; font-size: .88rem; white-space: nowrap; }
tbody th { font-weight: 400; }
.num { text-align: right; white-space: nowrap; }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; overflow-wrap: anywhere; }
.key { color: var(--muted); font-size: .9rem; }
.key .swatch:not(:first-child) { margin-left: .9rem; }
table.rows th, table.rows td, table.texts th { white-space: nowrap; }
table.rows, table.texts { font-size: .92rem; }
table.texts td { min-width: 9rem; }
table.results td, table.results tbody th { font-size: 1.1rem; font-weight: 600; }
table.results tbody th { white-space: nowrap; }
table.parts tbody th { min-width: 9.5rem; padding-left: 1.35rem; text-indent: -1.35rem; }
table.pairs th { width: 20rem; color: var(--muted); padding-right: 1.25rem; }
table.pairs td { overflow-wrap: anywhere; }
table.code th { width: 60%; }
table.code th, table.code td { font-family: ui-monospace, SFMono-Regular, Menlo, "DejaVu Sans Mono", monospace;
  font-size: .88rem; }
.swatch { display: inline-block; width: .8rem; height: .8rem; border-radius: 3px;
  margin-right: .55rem; vertical-align: -.05rem; background: transparent; }
.swatch.c0 { background: var(--c0); } .swatch.c1 { background: var(--c1); }
.swatch.c2 { background: var(--c2); } .swatch.c3 { background: var(--c3); }
.swatch.c4 { background: var(--c4); } .swatch.c5 { background: var(--c5); }
.swatch.c6 { background: var(--c6); } .swatch.c7 { background: var(--c7); }
.swatch.c8 { background: var(--c8); } .swatch.c9 { background: var(--c9); }
tr.total th, tr.total td { font-weight: 600; }
figure { margin: 1rem 0; min-width: 0; }
.narrow svg.plot, .pair svg.plot { max-width: 34rem; }
figcaption { font-size: .9rem; margin-top: .35rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr));
  gap: 1rem 2rem; }
.bars { display: grid; grid-template-columns: auto 1fr; gap: .5rem .9rem; align-items: center; }
.bars .name { color: var(--muted); font-size: .9rem; }
.choice { position: relative; }
.choice > .name { color: var(--muted); font-size: .9rem; margin-right: .5rem; }
.choice > input { position: absolute; opacity: 0; }
.choice > label { display: inline-block; padding: .15rem .7rem; margin: 0 .3rem .3rem 0; cursor: pointer;
  border: 1px solid var(--line); border-radius: 1rem; font-size: .9rem; }
.choice > input:checked + label { background: var(--panel); border-color: var(--accent); }
.choice > input:focus-visible + label { outline: 2px solid var(--accent); }
.choice > .panel { display: none; }
.choice > input:nth-of-type(1):checked ~ .panel:nth-of-type(1),
.choice > input:nth-of-type(2):checked ~ .panel:nth-of-type(2),
.choice > input:nth-of-type(3):checked ~ .panel:nth-of-type(3) { display: block; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.narrow { display: none; }
@media (max-width: 44rem) {
  main { padding-top: 1.5rem; }
  .wide { display: none; }
  .tiles { grid-template-columns: 1fr 1fr; }
  .tiles .figure { font-size: 1.2rem; }
  .narrow { display: block; }
  table.pairs th { width: 42%; overflow-wrap: anywhere; }
  table.code th { width: 62%; }
  thead th, thead th.num { white-space: normal; vertical-align: bottom; }
  table.texts th, table.rows thead th { white-space: normal; }
  table.texts td { min-width: 7rem; }
  table.texts td:last-child { min-width: 14rem; }
  table.results td, table.results tbody th { font-size: .9rem; }
  table.results thead th { font-size: .8rem; }
  th, td { padding-right: .45rem; }
}
summary { cursor: pointer; color: var(--accent); margin: .75rem 0; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line);
  color: var(--muted); font-size: .9rem; }
@media print { main { max-width: none; } .scroll { overflow: visible; } figure, tr {
  break-inside: avoid; } }
)";
}

}  // namespace borealis
