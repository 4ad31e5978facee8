// Names that anybody could have chosen stay text.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { dataOf, launch, open, texts, writeReport } from '../support.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

const MARKUP = '</script><script>alert(1)</script><img src=x onerror=alert(2)><svg onload=alert(3)>"\'`&lt;{{js}}$&$`';
const HIDDEN = '\u202e\u2066\u200b\u0000\u0007\u001b[31m\n\r\t\u0085\u2028\ufeff\ud800';
const HOSTILE = MARKUP + HIDDEN;

/** Members whose text is not anybody's: words of the format. */
const OWN = new Set(['light', 'dark', 'cells', 'data', 'layer', 'name', 'classes', 'unit', 'kind', 'start', 'end', 'taken_at', 'source']);

/** Returns the data with every other text replaced. */
function hostile(value, member = '') {
  if (typeof value === 'string') return OWN.has(member) ? value : HOSTILE;
  if (Array.isArray(value)) return value.map((one) => hostile(one, member));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, name === 'fields' ? inner : hostile(inner, name)]));
}

/** Replaces names of records, too; those of the format are in other members. */
function withHostileNames(data) {
  const made = hostile(data);
  for (const row of made.processes.rows) row.name = HOSTILE;
  for (const space of made.spaces) for (const row of space.space.rows) row.name = HOSTILE;
  return made;
}

for (const name of ['all', 'process', 'snapshot']) {
  test(`${name}: text in every field makes no element, no dialog and no message`, async () => {
    const plain = await open(browser, name);
    const kinds = () => [...new Set([...document.querySelectorAll('*')].map((element) => element.localName))].sort();
    const expected = await plain.evaluate(kinds);
    await plain.close();
    writeReport(`hostile-${name}`, name, withHostileNames(dataOf(name)));
    const page = await open(browser, `hostile-${name}`);
    await page.evaluate(() => document.querySelectorAll('details').forEach((details) => { details.open = true; }));
    const handlers = await page.evaluate(() => [...document.querySelectorAll('*')].filter((element) => [...element.attributes]
      .some((attribute) => attribute.name.startsWith('on') || attribute.name === 'style' && element.closest('head'))).length);
    assert.equal(handlers, 0);
    const allowed = new Set([...expected, 'p', 'code']);
    assert.deepEqual((await page.evaluate(kinds)).filter((kind) => !allowed.has(kind)), []);
    assert.equal(await page.$$eval('script', (scripts) => scripts.length), 2);
    assert.equal(await page.$$eval('main img, main svg[onload]', (images) => images.length), 0);
    assert.deepEqual(page.complaints, []);
    const visible = await page.evaluate(() => {
      const attributes = [...document.querySelectorAll('[data-exact], [aria-label]')].flatMap((element) => [element.dataset.exact ?? '', element.ariaLabel ?? '']);
      return document.body.innerText + attributes.join('');
    });
    assert.ok(visible.includes('<script>alert(1)</script>'), 'names are shown');
    assert.ok(visible.includes('\\u{202e}') && visible.includes('\\x1b[31m') && visible.includes('\\n'), 'hidden characters are escaped');
    const hidden = /.{0,40}[\u202a-\u202e\u2066-\u2069\u200b\u001b\u0007\u2028\ufeff].{0,40}/su.exec(visible);
    assert.equal(hidden && JSON.stringify(hidden[0]), null);
    await page.close();
  });
}

test('a running process whose names are hostile is shown with them', async () => {
  const { spaces } = dataOf('process');
  const { command, pid } = spaces[1].summary;
  assert.ok(command.includes('<script>') && command.includes('\u202e'), command);
  const page = await open(browser, 'process');
  const headings = await texts(page, '#spaces h3');
  assert.ok(headings.some((text) => text.includes(`(${pid})`)), headings.join());
  const shown = await page.$eval('#spaces', (section) => section.textContent);
  assert.ok(shown.includes('<script>') && shown.includes('\\u{202e}'));
  assert.deepEqual(page.complaints, []);
  await page.close();
});
