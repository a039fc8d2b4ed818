// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "report/page.hpp"

namespace gregale::report {

const char* const kGraphStyle = R"css(
:root{--h0:#c0392b;--h1:#d9760f;--h2:#b89a0a;--h3:#5f9a2e;--h4:#0a8f73;--lift:38%}
@media(prefers-color-scheme:dark){:root{--h0:#ff8177;--h1:#ffa55c;--h2:#dcc443;--h3:#9ccf63;--h4:#44cbaa;--lift:68%}}
body{max-width:1900px}.num{text-align:right}
#strip{display:block;width:100%;height:26px;border-radius:5px;margin:14px 0 4px;background:var(--panel)}
#strip rect{cursor:pointer;stroke:var(--paper);stroke-width:1;vector-effect:non-scaling-stroke}
#strip rect:hover,#strip rect.on{stroke:var(--ink);stroke-width:2}
.strip-key{font-size:.82rem;max-width:none}section{margin-top:22px;padding-top:16px}.numbers{margin:6px 0}.key{display:inline-block;width:11px;height:11px;border-radius:3px;margin:0 1px 0 9px}
.h0{fill:var(--h0);background:var(--h0)}.h1{fill:var(--h1);background:var(--h1)}.h2{fill:var(--h2);background:var(--h2)}
.h3{fill:var(--h3);background:var(--h3)}.h4{fill:var(--h4);background:var(--h4)}
#worst-table table{width:100%;max-width:1240px}#worst-table td,#worst-table th{padding-top:1px;padding-bottom:1px;vertical-align:middle}
.go{border:0;background:none;color:var(--accent);padding:2px 0;text-align:left;max-width:34em;overflow:hidden;text-overflow:ellipsis;
white-space:nowrap}.go b{display:inline-block;min-width:2.2em;color:var(--ink)}.go:hover{text-decoration:underline}
#worst-table tr.on{background:var(--panel)}
.toolbar{display:flex;flex-wrap:wrap;gap:8px 16px;align-items:center;font-size:.92rem}
.toolbar label{display:flex;gap:7px;align-items:center}.toolbar .search{flex:1 1 240px;max-width:460px}
#search{font:inherit;color:inherit;background:var(--panel);border:1px solid var(--line);border-radius:6px;padding:4px 10px;
flex:1;min-width:120px}#found{font-weight:400;color:var(--soft);min-width:4.5em}
.levels{display:flex;border:1px solid var(--line);border-radius:8px;overflow:hidden}
.levels button{border:0;border-radius:0;padding:5px 15px;border-right:1px solid var(--line)}.levels button:last-child{border:0}
.levels button[aria-checked=true]{background:var(--accent);color:var(--paper);font-weight:600}
.zooms{display:flex;gap:4px}.zooms button{min-width:34px}#caption{margin:.6em 0 .5em;max-width:none;font-size:.92rem}
.graph{display:grid;grid-template-columns:minmax(0,1fr) minmax(320px,420px);gap:16px;height:max(560px,calc(100vh - 120px))}
#view{position:relative;border:1px solid var(--line);border-radius:10px;overflow:hidden;background:var(--paper);
background-image:radial-gradient(var(--grid) 1px,transparent 1px);background-size:22px 22px}
#view:focus-visible{outline:3px solid var(--accent);outline-offset:1px}
#drawing{display:block;width:100%;height:100%;touch-action:none;cursor:grab;user-select:none}
#drawing.dragged{cursor:grabbing}
#map[hidden]{display:none}#map{position:absolute;right:10px;bottom:10px;width:200px;height:130px;background:var(--paper);border:1px solid var(--line);
border-radius:6px;opacity:.94;cursor:crosshair;touch-action:none}
#legend{display:flex;flex-wrap:wrap;gap:2px 18px;margin:0 0 9px;font-size:.84rem;color:var(--soft)}
#legend span{display:flex;gap:7px;align-items:center}#legend i{width:12px;height:12px;border-radius:3px;background:var(--tint)}
#legend svg{width:30px;height:14px}#legend line{stroke:var(--soft)}
.box-shape{fill:color-mix(in srgb,var(--tint) 13%,var(--paper));stroke:color-mix(in srgb,var(--tint) 55%,var(--paper));
stroke-width:1.2}.stripe{fill:var(--tint)}.node{cursor:pointer}.node text{fill:var(--ink);pointer-events:none}
.node .label{font-size:13px;font-weight:650}.node .line{font-size:11.5px;fill:var(--soft)}
.chip{fill:var(--paper);stroke:var(--line);stroke-width:.8}.meter{fill:var(--line)}
.node:hover .box-shape{stroke:var(--tint);stroke-width:2.2}.node.same .box-shape{stroke:var(--tint);stroke-width:3}
.node.hit .box-shape{stroke:var(--accent);stroke-width:3;stroke-dasharray:6 3}
.node.selected .box-shape{stroke:var(--accent);stroke-width:4;stroke-dasharray:none}
.dim .node:not(.same):not(.hit):not(.selected){opacity:.33}
.edges path{fill:none;stroke:var(--soft);stroke-opacity:.45;stroke-width:calc(var(--w)*var(--swell,1)*1px)}
.edges path.across{stroke-opacity:.3}.far .edges path{stroke-opacity:.32}.far .edges path.across{stroke-opacity:.22}.edges path.faint{stroke-opacity:.09}.edges path.on{stroke:var(--accent);stroke-opacity:.95}
.bytes text{font-size:10.5px;fill:var(--soft);text-anchor:middle;paint-order:stroke;stroke:var(--paper);stroke-width:3px}
.far .node text,.far .chip,.far .bytes,.far .meter,.middle .line,.middle .chip,.middle .bytes{display:none}
.middle .node .label{font-size:22px}.far .box-shape{fill:color-mix(in srgb,var(--tint) 45%,var(--paper))}
#said{position:absolute;width:1px;height:1px;margin:0;overflow:hidden;clip-path:inset(50%)}
#details{overflow:auto;border:1px solid var(--line);border-radius:10px;padding:14px 18px;font-size:.91rem;line-height:1.45}
#details h3{margin:0 0 .3em;font-size:1.08rem;overflow-wrap:anywhere}#details h4{margin:1.1em 0 .3em;font-size:.82rem;color:var(--soft);
text-transform:uppercase;letter-spacing:.04em}#details p{margin:.3em 0}#details ul{margin:0;padding:0;list-style:none}
#details dl{display:grid;grid-template-columns:auto minmax(0,1fr);gap:1px 14px;margin:.2em 0}#details dt{color:var(--soft)}
#details dd{margin:0;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
#details li{overflow-wrap:anywhere;padding:1px 0}#details pre{font-size:.74rem;max-height:none;padding:10px;white-space:pre}
#details kbd{border:1px solid var(--line);border-radius:4px;padding:0 5px;background:var(--panel);font:inherit;font-size:.85em}
.link{border:0;background:none;color:var(--accent);padding:0;text-align:left;overflow-wrap:anywhere}.link:hover{text-decoration:underline}
.bars{display:grid;grid-template-columns:auto minmax(40px,1fr) auto;gap:3px 10px;align-items:center}
.bars i{height:9px;border-radius:3px;background:var(--tint);min-width:2px}.bars b{font-weight:500;text-align:right;
font-variant-numeric:tabular-nums}
@media(max-width:900px){.graph{grid-template-columns:minmax(0,1fr);height:auto}#view{height:62vh;min-height:360px}#details{max-height:none}
#map{width:120px;height:78px}.levels button{padding:6px 11px}}
@media(max-width:600px){.levels{width:100%}.levels button{flex:1;padding:7px 2px}}
@media print{.graph{height:auto;display:block}#view{height:900px}.toolbar,#map{display:none}}
)css";

}  // namespace gregale::report
