// People: keyboard alone, colour schemes, reduced motion, widths, screen readers (axe), paper.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

import { dataOf, launch, open, stateOf, until } from '../support.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

for (const name of ['all', 'process', 'snapshot']) {
  for (const scheme of ['light', 'dark']) {
    for (const width of [320, 800, 1600]) {
      test(`axe finds no violation: ${name}, ${scheme}, ${width} pixels`, async () => {
        const page = await open(browser, name, { scheme, width, height: 1000 });
        // The tester's evaluation is not subject to the page's policy.
        await page.evaluate(AXE);
        await page.evaluate(() => document.querySelectorAll('details').forEach((details) => { details.open = true; }));
        const violations = await page.evaluate(async () => {
          const { violations: found } = await window.axe.run(document, { resultTypes: ['violations'] });
          return found.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} ${node.any[0]?.message ?? ''}`).join(' | ')}`);
        });
        assert.deepEqual(violations, []);
        await page.close();
      });
    }
  }
}

for (const width of [320, 800, 1600]) {
  test(`the page does not scroll sideways at ${width} pixels`, async () => {
    for (const name of ['all', 'process', 'snapshot']) {
      const page = await open(browser, name, { width });
      const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(content <= window, `${name}: ${content} > ${window}`);
      await page.close();
    }
  });
}

/** Returns the lightness of the background, 0 to 1. */
const lightness = (page) => page.evaluate(() => {
  const parts = getComputedStyle(document.documentElement).backgroundColor.match(/[\d.]+/g).map(Number);
  return (parts[0] + parts[1] + parts[2]) / 765;
});

test('the theme follows the system, also later, and a switch in the fragment overrides it', async () => {
  const page = await open(browser, 'all', { scheme: 'dark' });
  assert.ok(await lightness(page) < 0.2);
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'light' }]);
  assert.ok(await lightness(page) > 0.9);
  await page.click('#page-controls button[data-value="dark"]');
  assert.ok(await lightness(page) < 0.2);
  assert.equal((await stateOf(page)).theme, 'dark');
  const again = await open(browser, 'all', { scheme: 'light', fragment: 'theme=dark' });
  assert.ok(await lightness(again) < 0.2);
  await again.close();
  await page.close();
});

test('nothing moves by itself for people who asked for that', async () => {
  const movement = () => [getComputedStyle(document.documentElement).scrollBehavior, document.getAnimations().length,
    [...document.querySelectorAll('*')].filter((element) => parseFloat(getComputedStyle(element).transitionDuration) > 0).length];
  const calm = await open(browser, 'all', { motion: 'reduce' });
  assert.deepEqual(await calm.evaluate(movement), ['auto', 0, 0]);
  await calm.click('a[data-section="files"]');
  const top = await calm.$eval('#files', (section) => section.getBoundingClientRect().top);
  assert.ok(top < 900, 'the page has jumped, not scrolled');
  const other = await open(browser, 'all');
  assert.equal((await other.evaluate(movement))[0], 'smooth');
  await other.close();
  await calm.close();
});

test('Tab reaches every control, with a visible focus, and never gets stuck', async () => {
  const page = await open(browser, 'process', { height: 1000, motion: 'reduce' });
  const wanted = await page.evaluate(() => {
    const all = [...document.querySelectorAll('a, button, input, summary, [tabindex="0"]')];
    const visible = all.filter((element) => element.checkVisibility() && !element.disabled && element.tabIndex >= 0);
    visible.forEach((element, index) => { element.dataset.stop = index; });
    return visible.length;
  });
  assert.ok(wanted > 30);
  const reached = new Set();
  for (let presses = 0; presses < wanted + 20; presses += 1) {
    await page.keyboard.press('Tab');
    const [stop, outline] = await page.evaluate(() => {
      const { activeElement: element } = document, style = getComputedStyle(element);
      return [element.dataset.stop ?? null, style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2];
    });
    if (stop === null) continue;
    assert.ok(outline, `stop ${stop} has no visible focus`);
    reached.add(stop);
  }
  assert.equal(reached.size, wanted);
  await page.close();
});

test('the skip link is the first stop and leads to the contents', async () => {
  const page = await open(browser, 'all');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'skip');
  assert.ok(await page.$eval('#skip', (link) => link.getBoundingClientRect().top >= 0));
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'contents');
  await page.close();
});

test('the keyboard alone moves on the map, zooms, reads and leaves', async () => {
  const page = await open(browser, 'all', { fragment: 'section=map' });
  const { map } = dataOf('all');
  await page.focus('#map-box');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowDown');
  const before = (await stateOf(page)).cell;
  assert.match(before, /^\d+\.\d+$/);
  assert.ok((await page.$eval('#map-readout', (element) => element.textContent)).includes('0x'));
  await until(page, () => /percent, 0x/.test(document.getElementById('announced').textContent));
  await page.keyboard.press('Enter');
  await until(page, () => new URLSearchParams(location.hash.slice(1)).get('zoom') !== null);
  await page.keyboard.down('Shift');
  for (let step = 0; step < 40; step += 1) await page.keyboard.press('ArrowDown');
  await page.keyboard.up('Shift');
  const { zoom } = await stateOf(page);
  assert.match(zoom, /^1\.[1-3]$/, 'the view follows the cell into the next square');
  await page.keyboard.press('Backspace');
  await until(page, () => new URLSearchParams(location.hash.slice(1)).get('zoom') === null);
  await page.keyboard.press('Escape');
  assert.equal((await stateOf(page)).cell, undefined);
  await page.keyboard.press('Tab');
  assert.notEqual(await page.evaluate(() => document.activeElement.id), 'map-box');
  assert.ok(map.level > 1);
  await page.close();
});

test('the keyboard alone sorts a table, moves in it and reads exact values', async () => {
  const page = await open(browser, 'all', { fragment: 'section=processes' });
  await page.focus('#table-processes th[data-path="uss"] button');
  await page.keyboard.press('Enter');
  assert.equal(await page.$eval('#table-processes th[data-path="uss"]', (head) => head.ariaSort), 'descending');
  await page.focus('#table-processes tbody [tabindex="0"]');
  for (let step = 0; step < 3; step += 1) await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowDown');
  assert.match(await page.$eval('#tip', (tip) => (tip.hidden ? '' : tip.textContent)), /bytes$/);
  const [row, cell] = await page.evaluate(() => [document.activeElement.parentElement.rowIndex, document.activeElement.cellIndex]);
  assert.deepEqual([row, cell], [2, 3]);
  await page.close();
});

test('landmarks, headings and tables are what screen readers expect', async () => {
  const page = await open(browser, 'all');
  const found = await page.evaluate(() => ({
    landmarks: ['header', 'nav', 'main', 'footer'].map((name) => document.querySelectorAll(`body ${name}`).length > 0),
    headings: [...document.querySelectorAll('h1, h2, h3')].map((heading) => Number(heading.tagName[1])),
    tables: [...document.querySelectorAll('table')].map((table) => Boolean(table.caption?.textContent)
      && [...table.querySelectorAll('th')].every((head) => ['col', 'row'].includes(head.scope))),
  }));
  assert.deepEqual(found.landmarks, [true, true, true, true]);
  assert.equal(found.headings.filter((level) => level === 1).length, 1);
  found.headings.reduce((before, level) => (assert.ok(level <= before + 1), level), 0);
  assert.ok(found.tables.length > 5 && found.tables.every(Boolean));
  await page.close();
});

for (const scheme of ['light', 'dark']) {
  test(`printing shows every section on white paper without controls, ${scheme} scheme`, async () => {
    const page = await open(browser, 'process', { scheme });
    // Called after the listener of the report, which paints the map for paper.
    await page.evaluate(() => addEventListener('beforeprint', () => {
      const canvas = document.querySelector('#map-box canvas');
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      window.printed = new Set(new Uint32Array(data.buffer));
    }));
    const pdf = Buffer.from(await page.pdf({ format: 'A4', printBackground: true }));
    const pages = pdf.toString('latin1').match(/\/Type\s*\/Page\b/g)?.length ?? 0;
    assert.ok(pages >= 3 && pages <= 40, `${pages} pages`);
    const { light } = dataOf('process').classes.use.find((one) => one.word === 'free');
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(light.slice(at, at + 2), 16));
    assert.ok(await page.evaluate((pixel) => window.printed.has(pixel), ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0));
    await page.emulateMediaType('print');
    assert.ok(await lightness(page) > 0.95);
    const seen = await page.evaluate(() => ({
      controls: [...document.querySelectorAll('button, input, nav')].filter((element) => element.checkVisibility() && !element.closest('thead, .legend')).length,
      sections: [...document.querySelectorAll('main > section')].filter((section) => section.checkVisibility() && section.innerText.length > 20).length,
      titles: [...document.querySelectorAll('.table .of-figure')].every((title) => title.checkVisibility()),
    }));
    assert.deepEqual(seen, { controls: 0, sections: 8, titles: true });
    await page.close();
  });
}
