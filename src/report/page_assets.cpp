// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "report/page.hpp"

namespace gregale::report {

const char* const kPageStyle = R"css(
:root{--paper:#fff;--panel:#f6f7f9;--ink:#16202c;--soft:#5a6675;--line:#d8dde4;--grid:#e7eaef;--accent:#0b62c4;
--good:#0a7a3d;--goodbg:#e4f5ea;--bad:#b3261e;--badbg:#fbe9e7;--even:#6b5200;--evenbg:#fcf3d9;
--c0:#0b62c4;--c1:#d1670a;--c2:#0a8f73;--c3:#b0418c;--c4:#7a6a00;--c5:#6e56cf;--c6:#c0392b;--c7:#4a5a6a;--ct:#16202c}
@media(prefers-color-scheme:dark){:root{--paper:#10151c;--panel:#19212b;--ink:#e8edf3;--soft:#9aa7b6;--line:#323d4a;
--grid:#27313d;--accent:#6fb1ff;--good:#66d394;--goodbg:#14301f;--bad:#ff8f86;--badbg:#3a1a18;--even:#e9c766;
--evenbg:#332a10;--c0:#6fb1ff;--c1:#ff9e4f;--c2:#44cbaa;--c3:#f08acb;--c4:#d3c148;--c5:#a996ff;--c6:#ff8f86;
--c7:#a3b1c0;--ct:#e8edf3}}
*{box-sizing:border-box}html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}
body{margin:0 auto;max-width:1240px;padding:20px 24px 40px;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif}
h1{font-size:1.75rem;line-height:1.2;margin:.2em 0 .35em}h2{font-size:1.3rem;margin:0 0 .5em}
h3{font-size:1.05rem;margin:1.2em 0 .4em}p{margin:.4em 0 .9em;max-width:78ch}a{color:var(--accent)}
section{margin:34px 0 0;padding:22px 0 0;border-top:1px solid var(--line)}
nav ul{display:flex;flex-wrap:wrap;gap:4px 18px;list-style:none;margin:14px 0 0;padding:0;font-size:.92rem}
.soft,footer,figcaption,caption{color:var(--soft)}footer{margin-top:40px;font-size:.85rem}
.defs{position:absolute}
.scroll{overflow-x:auto;margin:.5em 0 1em}table{border-collapse:collapse;font-variant-numeric:tabular-nums;
font-size:.93rem}caption{text-align:left;padding:0 0 6px;font-weight:600}
th,td{padding:6px 12px 6px 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top;
white-space:nowrap}td:last-child,thead th:last-child{padding-right:4px}
thead th{color:var(--soft);font-weight:600;font-size:.85rem}tbody th{font-weight:500}
.num,thead .num{text-align:right}td.best{font-weight:700}tr .model{font-weight:700}
.badge{display:inline-block;padding:1px 10px;border-radius:99px;font-size:.85rem;font-weight:600;white-space:nowrap;
background:var(--panel)}
.better,.finished{color:var(--good);background:var(--goodbg)}.worse,.failed{color:var(--bad);background:var(--badbg)}
.same,.interrupted{color:var(--even);background:var(--evenbg)}.running{color:var(--accent)}
td.better,td.worse,td.same{background:none;font-weight:600}
.box{padding:14px 18px;border-radius:10px;background:var(--panel);margin:.8em 0;border-left:5px solid var(--line)}
.box.better{color:inherit;background:var(--goodbg);border-color:var(--good)}
.box.worse{color:inherit;background:var(--badbg);border-color:var(--bad)}
.box.same{color:inherit;background:var(--evenbg);border-color:var(--even)}
.box h3{margin:0 0 .2em}.box p{margin:.2em 0}.box ul{margin:.3em 0;padding-left:1.2em}
.numbers{display:flex;flex-wrap:wrap;gap:10px 34px;margin:12px 0}.numbers div{line-height:1.25}
.numbers b{display:block;font-size:1.2rem;font-variant-numeric:tabular-nums}.numbers span{color:var(--soft);
font-size:.85rem}
progress{width:100%;height:10px;accent-color:var(--accent)}
.tables{display:grid;gap:0 30px;align-items:start;grid-template-columns:repeat(auto-fit,minmax(min(100%,520px),1fr))}.tables>*{min-width:0}
.tables>.box{margin:0}.tables:has(.box){gap:14px 30px;margin-bottom:14px;align-items:stretch}
.charts,.maps{display:grid;gap:22px 30px;grid-template-columns:repeat(auto-fit,minmax(min(100%,430px),1fr));
margin:.8em 0}.maps.three{grid-template-columns:repeat(auto-fit,minmax(min(100%,330px),1fr))}
figure{margin:0;min-width:0}figcaption{font-size:.92rem;font-weight:600;color:var(--ink);margin:0 0 4px}
figure .note{font-size:.86rem;color:var(--soft);margin:2px 0 0}
.chart{position:relative}.chart svg,.map svg{display:block;width:100%;height:auto}
.chart text{fill:var(--soft);font-size:11.5px}.chart .grid{stroke:var(--grid);fill:none}
.chart .axis{stroke:var(--line);fill:none}.chart .curve{fill:none;stroke-width:1.9;stroke-linejoin:round}
.chart .ref{stroke:var(--soft);stroke-dasharray:2 3;fill:none}.chart .hair{stroke:var(--soft);visibility:hidden}
.legend{display:flex;flex-wrap:wrap;gap:2px 14px;font-size:.84rem;color:var(--soft);margin:0 0 2px}
.legend svg{display:inline-block;width:22px;height:8px;margin-right:5px;vertical-align:middle}
.tip{position:absolute;top:34px;pointer-events:none;background:var(--paper);border:1px solid var(--line);
border-radius:6px;padding:5px 9px;font-size:.82rem;line-height:1.4;box-shadow:0 2px 10px #0003;z-index:2;
font-variant-numeric:tabular-nums;white-space:nowrap}
.map svg,.panel .stack{border:1px solid var(--line);border-radius:4px;overflow:hidden}
.map image,.panel canvas{image-rendering:pixelated}
.coast{fill:none;stroke:#111;stroke-width:1;vector-effect:non-scaling-stroke;stroke-opacity:.75}
.graticule{fill:none;stroke:#000;stroke-opacity:.16;stroke-width:.6;vector-effect:non-scaling-stroke}
.bar{margin:5px 0 0}.ramp{height:9px;border-radius:2px}.ends{display:flex;justify-content:space-between;
font-size:.82rem;color:var(--soft);font-variant-numeric:tabular-nums}
#series text{font-size:12.5px}.compact table{font-size:.83rem}.compact th,.compact td{padding-right:7px}.whisker{width:112px;height:16px;display:block}.whisker .zero{stroke:var(--soft);stroke-dasharray:2 2}
.whisker .ci{stroke:currentColor;stroke-width:2.5}.whisker circle,.whisker .beyond{fill:currentColor}
details{margin:.8em 0}summary{cursor:pointer;color:var(--accent)}
pre{background:var(--panel);padding:14px;border-radius:8px;overflow:auto;font-size:.84rem;line-height:1.45;
max-height:32em}
.controls{display:flex;flex-wrap:wrap;gap:10px 18px;align-items:center;margin:.6em 0 1em}
.controls label{display:flex;gap:8px;align-items:center}.controls .long{flex:1 1 320px}
.controls input[type=range]{flex:1;min-width:120px;accent-color:var(--accent)}
select,button{font:inherit;color:inherit;background:var(--panel);border:1px solid var(--line);border-radius:6px;
padding:4px 10px}button{cursor:pointer}output{font-weight:700;min-width:5.5em;font-variant-numeric:tabular-nums}
.panel .stack{position:relative;cursor:crosshair}.panel canvas{display:block;width:100%;height:auto}
.panel .stack svg{position:absolute;inset:0;width:100%;height:100%;pointer-events:none}
.panel .stack:focus-visible,.scroll:focus-visible{outline:3px solid var(--accent);outline-offset:1px}
.cross{fill:none;stroke:#000;stroke-width:2;vector-effect:non-scaling-stroke}
.cross.halo{stroke:#fff;stroke-width:4.5}
#script-error{color:var(--bad)}
@media(max-width:600px){body{padding:14px 14px 30px;font-size:15.5px}h1{font-size:1.45rem}section{margin-top:26px}
.box{padding:12px 14px}th,td{padding-right:10px}.chart text{font-size:14px}}
@media print{nav,.controls{display:none}section{break-inside:avoid}}
)css";

const char* const kPageScript = R"js(
'use strict';
window.addEventListener('error', e => {
  if (document.getElementById('script-error')) return;
  const p = document.createElement('p');
  p.id = 'script-error';
  p.textContent = 'A script of this page failed: ' + e.message;
  document.body.prepend(p);
});
const digits = v => v === null || v === undefined || Number.isNaN(v) ? '\u2013'
  : v === 0 || (Math.abs(v) >= 0.001 && Math.abs(v) < 1e5) ? String(+v.toPrecision(4)) : v.toExponential(2);

/* Charts: the values at the pointer. */
function hover(figure) {
  const source = figure.querySelector('script.chart-data');
  if (!source) return;
  const data = JSON.parse(source.textContent), svg = figure.querySelector('svg.plot');
  const hair = svg.querySelector('.hair');
  const tip = document.createElement('div');
  tip.className = 'tip';
  tip.hidden = true;
  figure.append(tip);
  const leave = () => { tip.hidden = true; hair.style.visibility = 'hidden'; };
  const show = event => {
    const box = svg.getBoundingClientRect(), unit = data.width / box.width, at = (event.clientX - box.left) * unit;
    let best = -1;
    data.px.forEach((p, i) => { if (p !== null && (best < 0 || Math.abs(p - at) < Math.abs(data.px[best] - at))) best = i; });
    if (best < 0) return;
    tip.replaceChildren();
    const head = document.createElement('b');
    head.textContent = data.labels[best];
    tip.append(head);
    for (const s of data.series) {
      if (s.y[best] === null) continue;
      const line = document.createElement('div');
      line.textContent = s.name + ': ' + digits(s.y[best]) + (data.units ? ' ' + data.units : '');
      line.style.color = 'var(--' + s.colour + ')';
      tip.append(line);
    }
    hair.setAttribute('x1', data.px[best]);
    hair.setAttribute('x2', data.px[best]);
    hair.style.visibility = 'visible';
    tip.hidden = false;
    const left = data.px[best] / unit, room = figure.clientWidth;
    tip.style.left = Math.max(0, left > room / 2 ? left - tip.offsetWidth - 12 : left + 12) + 'px';
  };
  svg.addEventListener('pointermove', show);
  svg.addEventListener('pointerdown', show);
  svg.addEventListener('pointerleave', leave);
}
const charts = document.querySelectorAll('figure.chart');
charts.forEach(hover);
document.body.dataset.charts = charts.length;

/* A page of a running training: how old it is, and loading it anew without closing what the reader opened. */
const everySeconds = +document.body.dataset.refresh;
const age = document.getElementById('age');
if (age && everySeconds > 0) {
  const tell = () => {
    const seconds = Math.max(0, Math.round((Date.now() - Date.parse(document.lastModified)) / 1000));
    age.textContent = 'written ' + (seconds < 120 ? seconds + ' s' : Math.round(seconds / 60) + ' min') + ' ago' +
      (seconds > 300 ? ': the training may have been stopped' : '');
  };
  tell();
  setInterval(tell, 1000);
}
if (everySeconds > 0) {
  const open = [...document.querySelectorAll('details')];
  try {
    const kept = JSON.parse(sessionStorage.getItem('open') || '[]');
    open.forEach((d, i) => { d.open = !!kept[i]; });
  } catch (ignored) { /* storage may be refused for files */ }
  setInterval(() => {
    if (document.hidden) return;
    try { sessionStorage.setItem('open', JSON.stringify(open.map(d => d.open))); } catch (ignored) { /* as above */ }
    location.reload();
  }, 1000 * everySeconds);
}
)js";

}  // namespace gregale::report
