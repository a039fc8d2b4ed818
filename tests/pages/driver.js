// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Appended to a copy of the sample test page: uses the page as a reader would and notes what it saw in <body data-...>,
// where browser.cmake looks for it.
(() => {
  const byId = id => document.getElementById(id), seen = [];
  const expect = (name, holds) => { if (!holds) seen.push(name); };
  const readout = () => byId('readout').textContent;
  const pixel = (id, x, y) => [...document.querySelector('#panel-' + id + ' canvas').getContext('2d').getImageData(x, y, 1, 1).data].join();
  const stack = document.querySelector('#panel-truth .stack');
  const click = (x, y) => {
    const box = stack.getBoundingClientRect();
    stack.dispatchEvent(new MouseEvent('click', {clientX: box.left + x * box.width, clientY: box.top + y * box.height, bubbles: true}));
  };

  expect('first label', byId('time-label').textContent === '1991-01');
  expect('four curves', document.querySelectorAll('#series path.curve').length >= 4);
  expect('grey missing cells', pixel('truth', 110, 143) === '160,160,160,255');
  const before = pixel('truth', 200, 40), first = readout();
  byId('time').value = 5;
  byId('time').dispatchEvent(new Event('input'));
  expect('label moves', byId('time-label').textContent === '1991-06');
  expect('aria follows', byId('time').getAttribute('aria-valuetext') === '1991-06');
  expect('map moves', pixel('truth', 200, 40) !== before);
  expect('readout moves', readout() !== first && readout().includes('1991-06') && readout().includes('M/S'));
  click(0.75, 0.25);
  expect('click selects', readout().startsWith('45\u00b0N 90\u00b0E'));
  stack.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true}));
  expect('east', readout().startsWith('45\u00b0N 92.5\u00b0E'));
  stack.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowUp', bubbles: true}));
  expect('north', readout().startsWith('47.5\u00b0N 92.5\u00b0E'));
  byId('variable').value = '1';
  byId('variable').dispatchEvent(new Event('change'));
  expect('variable', byId('series').textContent.includes('VWND'));
  const values = pixel('forecast', 200, 40);
  byId('view').value = 'anomaly';
  byId('view').dispatchEvent(new Event('change'));
  expect('anomalies', pixel('forecast', 200, 40) !== values && byId('series').textContent.includes('departure'));
  click(0.376, 0.985);
  expect('missing cell', byId('series').textContent.includes('No value'));
  const chart = document.querySelector('figure.chart svg.plot'), box = chart.getBoundingClientRect();
  chart.dispatchEvent(new PointerEvent('pointermove', {clientX: box.left + box.width / 2, clientY: box.top + 50}));
  expect('tip', chart.parentElement.querySelector('.tip').textContent.includes('model: '));
  expect('no sideways scrolling', document.documentElement.scrollWidth <= window.innerWidth);
  document.body.dataset.failed = seen.join('; ') || 'nothing';
  document.body.dataset.width = window.innerWidth;
  if (parent !== window) parent.postMessage({failed: document.body.dataset.failed, width: window.innerWidth}, '*');
})();
