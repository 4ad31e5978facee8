// The physical map: cells where the curve has them, zoom, layers, filter, readout, and its table.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { cellOf, cellOfLayer, rangesOf, runsOf } from '../cells.mjs';
import { dataOf, launch, open, stateOf, texts, until } from '../support.mjs';

let browser, data, map;
before(async () => {
  browser = await launch();
  data = dataOf('all');
  map = data.map;
});
after(() => browser.close());

/** Levels of cells that a view draws. */
const DRAWN = 8;

const hex = (address) => `0x${address.toString(16)}`;

/** Opens the map so that it is on the screen. */
async function openMap(fragment = '', options = {}) {
  const page = await open(browser, 'all', { fragment: `section=map&${fragment}`, height: 1000, ...options });
  await page.$eval('#map-box', (box) => box.scrollIntoView({ block: 'center', behavior: 'instant' }));
  return page;
}

/** Moves the pointer to a cell of the whole map; also clicks it. */
async function point(page, level, place, action = 'move') {
  const [x, y] = cellOf(level, place);
  const box = await (await page.$('#map-box canvas')).boundingBox();
  const side = 2 ** level;
  await page.mouse[action](box.x + ((x + 0.5) / side) * box.width, box.y + ((y + 0.5) / side) * box.height);
}

const readout = (page) => page.$eval('#map-readout', (element) => element.textContent);
const drawnLevel = () => Math.min(DRAWN, map.level);

/** Returns places of cells with memory, spread over the map. */
function places(level, number) {
  const all = Array.from({ length: 4 ** level }, (_, place) => place).filter((place) => cellOfLayer(map, 'use', level, place).index !== 255);
  return Array.from({ length: number }, (_, index) => all[Math.floor((index * (all.length - 1)) / (number - 1))]);
}

test('a cell is where the curve has it, and its readout has its addresses, class and purity', async () => {
  const page = await openMap();
  const level = drawnLevel();
  for (const place of places(level, 40)) {
    await point(page, level, place);
    const { index, purity } = cellOfLayer(map, 'use', level, place);
    const text = await readout(page);
    const [[start]] = rangesOf(map, level, place);
    assert.ok(text.includes(`${hex(start)}–`), `${place}: ${text}`);
    const word = data.classes.use[index].word;
    const part = purity === 255 ? 'all of it' : `${Math.floor((purity * 100) / 255)}\u2009% of it`;
    assert.ok(text.includes(`${word} ${part}`), `${place}: ${word} ${part}: ${text}`);
  }
  await page.close();
});

test('pure cells have exactly the colour of their class, in both schemes', async () => {
  const level = drawnLevel();
  const pure = places(level, 300).filter((place) => cellOfLayer(map, 'use', level, place).purity === 255);
  assert.ok(pure.length > 5);
  for (const scheme of ['light', 'dark']) {
    const page = await openMap('', { scheme });
    const colors = await page.$eval('#map-box canvas', (canvas, cells, side) => {
      const context = canvas.getContext('2d'), cell = canvas.width / side;
      return cells.map(([x, y]) => {
        const [red, green, blue] = context.getImageData((x + 0.5) * cell, (y + 0.5) * cell, 1, 1).data;
        return `#${[red, green, blue].map((part) => part.toString(16).padStart(2, '0')).join('')}`;
      });
    }, pure.map((place) => cellOf(level, place)), 2 ** level);
    assert.deepEqual(colors, pure.map((place) => data.classes.use[cellOfLayer(map, 'use', level, place).index][scheme]));
    await page.close();
  }
});

test('cells below the finest level, from exact runs, agree with the runs', async (context) => {
  if (!map.runs || map.shift < 2) return context.skip('this report has no runs below its cells');
  const runs = runsOf(map);
  const zoom = Math.min(map.level + 1, map.level + Math.floor(map.shift / 2) - 2);
  const level = map.level + Math.floor(map.shift / 2), each = 2 ** (map.shift - 2 * Math.floor(map.shift / 2));
  const [run] = runs.filter(([, length]) => length >= each * 4).slice(-1);
  const place = Math.ceil(run[0] / each), view = Math.floor(place / 4 ** (level - zoom));
  const page = await openMap(`zoom=${zoom}.${view}`);
  const [left, top] = cellOf(zoom, view), [x, y] = cellOf(level, place), side = 2 ** (level - zoom);
  const box = await (await page.$('#map-box canvas')).boundingBox();
  await page.mouse.move(box.x + ((x - left * side + 0.5) / side) * box.width, box.y + ((y - top * side + 0.5) / side) * box.height);
  const text = await readout(page);
  const piece = map.pieces.findLast(([, , first]) => first <= place * each);
  assert.ok(text.startsWith(hex((piece[0] + place * each - piece[2]) * map.page_size)), text);
  assert.ok(text.includes(`${data.classes.use[run[2]].word} all of it`), text);
  assert.ok(text.includes('Exact runs'), text);
  await page.close();
});

test('zoom by buttons, wheel, double click and keys leads into the same squares', async () => {
  const level = drawnLevel(), place = places(level, 9)[6];
  const inside = (zoom) => `${zoom}.${Math.floor(place / 4 ** (level - zoom))}`;
  const page = await openMap();
  const zoomed = (zoom) => until(page, (wanted) => {
    const state = new URLSearchParams(location.hash.slice(1));
    return (state.get('zoom') ?? '0') === wanted && document.querySelectorAll('.path li').length === Number.parseInt(wanted, 10) + 1;
  }, zoom);
  await point(page, level, place, 'click');
  assert.equal((await stateOf(page)).cell, `${level}.${place}`);
  await page.click('button[aria-label="Zoom in"]');
  await zoomed(inside(1));
  await page.click('button[aria-label="Zoom in"]');
  await zoomed(inside(2));
  await page.click('button[aria-label="Zoom out"]');
  await zoomed(inside(1));
  await page.click('button[aria-label="Show all memory"]');
  await zoomed('0');
  await page.$eval('#map-box', (box) => box.scrollIntoView({ block: 'center', behavior: 'instant' }));
  await page.focus('#map-box');
  await point(page, level, place);
  await page.mouse.wheel({ deltaY: -120 });
  await zoomed(inside(1));
  await page.mouse.wheel({ deltaY: 120 });
  await zoomed('0');
  const [x, y] = cellOf(level, place), box = await (await page.$('#map-box canvas')).boundingBox();
  await page.mouse.click(box.x + ((x + 0.5) / 2 ** level) * box.width, box.y + ((y + 0.5) / 2 ** level) * box.height, { count: 2 });
  await zoomed(inside(1));
  await page.keyboard.press('+');
  await zoomed(inside(2));
  await page.keyboard.press('-');
  await zoomed(inside(1));
  await page.keyboard.press('0');
  await zoomed('0');
  await stateOf(page);
  await page.goBack();
  await zoomed(inside(1));
  assert.deepEqual(page.complaints, []);
  await page.close();
});

test('the wheel scrolls the page while the map does not have the focus', async () => {
  const page = await openMap();
  await point(page, drawnLevel(), 5);
  const before = await page.evaluate(() => scrollY);
  await page.mouse.wheel({ deltaY: 300 });
  await until(page, (old) => scrollY > old, before);
  assert.equal((await stateOf(page)).zoom, undefined);
  await page.close();
});

test('the path leads back to each square above', async () => {
  const view = Math.floor(places(3, 5)[3]);
  const page = await openMap(`zoom=3.${view}`);
  assert.equal((await texts(page, '.path button')).length, 4);
  await page.$$eval('.path button', (buttons) => buttons[1].click());
  await until(page, () => document.querySelectorAll('.path button').length === 2);
  assert.equal((await stateOf(page)).zoom, `1.${Math.floor(view / 16)}`);
  await page.close();
});

test('each layer is drawn with its own classes, and the fragment restores it', async () => {
  for (const { name, classes, title } of map.layers) {
    const page = await openMap(name === 'use' ? '' : `layer=${name}`);
    assert.deepEqual(await texts(page, '.map-section .choice button[aria-pressed="true"]'), [title]);
    const level = drawnLevel();
    const present = new Set();
    for (let place = 0; place < 4 ** level; place += 1) present.add(cellOfLayer(map, name, level, place).index);
    const legend = await page.$$eval('.legend button', (buttons) => buttons.map((button) => button.dataset.word));
    for (const index of present) if (index !== 255) assert.ok(legend.includes(data.classes[classes][index].word), `${name} ${index}`);
    const [place] = places(level, 3).slice(1);
    await point(page, level, place);
    const { index } = cellOfLayer(map, name, level, place);
    assert.ok((await readout(page)).includes(data.classes[classes][index].word.slice(0, 12)));
    await page.close();
  }
  const page = await openMap();
  await page.click('.map-section .choice button[data-value="size"]');
  await until(page, () => document.querySelector('#map-box').ariaLabel.includes('layer size'));
  assert.equal((await stateOf(page)).layer, 'size');
  await page.close();
});

test('classes that are chosen in the legend are drawn in full and the others fade', async () => {
  const page = await openMap('only=free');
  const level = drawnLevel();
  const other = places(level, 300).find((place) => {
    const { index, purity } = cellOfLayer(map, 'use', level, place);
    return purity === 255 && data.classes.use[index].word !== 'free';
  });
  const colorAt = (place) => page.$eval('#map-box canvas', (canvas, [x, y], side) => {
    const cell = canvas.width / side;
    return [...canvas.getContext('2d').getImageData((x + 0.5) * cell, (y + 0.5) * cell, 1, 1).data].slice(0, 3);
  }, cellOf(level, place), 2 ** level);
  const own = (place) => {
    const number = parseInt(data.classes.use[cellOfLayer(map, 'use', level, place).index].light.slice(1), 16);
    return [number >> 16, (number >> 8) & 255, number & 255];
  };
  assert.notDeepEqual(await colorAt(other), own(other));
  const word = data.classes.use[cellOfLayer(map, 'use', level, other).index].word;
  await page.click(`.legend button[data-word="${word}"]`);
  assert.equal((await stateOf(page)).only, `free,${word}`);
  assert.deepEqual(await colorAt(other), own(other));
  assert.equal(await page.$eval(`.legend button[data-word="${word}"]`, (button) => button.ariaPressed), 'true');
  await page.close();
});

test('the table lists the squares of the view with the classes of the map', async () => {
  const page = await openMap();
  await page.click('#map-table > summary');
  await until(page, () => document.querySelectorAll('#table-map tbody tr').length > 0);
  const rows = await page.$$eval('#table-map tbody tr', (lines) => lines.map((line) => [...line.cells].map((cell) => cell.lastChild.textContent)));
  const expected = [];
  for (let place = 0; place < 64; place += 1) {
    const { index, purity } = cellOfLayer(map, 'use', 3, place);
    if (index === 255) continue;
    for (const [start] of rangesOf(map, 3, place)) expected.push([hex(start), data.classes.use[index].word, `${Math.floor((purity * 100) / 255)}\u2009%`]);
  }
  assert.deepEqual(rows.map(([start, , word, part]) => [start, word, part]), expected);
  await page.close();
});

test('the command of a cell lists its addresses, and can be copied', async () => {
  const page = await openMap();
  const level = drawnLevel(), place = places(level, 20)[10];
  await point(page, level, place, 'click');
  const [[start, end]] = rangesOf(map, level, place);
  const command = map.runs_command.replace('{start}', start.toString(16)).replace('{end}', end.toString(16));
  const shown = await page.$$eval('#map-readout code', (codes) => codes[0].textContent);
  assert.ok(shown.startsWith('introspect '), shown);
  if (rangesOf(map, level, place).length === 1) assert.equal(shown, command);
  await page.click('#map-readout .command button');
  await until(page, () => document.querySelector('#map-readout .command button').textContent === 'Copied');
  await page.evaluate(() => document.body.prepend(Object.assign(document.createElement('textarea'), { id: 'pasted' })));
  await page.focus('#pasted');
  await page.keyboard.down('Control');
  await page.keyboard.press('v');
  await page.keyboard.up('Control');
  assert.equal(await page.$eval('#pasted', (area) => area.value), shown);
  await page.close();
});

test('pointing at a mapping marks its cells in physical memory', async () => {
  const process = dataOf('process');
  assert.ok(process.map, 'the report has a map');
  const page = await open(browser, 'process', { fragment: 'section=spaces' });
  const pointed = () => page.$eval('.overview canvas', (canvas) => {
    const { data: pixels } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let number = 0;
    for (let at = 0; at < pixels.length; at += 4) number += pixels[at] === 0xb5 && pixels[at + 1] === 0x32 && pixels[at + 2] === 0x0f;
    return number;
  });
  assert.equal(await pointed(), 0);
  const row = process.spaces[0].space.rows.findIndex((one) => one.places.some((place) => place >= 0));
  assert.ok(row >= 0, 'a mapping is in memory');
  const strip = await page.$(`.strip[data-row="${row}"]`);
  await strip.hover();
  await until(page, () => /this mapping/.test(document.querySelector('.overview .note').textContent));
  assert.ok(await pointed() > 0);
  const first = process.spaces[0].space.rows[row].places.find((place) => place >= 0);
  const piece = process.map.pieces.findLast(([, , start]) => start <= first);
  const text = await page.$eval('.overview .note', (note) => note.textContent);
  assert.ok(text.includes(hex((piece[0] + first - piece[2]) * process.map.page_size)), text);
  await page.mouse.move(1, 1);
  await until(page, () => /the process/.test(document.querySelector('.overview .note').textContent));
  await page.close();
});
