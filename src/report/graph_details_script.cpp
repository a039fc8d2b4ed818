// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "report/page.hpp"

namespace gregale::report {

// Texts of the graph only ever become text nodes.
const char* const kGraphDetailsScript = R"js(
'use strict';
/* Figures and colours in words. */
const graphWords = (() => {
  const element = (name, text, parent, css) => {
    const e = document.createElement(name);
    if (text !== null) e.textContent = text;
    if (css) e.className = css;
    if (parent) parent.append(e);
    return e;
  };
  const scaled = (v, base, units) => {
    let unit = 0;
    for (; v >= 999.5 && unit + 1 < units.length; ++unit) v /= base;
    return String(+v.toPrecision(3)) + ' ' + units[unit];
  };
  const bytesText = v => scaled(v, 1000, ['B', 'kB', 'MB', 'GB', 'TB']);
  const timeText = s => s >= 1 ? digits(s) + ' s' : s >= 1e-3 ? +(s * 1e3).toPrecision(3) + ' ms' : +(s * 1e6).toPrecision(3) + ' \u00b5s';
  const percent = v => Math.round(100 * v) + ' %';
  const timeOf = s => s.seconds > 0 ? s.seconds : s.expected;
  const reached = s => timeOf(s) > 0 ? Math.min(1, s.ceiling / timeOf(s)) : 1;
  const heat = s => 'var(--h' + Math.min(4, Math.floor(5 * reached(s))) + ')';
  const plural = (n, what) => n + ' ' + what + (n === 1 ? '' : 's');
  const kinds = {input: ['c5', 'input'], output: ['c5', 'output'], product: ['c0', 'products and convolutions'],
    elementwise: ['c2', 'elementwise, row statistics'], move: ['c7', 'moves data only'], state: ['c4', 'state'], other: ['c1', 'other operator']};
  return {element, scaled, bytesText, timeText, percent, timeOf, reached, heat, plural, kinds};
})();

/* Fills a panel with what is known of a node, a step or neither; links to other nodes call visit. */
function graphDetails(panel, levels, steps, programs, visit) {
  const {element, scaled, bytesText, timeText, percent, timeOf, heat, plural, kinds} = graphWords;
  const list = (pairs, parent) => {
    if (!pairs.length) return;
    const dl = element('dl', null, parent);
    for (const [name, text] of pairs) { element('dt', name, dl); element('dd', text, dl); }
  };
  const bars = (rows, text, parent) => {
    const most = Math.max(...rows.map(r => r[1]), 1e-30), grid = element('div', null, parent, 'bars');
    for (const [name, value, colour] of rows) {
      element('span', name, grid);
      const bar = element('i', null, grid);
      bar.style.setProperty('--tint', colour);
      bar.style.width = 100 * value / most + '%';
      element('b', text(value), grid);
    }
  };
  function tellStep(index, parent) {
    const s = steps[index];
    element('h3', 'Step ' + index + ': ' + s.label, parent);
    element('p', s.lowering, parent, 'soft');
    element('h4', 'Time', parent);
    bars([...(s.seconds > 0 ? [['measured', s.seconds, heat(s)]] : []), ['predicted', s.expected, 'var(--c7)'], ['ceiling', s.ceiling, 'var(--h4)']], timeText, parent);
    if (timeOf(s) > 0) element('p', percent(s.ceiling / timeOf(s)) + ' of its ceiling' + (s.seconds > 0 ? '' : ', as predicted'), parent);
    element('h4', 'Bytes past L2', parent);
    bars([['counted', s.counted, 'var(--c1)'], ['predicted', s.predicted, 'var(--c0)'], ['lower bound', s.least, 'var(--h4)']], bytesText, parent);
    list([['flops', scaled(s.flops, 1000, ['', 'k', 'M', 'G', 'T', 'P']) + 'flop'], ...(s.seconds > 0 && s.flops > 0 ? [['rate', scaled(s.flops / s.seconds, 1000, ['', 'k', 'M', 'G', 'T']) + 'flop/s']] : []),
      ...(s.predicted > 0 && s.flops > 0 ? [['flops a byte', digits(s.flops / s.predicted)]] : [])], parent);
    element('h4', plural(s.operators.length, 'operator'), parent);
    const operators = element('ul', null, parent);
    for (const o of s.operators) element('li', o, operators);
    if (s.memory.length) element('h4', 'Memory', parent);
    list(s.memory, parent);
    if (s.program === null) return;
    element('h4', 'Tile program', parent);
    element('pre', programs[s.program], parent).tabIndex = 0;
  }
  function neighbours(title, nodes, ends, parent) {
    if (!ends.length) return;
    element('h4', title, parent);
    const ul = element('ul', null, parent);
    for (const [other, edge] of ends.slice(0, 60)) {
      const li = element('li', null, ul), b = element('button', nodes[other].label, li, 'link');
      b.type = 'button';
      b.addEventListener('click', () => visit(other));
      li.append(' ' + bytesText(edge[2]) + ', ' + edge[3]);
    }
    if (ends.length > 60) element('li', 'and ' + (ends.length - 60) + ' more', ul);
  }
  return (level, node, step) => {
    const nodes = level.nodes;
    panel.replaceChildren();
    panel.scrollTop = 0;
    if (node < 0 && step < 0) {
      element('h3', 'Nothing selected', panel);
      element('p', 'Click a box for its operators, tile program, bytes and time. Drag to move, use the wheel or two fingers to zoom. ' +
        'Data flows down; where a column ends, it goes on in the next one to the right.', panel, 'soft');
      const keys = element('dl', null, panel);
      for (const [key, what] of [['/', 'search; Enter goes from hit to hit'], ['n p', 'next and previous box'], ['+ \u2212', 'zoom'], ['\u2190 \u2191 \u2192 \u2193', 'move'],
        ['0', 'all of it'], ['1 \u2026 ' + levels.length, 'levels'], ['Esc', 'select nothing']]) {
        element('kbd', key, element('dt', null, keys));
        element('dd', what, keys);
      }
      return;
    }
    if (node >= 0 && !(nodes[node].group && step >= 0)) {
      const n = nodes[node];
      element('h3', n.label, panel);
      element('p', kinds[n.kind][1], panel, 'soft');
      list([...(n.name ? [['name', n.name]] : []), ...n.lines.map(l => ['', l]), ...n.details], panel);
    }
    if (node >= 0 && step < 0 && steps.length && !['input', 'output', 'state'].includes(nodes[node].kind)) element('p', 'No step of its own: a view, folded before the run, or rewritten beyond recognition.', panel, 'soft');
    if (step >= 0) {
      if (node >= 0 && !nodes[node].group) element('hr', null, panel);
      tellStep(step, panel);
    }
    if (node >= 0) {
      const edges = level.edges;
      neighbours('Reads', nodes, edges.filter(e => e[1] === node).map(e => [e[0], e]), panel);
      neighbours('Read by', nodes, edges.filter(e => e[0] === node).map(e => [e[1], e]), panel);
    }
  };
}
)js";

}  // namespace gregale::report
