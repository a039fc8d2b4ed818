// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "report/page.hpp"

namespace gregale::report {

const char* const kSliderScript = R"js(
'use strict';
(() => {
  const source = document.getElementById('slider-data');
  if (!source) return;
  const data = JSON.parse(source.textContent);
  source.remove();
  const rows = data.latitudes.length, columns = data.longitudes.length, cells = rows * columns;
  const width = data.columnOf.length, height = data.rowOf.length;
  const byId = id => document.getElementById(id);
  const slider = byId('time'), label = byId('time-label'), choice = byId('variable'), view = byId('view'), play = byId('play');

  function decode(text) {
    if (!text) return null;
    const raw = atob(text), out = new Int16Array(raw.length / 2);
    for (let i = 0; i < out.length; ++i) out[i] = raw.charCodeAt(2 * i) | raw.charCodeAt(2 * i + 1) << 8;
    return out;
  }
  /* Packed colours of a palette: ImageData is RGBA in memory, so bytes are written one by one. */
  const palettes = Object.fromEntries(Object.entries(data.palettes).map(([name, list]) =>
    [name, list.map(hex => [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16)))]));
  const colourOf = (scale, value) => palettes[scale.map][Number.isNaN(value) ? 255
    : Math.round(254 * Math.min(1, Math.max(0, (value - scale.low) / (scale.high - scale.low))))];

  let current = null, row = data.latitudes.findIndex(v => Math.abs(v) === Math.min(...data.latitudes.map(Math.abs)));
  let column = data.columnOf[Math.floor(width * 0.5)];
  const loaded = new Map();
  function select(index) {
    if (!loaded.has(index)) {
      const v = data.variables[index], fields = {};
      for (const name of ['truth', 'forecast', 'baseline', 'climatology']) {
        fields[name] = decode(v[name]);
        v[name] = null;
      }
      loaded.set(index, {...v, fields});
    }
    current = loaded.get(index);
  }
  function value(name, time, cell) {
    const field = current.fields[name];
    if (!field) return NaN;
    const at = name === 'climatology' ? current.climatologyOf[time] : time, q = field[at * cells + cell];
    return q === -32768 ? NaN : current.offset + current.scale * q;
  }
  const anomalies = () => view && view.value === 'anomaly';
  const shown = (name, time, cell) => value(name, time, cell) - (anomalies() ? value('climatology', time, cell) : 0);
  const panels = [
    {id: 'truth', at: (t, c) => shown('truth', t, c), scale: () => anomalies() ? current.anomaly : current.state},
    {id: 'forecast', at: (t, c) => shown('forecast', t, c), scale: () => anomalies() ? current.anomaly : current.state},
    {id: 'error', at: (t, c) => value('forecast', t, c) - value('truth', t, c), scale: () => current.error},
    {id: 'other', at: (t, c) => value('baseline', t, c) - value('truth', t, c), scale: () => current.error},
  ].filter(p => byId('panel-' + p.id));

  function element(name, attributes, text) {
    const e = document.createElementNS(document.querySelector('svg').namespaceURI, name);
    for (const [key, v] of Object.entries(attributes)) e.setAttribute(key, v);
    if (text !== undefined) e.textContent = text;
    return e;
  }
  function drawBar(host, scale) {
    const stops = [];
    for (let i = 0; i <= 16; ++i) stops.push(data.palettes[scale.map][Math.round(254 * i / 16)]);
    const bar = document.createElement('div'), ramp = document.createElement('div'), ends = document.createElement('div');
    bar.className = 'bar';
    ramp.className = 'ramp';
    ends.className = 'ends';
    ramp.style.background = 'linear-gradient(to right,' + stops.join() + ')';
    for (const text of ['\u2264 ' + digits(scale.low), digits((scale.low + scale.high) / 2) + ' ' + current.units,
                        '\u2265 ' + digits(scale.high)]) {
      const span = document.createElement('span');
      span.textContent = text;
      ends.append(span);
    }
    bar.append(ramp, ends);
    host.replaceChildren(bar);
  }
  function drawMaps() {
    const time = +slider.value;
    for (const p of panels) {
      const host = byId('panel-' + p.id), canvas = host.querySelector('canvas'), context = canvas.getContext('2d');
      const scale = p.scale(), image = context.createImageData(width, height), colours = new Array(cells);
      for (let c = 0; c < cells; ++c) colours[c] = colourOf(scale, p.at(time, c));
      let at = 0;
      for (let y = 0; y < height; ++y)
        for (let x = 0; x < width; ++x) {
          const colour = colours[data.rowOf[y] * columns + data.columnOf[x]];
          image.data[at++] = colour[0];
          image.data[at++] = colour[1];
          image.data[at++] = colour[2];
          image.data[at++] = 255;
        }
      context.putImageData(image, 0, 0);
      drawBar(host.querySelector('.scale'), scale);
    }
    label.textContent = data.times[time];
    slider.setAttribute('aria-valuetext', data.times[time]);
  }
  const northOf = v => v === 0 ? '0\u00b0' : Math.abs(v).toFixed(v % 1 ? 1 : 0) + '\u00b0' + (v > 0 ? 'N' : 'S');
  const eastOf = v => {
    const w = ((v + 180) % 360 + 360) % 360 - 180;
    return Math.abs(w).toFixed(w % 1 ? 1 : 0) + '\u00b0' + (w > 0 ? 'E' : w < 0 ? 'W' : '');
  };
  const curves = () => [
    {field: 'truth', name: 'truth', colour: 'ct', at: t => shown('truth', t, row * columns + column)},
    {field: 'forecast', name: 'forecast', colour: 'c0', at: t => shown('forecast', t, row * columns + column)},
    {field: 'baseline', name: data.baseline, colour: 'c1', dash: '6 4', at: t => shown('baseline', t, row * columns + column)},
    {field: 'climatology', name: 'climatology', colour: 'c7', dash: '2 3', at: t => shown('climatology', t, row * columns + column)},
  ].filter(c => current.fields[c.field] && !(c.field === 'climatology' && data.baseline === 'climatology' && current.fields.baseline));

  function drawSeries() {
    const host = byId('series'), time = +slider.value, cell = row * columns + column;
    const place = northOf(data.latitudes[row]) + ' ' + eastOf(data.longitudes[column]);
    const list = curves().map(c => ({...c, y: data.times.map((_, t) => c.at(t))}));
    const errors = current.fields.forecast ? ', error ' + digits(value('forecast', time, cell) - value('truth', time, cell)) : '';
    byId('readout').textContent = place + ', ' + data.times[time] + ': ' +
      list.map(c => c.name + ' ' + digits(c.y[time])).join(', ') + errors + ' ' + current.units;
    host.replaceChildren();
    const caption = document.createElement('figcaption');
    caption.textContent = current.name + (anomalies() ? ', departure from climatology' : '') + ' at ' + place + ' [' + current.units + ']';
    const legend = document.createElement('div');
    legend.className = 'legend';
    for (const c of list) {
      const span = document.createElement('span'), key = element('svg', {viewBox: '0 0 22 8', 'aria-hidden': 'true'});
      key.append(element('path', {class: 'curve', d: 'M0 4H22', style: 'stroke:var(--' + c.colour + ')', 'stroke-dasharray': c.dash || ''}));
      span.append(key, c.name);
      legend.append(span);
    }
    const W = Math.max(340, Math.min(1100, host.clientWidth || 700)), H = 260, L = 52, R = 12, T = 10, B = 34;
    const finite = list.flatMap(c => c.y).filter(Number.isFinite);
    host.append(caption, legend);
    if (!finite.length) {
      host.append('No value at this cell.');
      return;
    }
    let low = Math.min(...finite), high = Math.max(...finite);
    const room = 0.06 * (high - low) || 1;
    low -= room;
    high += room;
    const n = data.times.length, X = t => L + (n > 1 ? t / (n - 1) : 0.5) * (W - L - R), Y = v => H - B - (v - low) / (high - low) * (H - T - B);
    const plot = element('svg', {viewBox: `0 0 ${W} ${H}`, role: 'img', 'aria-label': 'Time series: ' + caption.textContent});
    const raw = (high - low) / 5, power = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 2.5, 5, 10].find(s => s * power >= raw) * power;
    for (let v = Math.ceil(low / step) * step; v <= high; v += step)
      plot.append(element('path', {class: 'grid', d: `M${L} ${Y(v)}H${W - R}`}),
                  element('text', {x: L - 6, y: Y(v) + 4, 'text-anchor': 'end'}, digits(+v.toPrecision(8))));
    const every = Math.ceil(n * 84 / (W - L - R));
    for (let t = 0; t < n; t += every)
      plot.append(element('text', {x: X(t), y: H - B + 20, 'text-anchor': t ? 'middle' : 'start'}, data.times[t]));
    plot.append(element('path', {class: 'axis', d: `M${L} ${T}V${H - B}H${W - R}`}),
                element('path', {class: 'ref', d: `M${X(time)} ${T}V${H - B}`}));
    for (const c of [...list].reverse()) {
      let d = '', pen = false;
      c.y.forEach((v, t) => {
        if (Number.isFinite(v)) d += (pen ? 'L' : 'M') + X(t).toFixed(1) + ' ' + Y(v).toFixed(1);
        pen = Number.isFinite(v);
      });
      plot.append(element('path', {class: 'curve', d, style: 'stroke:var(--' + c.colour + ')', 'stroke-dasharray': c.dash || ''}));
      if (Number.isFinite(c.y[time]))
        plot.append(element('circle', {cx: X(time), cy: Y(c.y[time]), r: 3, style: 'fill:var(--' + c.colour + ')'}));
    }
    plot.addEventListener('click', e => {
      const box = plot.getBoundingClientRect(), at = (e.clientX - box.left) / box.width * W;
      slider.value = Math.round((at - L) / (W - L - R) * (n - 1));
      draw();
    });
    host.append(plot);
    const x = data.columnOf.indexOf(column), last = data.columnOf.lastIndexOf(column), y = data.rowOf.indexOf(row), y2 = data.rowOf.lastIndexOf(row);
    /* A cell that straddles the edge shows at both ends: mark the western half. */
    const right = last - x > 4 && data.columnOf.slice(x, last + 1).some(c => c !== column) ? x : last;
    const lon = data.west + (x + right + 1) / 2 / width * (data.east - data.west);
    const lat = data.north - (y + y2 + 1) / 2 / height * (data.north - data.south), r = (data.east - data.west) / 60;
    const d = `M${lon - r} ${-lat}h${0.6 * r}M${lon + r} ${-lat}h${-0.6 * r}M${lon} ${-lat - r}v${0.6 * r}M${lon} ${-lat + r}v${-0.6 * r}`;
    document.querySelectorAll('.cross').forEach(cross => cross.setAttribute('d', d));
  }
  function draw() {
    drawMaps();
    drawSeries();
  }
  for (const p of panels) {
    const stack = byId('panel-' + p.id).querySelector('.stack');
    stack.addEventListener('click', e => {
      const box = stack.getBoundingClientRect();
      const x = Math.min(width - 1, Math.max(0, Math.floor((e.clientX - box.left) / box.width * width)));
      const y = Math.min(height - 1, Math.max(0, Math.floor((e.clientY - box.top) / box.height * height)));
      row = data.rowOf[y];
      column = data.columnOf[x];
      drawSeries();
    });
    stack.addEventListener('keydown', e => {
      const northUp = data.latitudes[0] > data.latitudes[rows - 1] ? -1 : 1;
      const eastward = data.longitudes[0] > data.longitudes[columns - 1] ? -1 : 1;
      const move = {ArrowUp: [northUp, 0], ArrowDown: [-northUp, 0], ArrowLeft: [0, -eastward], ArrowRight: [0, eastward]}[e.key];
      if (!move) return;
      e.preventDefault();
      row = Math.min(rows - 1, Math.max(0, row + move[0]));
      const round = data.east - data.west === 360, next = column + move[1];
      column = round ? (next + columns) % columns : Math.min(columns - 1, Math.max(0, next));
      drawSeries();
    });
  }
  let timer = null;
  play.addEventListener('click', () => {
    if (timer) {
      clearInterval(timer);
      timer = null;
    } else {
      timer = setInterval(() => {
        slider.value = (+slider.value + 1) % data.times.length;
        draw();
      }, 700);
    }
    play.textContent = timer ? 'Pause' : 'Play';
  });
  slider.addEventListener('input', draw);
  choice.addEventListener('change', () => { select(+choice.value); draw(); });
  if (view) view.addEventListener('change', draw);
  let queued = 0;
  window.addEventListener('resize', () => { clearTimeout(queued); queued = setTimeout(drawSeries, 150); });
  slider.value = 0;
  select(0);
  draw();
  document.body.dataset.slider = data.times.length;
})();
)js";

}  // namespace gregale::report
