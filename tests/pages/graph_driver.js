// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Appended to copies of the sample graphs' pages: uses them as a reader would and notes what it saw in <body data-...>,
// where browser.cmake looks for it.
(() => {
  const byId = id => document.getElementById(id), seen = [], note = document.body.dataset;
  const expect = (name, holds) => { if (!holds) seen.push(name); };
  const levels = [...document.querySelectorAll('.levels button')], view = byId('view'), drawing = byId('drawing');
  const shown = () => document.querySelectorAll('#drawing .node').length;
  const world = () => drawing.firstElementChild.getAttribute('transform');
  const details = () => byId('details').textContent;
  const key = (target, name, more) => target.dispatchEvent(new KeyboardEvent('keydown', {key: name, bubbles: true, cancelable: true, ...more}));
  const pointer = (target, type, x, y, id) => target.dispatchEvent(new PointerEvent(type, {clientX: x, clientY: y, pointerId: id || 7, bubbles: true, buttons: 1}));
  const click = target => {
    const box = target.getBoundingClientRect(), x = box.left + box.width / 2, y = box.top + box.height / 2;
    pointer(target, 'pointerdown', x, y);
    pointer(target, 'pointerup', x, y);
  };
  const scale = () => +/scale\(([^)]*)\)/.exec(world())[1];
  const type = text => { byId('search').value = text; byId('search').dispatchEvent(new Event('input')); };
  const blocks = +note.blocks;

  /* Levels. */
  expect('four levels', levels.length === 4);
  expect('fused first', note.level === 'fused' && shown() === blocks + 2);
  let slowest = 0;
  const counts = levels.map(button => { button.click(); slowest = Math.max(slowest, +note.drawn); return shown(); });
  expect('drawn in ' + slowest + ' ms', slowest < 2000);
  expect('nodes of every level: ' + counts, counts.join() === [5, 4, 1, 1].map(n => n * blocks + 2).join());
  expect('the level is told', levels[3].getAttribute('aria-checked') === 'true' && levels[0].getAttribute('aria-checked') === 'false');
  key(document.body, '1');
  expect('keys switch levels', note.level === 'imported' && byId('caption').textContent.includes('Level imported.'));
  key(levels[0], 'ArrowRight');
  expect('arrows switch levels', note.level === 'rewritten');
  key(document.body, '1');
  const edges = [...document.querySelectorAll('#drawing .edges path')], widthOf = p => +p.style.getPropertyValue('--w');
  expect('an edge each', edges.length === 6 * blocks + 1);
  expect('thicker with bytes', Math.abs((Math.max(...edges.map(widthOf)) - 1.2) / (Math.min(...edges.map(widthOf)) - 1.2) - 2) < 0.01);
  expect('a legend', byId('legend').textContent.includes('65.5 kB'));

  /* The view. */
  const whole = world();
  expect('all of it is in view', [...document.querySelectorAll('#drawing .node')].every(g => {
    const box = g.getBoundingClientRect(), room = view.getBoundingClientRect();
    return box.left >= room.left && box.right <= room.right && box.top >= room.top && box.bottom <= room.bottom;
  }));
  const room = view.getBoundingClientRect(), before = scale();
  const first = document.querySelector('#drawing .node[data-node="1"]'), corner = first.getBoundingClientRect();
  view.dispatchEvent(new WheelEvent('wheel', {deltaY: -100, clientX: corner.left, clientY: corner.top, bubbles: true, cancelable: true}));
  expect('the wheel zooms', scale() > 1.1 * before);
  const after = first.getBoundingClientRect();
  expect('around the pointer', Math.abs(after.left - corner.left) < 1.5 && Math.abs(after.top - corner.top) < 1.5);
  const still = world();
  pointer(drawing, 'pointerdown', room.left + 50, room.top + 50);
  pointer(drawing, 'pointermove', room.left + 90, room.top + 70);
  pointer(drawing, 'pointerup', room.left + 90, room.top + 70);
  const moved = first.getBoundingClientRect();
  expect('dragging pans', world() !== still && Math.abs(moved.left - after.left - 40) < 1 && Math.abs(moved.top - after.top - 20) < 1);
  expect('dragging selects nothing', note.selected === 'nothing');
  const pinched = scale();
  pointer(drawing, 'pointerdown', room.left + 100, room.top + 100, 1);
  pointer(drawing, 'pointerdown', room.left + 200, room.top + 100, 2);
  pointer(drawing, 'pointermove', room.left + 300, room.top + 100, 2);
  pointer(drawing, 'pointerup', room.left + 300, room.top + 100, 2);
  pointer(drawing, 'pointerup', room.left + 100, room.top + 100, 1);
  expect('two fingers zoom', Math.abs(scale() / pinched - 2) < 0.01);
  key(view, '0');
  expect('0 shows all', world() === whole);
  key(view, '+');
  expect('+ zooms', scale() > 1.2 * before);
  key(view, 'ArrowRight');
  key(view, '-');
  byId('fit').click();
  expect('fit shows all', world() === whole);

  /* Selection. */
  click(first.querySelector('.box-shape'));
  expect('a click selects', note.selected === 'node 1' && first.classList.contains('selected'));
  expect('details of the node', ['matmul', 'layer0/matmul', 'f32[64,256]', 'weights', 'constant, f32[256,256], 262 kB'].every(t => details().includes(t)));
  expect('details of its step', ['Step 0: matmul add gelu', 'Tile program', 'dim a "rows" 64 step 16', 'counted', '1.2 MB', 'predicted', '1.1 MB', 'lower bound', '900 kB',
    'measured', 'ceiling', '100 % of its ceiling', 'arena + 0, 65.5 kB'].every(t => details().includes(t)));
  expect('who reads it', details().includes('Read by') && [...document.querySelectorAll('#details .link')].some(b => b.textContent === 'add'));
  expect('its group is marked', document.querySelectorAll('#drawing .node.same').length === 5);
  [...document.querySelectorAll('#details .link')].find(b => b.textContent === 'add').click();
  expect('links lead on', note.selected === 'node 2');
  expect('the selection is said', byId('said').textContent === 'add');
  key(view, 'p');
  key(view, 'p');
  expect('p goes back', note.selected === 'node 0');
  expect('what runs in no step says so', details().includes('f32[64,256]') && !details().includes('Tile program'));
  key(view, 'Escape');
  expect('Escape selects nothing', note.selected === 'nothing' && details().includes('Nothing selected'));
  levels[3].click();
  click(document.querySelector('#drawing .node[data-node="3"] .box-shape'));
  expect('a click on a group', details().includes('Step 2') && details().includes('dim a "rows"'));
  levels[0].click();
  expect('the step stays selected', note.selected === 'step 2' && document.querySelectorAll('#drawing .node.same').length === 5);

  /* The worst. */
  const rows = [...document.querySelectorAll('#worst-table tbody tr')];
  expect('ten worst', rows.length === 10);
  rows[1].querySelector('button').click();
  const step = +rows[1].querySelector('button').dataset.step;
  expect('its row selects it', note.selected === 'step ' + step && rows[1].classList.contains('on') && details().includes('Step ' + step + ':'));
  expect('and shows it', (() => {
    const box = document.querySelector('#drawing .node.same').getBoundingClientRect(), r = view.getBoundingClientRect();
    return box.left >= r.left && box.right <= r.right && box.width > 60;
  })());

  /* Search. */
  type('GELU layer7/');
  expect('search finds one', document.querySelectorAll('#drawing .node.hit').length === 1 && byId('found').textContent === '1 found');
  key(byId('search'), 'Enter');
  expect('Enter goes there', byId('found').textContent === '1 of 1' && details().includes('layer7/gelu'));
  type('residual');
  expect('search finds all', note.hits === String(blocks));
  key(byId('search'), 'Enter', {shiftKey: true});
  expect('backwards', byId('found').textContent === blocks + ' of ' + blocks);
  type('step 5');
  expect('search by step', note.hits === '5');
  type('nowhere to be found');
  expect('search finds none', note.hits === '0' && byId('found').textContent === '0 found');
  key(byId('search'), 'Escape');
  expect('Escape clears', byId('search').value === '' && byId('found').textContent === '');
  key(document.body, '/');
  expect('/ goes to the search', document.activeElement === byId('search'));

  /* Colours. */
  const tints = () => new Set([...document.querySelectorAll('#drawing .node')].map(g => g.style.getPropertyValue('--tint'))).size;
  const kinds = tints();
  byId('colour').value = 'step';
  byId('colour').dispatchEvent(new Event('change'));
  expect('a colour a step', tints() > kinds && tints() >= blocks);
  byId('colour').value = 'time';
  byId('colour').dispatchEvent(new Event('change'));
  expect('colours of time', byId('legend').textContent.includes('of its ceiling'));

  expect('markup stays text', !document.querySelector('img'));
  levels[2].click();
  key(view, 'Escape');
  expect('no sideways scrolling', document.documentElement.scrollWidth <= window.innerWidth);
  document.body.dataset.failed = seen.join('; ') || 'nothing';
  document.body.dataset.width = window.innerWidth;
  if (parent !== window) parent.postMessage({failed: document.body.dataset.failed, width: window.innerWidth}, '*');
})();
