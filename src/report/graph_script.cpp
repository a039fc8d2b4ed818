// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "report/page.hpp"

namespace gregale::report {

// Texts of the graph only ever become text nodes.
const char* const kGraphScript = R"js(
'use strict';
(() => {
  const source = document.getElementById('graph-data');
  if (!source) return;
  const {levels, steps, programs} = JSON.parse(source.textContent);
  source.remove();
  const byId = id => document.getElementById(id), svg = byId('drawing'), view = byId('view'), map = byId('map');
  const {element, bytesText, reached, heat, plural, kinds} = graphWords, note = document.body.dataset;
  const tell = graphDetails(byId('details'), levels, steps, programs, index => select(index, true));
  const svgElement = (name, attributes, parent) => {
    const e = document.createElementNS(svg.namespaceURI, name);
    for (const key in attributes) e.setAttribute(key, attributes[key]);
    if (parent) parent.append(e);
    return e;
  };
  const cut = (text, most) => {
    const letters = Array.from(text);
    return letters.length > most ? letters.slice(0, most - 1).join('') + '\u2026' : text;
  };
  /* Colours. */
  let colouring = 'kind';
  function tint(node) {
    if (colouring !== 'kind' && node.step < 0) return 'var(--soft)';
    if (colouring === 'step') return 'hsl(' + Math.round(node.step * 137.508 % 360) + ' 62% var(--lift))';
    if (colouring === 'time') return heat(steps[node.step]);
    return 'var(--' + kinds[node.kind][0] + ')';
  }

  /* One level as a drawing. */
  const thickest = Math.max(1, ...levels.map(l => l.edges.reduce((m, e) => Math.max(m, e[2]), 0)));
  const thickness = bytes => 1.2 + 9 * Math.sqrt(bytes / thickest);
  let level = null, nodes = [], world, shapes = [], paths = [], detail = '';
  function path(edge) {
    const p = edge[5];
    let d = 'M' + p[0] + ' ' + p[1];
    if (edge[4] & 1) {
      const bend = Math.max(70, Math.abs(p[2] - p[0]) / 2);
      return d + 'C' + (p[0] + bend) + ' ' + p[1] + ' ' + (p[2] - bend) + ' ' + p[3] + ' ' + p[2] + ' ' + p[3];
    }
    for (let i = 2; i < p.length; i += 2) {
      if (p[i] === p[i - 2]) { d += 'V' + p[i + 1]; continue; }
      const middle = (p[i - 1] + p[i + 1]) / 2;
      d += 'C' + p[i - 2] + ' ' + middle + ' ' + p[i] + ' ' + middle + ' ' + p[i] + ' ' + p[i + 1];
    }
    return d;
  }
  function drawNode(node, index, parent) {
    const [x, y, w, h] = node.box;
    const g = svgElement('g', {class: 'node', transform: 'translate(' + x + ' ' + y + ')', 'data-node': index}, parent);
    svgElement('rect', {class: 'box-shape', width: w, height: h, rx: node.kind === 'input' || node.kind === 'output' ? h / 2.2 : 7}, g);
    const ends = node.kind === 'input' || node.kind === 'output';
    if (!ends) svgElement('path', {class: 'stripe', d: 'M7 0h-1a6 7 0 0 0 -6 7v' + (h - 14) + 'a6 7 0 0 0 6 7z'}, g);
    svgElement('text', {class: 'label', x: 14, y: 18}, g);
    const most = 14, group = node.group, lines = node.lines.length > most
      ? [...node.lines.slice(0, most), '\u2026 and ' + (node.lines.length - most) + ' more'] : node.lines;
    lines.forEach((line, i) => {
      const top = 25 + 17 * i;
      if (group) svgElement('rect', {class: 'chip', x: 12, y: top, width: w - 20, height: 15.5, rx: 4}, g);
      svgElement('text', {class: 'line', x: group ? 18 : 14, y: top + 12}, g).textContent = cut(line, Math.floor((w - 24) / 6.4));
    });
    if (group && node.step >= 0) {
      svgElement('rect', {class: 'meter', x: 12, y: h - 6, width: w - 20, height: 3, rx: 1.5}, g);
      svgElement('rect', {x: 12, y: h - 6, width: (w - 20) * reached(steps[node.step]), height: 3, rx: 1.5, style: 'fill:' + heat(steps[node.step])}, g);
    }
    svgElement('title', {}, g).textContent = [node.label, node.name, ...node.lines].filter(t => t).join('\n');
    return g;
  }
  /* The label; large ones, of boxes seen from afar, in as many lines as there is room for. */
  function title(label, node, large) {
    const [, , w, h] = node.box, most = Math.floor((w - 22) / (large ? 13.4 : 7.6)), room = large ? Math.max(1, Math.floor((h - 8) / 25)) : 1;
    let lines = [''];
    for (const word of room > 1 ? node.label.split(' ') : [node.label]) {
      const longer = (lines[lines.length - 1] + ' ' + word).trim();
      if (lines.length === room || longer.length <= most || lines[lines.length - 1] === '') lines[lines.length - 1] = longer;
      else lines.push(word);
    }
    label.replaceChildren();
    lines.forEach((line, i) => {
      const y = large ? h / 2 + 8 + 25 * (i - (lines.length - 1) / 2) : 18;
      svgElement('tspan', {x: 14, y: y.toFixed(1)}, label).textContent = cut(line, most);
    });
  }
  function draw(index) {
    const begin = performance.now();
    level = levels[index];
    nodes = level.nodes;
    svg.replaceChildren();
    world = svgElement('g', {}, svg);
    const lines = svgElement('g', {class: 'edges'}, world), labels = svgElement('g', {class: 'bytes'}, world);
    const said = new Set();
    paths = level.edges.map(e => {
      const p = svgElement('path', {d: path(e), class: (e[4] & 1 ? 'across' : '') + (e[4] & 2 ? ' faint' : ''), style: '--w:' + thickness(e[2]).toFixed(2)}, lines);
      svgElement('title', {}, p).textContent = bytesText(e[2]) + ', ' + e[3];
      const key = e[0] + ' ' + e[2];
      const from = nodes[e[0]].box;
      if (!said.has(key) && !e[4]) svgElement('text', {x: from[0] + from[2] / 2, y: e[5][1] + 14}, labels).textContent = bytesText(e[2]);
      said.add(key);
      return p;
    });
    const boxes = svgElement('g', {}, world);
    shapes = nodes.map((n, i) => drawNode(n, i, boxes));
    detail = '';
    paint();
    byId('caption').textContent = level.caption + ' ' + plural(nodes.length, 'box').replace('boxs', 'boxes') + ', ' + plural(level.edges.length, 'edge') + '.';
    document.querySelectorAll('.levels button').forEach((b, i) => {
      b.setAttribute('aria-checked', i === index);
      b.tabIndex = i === index ? 0 : -1;
    });
    note.level = level.name;
    note.nodes = nodes.length;
    note.drawn = Math.round(performance.now() - begin);
  }
  function paint() {
    shapes.forEach((g, i) => g.style.setProperty('--tint', tint(nodes[i])));
    const legend = byId('legend');
    legend.replaceChildren();
    const entry = (colour, text) => {
      const line = element('span', null, legend);
      element('i', null, line).style.setProperty('--tint', colour);
      line.append(text);
    };
    if (colouring === 'kind')
      for (const kind of new Set(nodes.map(n => n.kind))) entry('var(--' + kinds[kind][0] + ')', kinds[kind][1]);
    else if (colouring === 'time')
      ['below 20 % of its ceiling', '40 %', '60 %', '80 %', 'at its ceiling'].forEach((t, i) => entry('var(--h' + i + ')', t));
    else
      entry('var(--c0)', 'a colour a step; grey: runs in none');
    for (const share of [1, 0.1, 0.001]) {
      const line = element('span', null, legend), picture = svgElement('svg', {viewBox: '0 0 30 14'}, line);
      svgElement('line', {x1: 0, x2: 30, y1: 7, y2: 7, 'stroke-width': thickness(share * thickest)}, picture);
      line.append(bytesText(share * thickest));
    }
    drawMap();
  }

  /* Where the view is: screen = position + scale * world. */
  let at = {x: 0, y: 0, k: 1}, moving = 0;
  const room = () => view.getBoundingClientRect();
  function place(to) {
    at = to;
    world.setAttribute('transform', 'translate(' + at.x.toFixed(2) + ' ' + at.y.toFixed(2) + ') scale(' + at.k.toFixed(5) + ')');
    const now = at.k < 0.24 ? 'far' : at.k < 0.52 ? 'middle' : 'near', swell = Math.min(4, Math.max(1, 0.45 / at.k)).toFixed(1);
    if (now !== detail) {
      detail = now;
      svg.classList.remove('far', 'middle', 'near');
      svg.classList.add(now);
      shapes.forEach((g, i) => title(g.querySelector('.label'), nodes[i], now === 'middle'));
      note.detail = now;
    }
    if (world.style.getPropertyValue('--swell') !== swell) world.style.setProperty('--swell', swell);
    drawMap();
  }
  const limit = k => Math.min(4, Math.max(0.02, k));
  function go(to) {
    cancelAnimationFrame(moving);
    note.view = [to.x, to.y, to.k].map(v => v.toPrecision(5)).join(' ');
    const from = at, begin = performance.now();
    if (matchMedia('(prefers-reduced-motion: reduce)').matches || document.hidden) return place(to);
    const move = () => {
      const t = Math.min(1, (performance.now() - begin) / 260), e = t * t * (3 - 2 * t), k = from.k * Math.pow(to.k / from.k, e);
      const s = Math.abs(to.k - from.k) < 1e-9 ? e : (k - from.k) / (to.k - from.k);
      place({x: from.x + (to.x - from.x) * s, y: from.y + (to.y - from.y) * s, k});
      if (t < 1) moving = requestAnimationFrame(move);
    };
    move();
  }
  function jump(to) {
    cancelAnimationFrame(moving);
    place(to);
    note.view = [to.x, to.y, to.k].map(v => v.toPrecision(5)).join(' ');
  }
  /* The transform that shows a rectangle of the world. */
  function around(x0, y0, x1, y1, most) {
    const r = room(), margin = 26;
    const k = limit(Math.min(most, (r.width - 2 * margin) / Math.max(1, x1 - x0), (r.height - 2 * margin) / Math.max(1, y1 - y0)));
    return {k, x: r.width / 2 - k * (x0 + x1) / 2, y: r.height / 2 - k * (y0 + y1) / 2};
  }
  const whole = () => around(0, 0, level.width, level.height, 1.15);
  /* Readable: of boxes far apart, those near the first. */
  function show(indices, readable) {
    if (!indices.length) return;
    const all = indices.map(i => nodes[i].box), first = all[0];
    const boxes = readable ? all.filter(b => Math.abs(b[0] - first[0]) < 700 && Math.abs(b[1] - first[1]) < 700) : all, least = f => Math.min(...boxes.map(f)), most = f => Math.max(...boxes.map(f));
    go(around(least(b => b[0]) - 130, least(b => b[1]) - 110, most(b => b[0] + b[2]) + 130, most(b => b[1] + b[3]) + 110, 1.05));
  }
  function zoom(factor, x, y, smooth) {
    const k = limit(at.k * factor), f = k / at.k;
    (smooth ? go : jump)({k, x: x - f * (x - at.x), y: y - f * (y - at.y)});
  }

  /* The map in the corner. */
  function drawMap() {
    const c = map.getContext('2d'), W = map.width, H = map.height, style = getComputedStyle(document.documentElement);
    const k = Math.min((W - 12) / Math.max(1, level.width), (H - 12) / Math.max(1, level.height));
    const x0 = (W - k * level.width) / 2, y0 = (H - k * level.height) / 2;
    if (map.of !== level || map.by !== colouring || !map.kept) {
      c.clearRect(0, 0, W, H);
      nodes.forEach((n, i) => {
        c.fillStyle = shapes.length ? getComputedStyle(shapes[i].querySelector('.stripe') || shapes[i].querySelector('.box-shape')).fill : '#888';
        c.fillRect(x0 + k * n.box[0], y0 + k * n.box[1], Math.max(1.2, k * n.box[2]), Math.max(1.2, k * n.box[3]));
      });
      map.kept = c.getImageData(0, 0, W, H);
      map.of = level;
      map.by = colouring;
    }
    c.putImageData(map.kept, 0, 0);
    const r = room();
    map.hidden = at.x >= -1 && at.y >= -1 && at.x + at.k * level.width <= r.width + 1 && at.y + at.k * level.height <= r.height + 1;
    c.strokeStyle = style.getPropertyValue('--accent');
    c.lineWidth = 3;
    c.strokeRect(x0 - k * at.x / at.k, y0 - k * at.y / at.k, k * r.width / at.k, k * r.height / at.k);
    map.where = {k, x0, y0};
  }
  const steer = event => {
    const r = map.getBoundingClientRect(), v = room(), {k, x0, y0} = map.where;
    const x = ((event.clientX - r.left) * map.width / r.width - x0) / k, y = ((event.clientY - r.top) * map.height / r.height - y0) / k;
    jump({k: at.k, x: v.width / 2 - at.k * x, y: v.height / 2 - at.k * y});
  };
  map.addEventListener('pointerdown', e => { map.setPointerCapture(e.pointerId); steer(e); });
  map.addEventListener('pointermove', e => { if (e.buttons) steer(e); });

  /* Selection and search. */
  let node = -1, step = -1, hits = [], hit = -1;
  function mark() {
    shapes.forEach((g, i) => {
      g.classList.toggle('selected', i === node);
      g.classList.toggle('same', step >= 0 && nodes[i].step === step);
      g.classList.toggle('hit', hits.includes(i));
    });
    svg.classList.toggle('dim', step >= 0 && node < 0 || hits.length > 0);
    paths.forEach((p, i) => p.classList.toggle('on', node >= 0 && (level.edges[i][0] === node || level.edges[i][1] === node)));
    document.querySelectorAll('#worst-table tr').forEach(r => r.classList.toggle('on', step >= 0 && r.querySelector('.go') !== null && +r.querySelector('.go').dataset.step === step));
    document.querySelectorAll('#strip rect').forEach(r => r.classList.toggle('on', +r.dataset.step === step));
    note.selected = node >= 0 ? 'node ' + node : step >= 0 ? 'step ' + step : 'nothing';
    tell(level, node, step);
    byId('said').textContent = node >= 0 ? nodes[node].label : step >= 0 ? 'Step ' + step + ': ' + steps[step].label : '';
  }
  function select(index, visit) {
    node = index;
    step = index >= 0 ? nodes[index].step : -1;
    mark();
    if (visit && index >= 0) show([index]);
  }
  function selectStep(index) {
    step = index;
    const members = nodes.map((n, i) => i).filter(i => nodes[i].step === index);
    node = members.length === 1 ? members[0] : -1;
    mark();
    show(members, true);
  }
  function search(text) {
    const words = text.toLowerCase().split(/\s+/).filter(w => w), number = /^\s*(?:step\s*)?(\d+)\s*$/i.exec(text);
    const asText = n => [n.label, n.name, ...n.lines, ...n.details.flat()].join(' ').toLowerCase();
    hits = !words.length ? [] : nodes.map((n, i) => i).filter(i => number ? nodes[i].step === +number[1]
      : words.every(w => asText(nodes[i]).includes(w)));
    hit = -1;
    byId('found').textContent = words.length ? hits.length + ' found' : '';
    mark();
    note.hits = hits.length;
    if (hits.length) show(hits);
  }
  function nextHit(by) {
    if (!hits.length) return;
    hit = (hit < 0 ? by > 0 ? 0 : hits.length - 1 : hit + by + hits.length) % hits.length;
    byId('found').textContent = hit + 1 + ' of ' + hits.length;
    select(hits[hit], true);
  }

  /* Hands on it. */
  const pointers = new Map();
  let travelled = 0;
  const local = e => { const r = room(); return [e.clientX - r.left, e.clientY - r.top]; };
  svg.addEventListener('pointerdown', e => {
    pointers.set(e.pointerId, local(e));
    travelled = pointers.size > 1 ? 99 : 0;
    view.focus({preventScroll: true});
  });
  svg.addEventListener('pointermove', e => {
    const before = pointers.get(e.pointerId);
    if (!before) return;
    const now = local(e);
    travelled += Math.abs(now[0] - before[0]) + Math.abs(now[1] - before[1]);
    if (travelled > 4 && !svg.hasPointerCapture(e.pointerId) && e.isTrusted) svg.setPointerCapture(e.pointerId);
    if (travelled > 4) svg.classList.add('dragged');
    pointers.set(e.pointerId, now);
    if (pointers.size === 2) {
      const other = [...pointers].find(p => p[0] !== e.pointerId)[1], length = p => Math.hypot(p[0] - other[0], p[1] - other[1]);
      if (length(before) > 0) zoom(length(now) / length(before), other[0], other[1], false);
    } else {
      jump({k: at.k, x: at.x + now[0] - before[0], y: at.y + now[1] - before[1]});
    }
  });
  const lift = e => {
    if (!pointers.delete(e.pointerId)) return;
    svg.classList.remove('dragged');
    if (travelled > 4 || e.type === 'pointercancel') return;
    const g = e.target.closest('.node');
    select(g ? +g.dataset.node : -1, false);
  };
  svg.addEventListener('pointerup', lift);
  svg.addEventListener('pointercancel', lift);
  svg.addEventListener('dblclick', e => { const g = e.target.closest('.node'); if (g) show([+g.dataset.node]); });
  view.addEventListener('wheel', e => {
    e.preventDefault();
    zoom(Math.exp(-Math.max(-120, Math.min(120, e.deltaMode ? 30 * e.deltaY : e.deltaY)) * (e.ctrlKey ? 0.01 : 0.0022)), ...local(e), false);
  }, {passive: false});
  const middle = () => { const r = room(); return [r.width / 2, r.height / 2]; };
  byId('zoom-in').addEventListener('click', () => zoom(1.5, ...middle(), true));
  byId('zoom-out').addEventListener('click', () => zoom(1 / 1.5, ...middle(), true));
  byId('fit').addEventListener('click', () => go(whole()));
  byId('colour').addEventListener('change', e => { colouring = e.target.value; paint(); });
  function change(index) {
    const kept = step, text = byId('search').value;
    node = step = -1;
    hits = [];
    draw(index);
    jump(whole());
    if (text.trim()) search(text);
    if (kept >= 0) selectStep(kept); else mark();
  }
  document.querySelectorAll('.levels button').forEach((b, i) => {
    b.addEventListener('click', () => change(i));
    b.addEventListener('keydown', e => {
      const by = e.key === 'ArrowRight' ? 1 : e.key === 'ArrowLeft' ? -1 : 0;
      if (!by) return;
      const next = (i + by + levels.length) % levels.length;
      change(next);
      document.querySelectorAll('.levels button')[next].focus();
    });
  });
  const toGraph = e => {
    const from = e.target.closest('[data-step]');
    if (!from) return;
    selectStep(+from.dataset.step);
    byId('graph').scrollIntoView({block: 'start'});
  };
  byId('worst').addEventListener('click', toGraph);
  if (byId('strip')) byId('strip').addEventListener('click', toGraph);
  const box = byId('search');
  box.addEventListener('input', () => search(box.value));
  box.addEventListener('keydown', e => {
    if (e.key === 'Enter') nextHit(e.shiftKey ? -1 : 1);
    if (e.key === 'Escape') { box.value = ''; search(''); view.focus(); }
  });
  view.addEventListener('keydown', e => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const far = 80, moves = {ArrowLeft: [far, 0], ArrowRight: [-far, 0], ArrowUp: [0, far], ArrowDown: [0, -far]}[e.key];
    if (moves) jump({k: at.k, x: at.x + moves[0], y: at.y + moves[1]});
    else if (e.key === '+' || e.key === '=') zoom(1.3, ...middle(), false);
    else if (e.key === '-') zoom(1 / 1.3, ...middle(), false);
    else if (e.key === '0') go(whole());
    else if (e.key === 'n' || e.key === 'p') select((node + (e.key === 'n' ? 1 : node < 0 ? 0 : -1) + nodes.length) % nodes.length, true);
    else if (e.key === 'Escape') { select(-1, false); }
    else return;
    e.preventDefault();
  });
  document.addEventListener('keydown', e => {
    if (e.ctrlKey || e.metaKey || e.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(e.target.tagName)) return;
    if (e.key === '/') { e.preventDefault(); box.focus(); box.select(); }
    if (e.key >= '1' && e.key <= String(levels.length)) change(+e.key - 1);
  });
  if (!levels.length) return;
  new ResizeObserver(() => {
    const untouched = note.view === note.whole;
    if (untouched) jump(whole()); else drawMap();
    if (untouched) note.whole = note.view;
  }).observe(view);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { map.kept = null; drawMap(); });
  change(levels.length > 2 ? 2 : 0);
  note.whole = note.view;
})();
)js";

}  // namespace gregale::report
