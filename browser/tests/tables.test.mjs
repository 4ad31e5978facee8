// Tables: sorting, filters, limits, CSV, exact values, and their state in the fragment.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { csvOf, dataOf, launch, open, parsedCsv, stateOf, texts, until } from '../support.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

const COLUMN = (table, path) => `#table-${table} th[data-path="${path}"] button`;

/** Returns the texts of a column. */
async function column(page, table, path) {
  const index = await page.$eval(`#table-${table} th[data-path="${path}"]`, (head) => head.cellIndex + 1);
  return texts(page, `#table-${table} tbody tr:not(.rest) > :nth-child(${index})`);
}

/** Returns the texts of a column on all pages, sorted. */
async function allOf(page, table, path) {
  const found = [];
  const press = (name) => page.$$eval(`#table-${table} .foot button`, (buttons, text) => {
    const button = buttons.find((one) => one.textContent === text && !one.hidden && !one.disabled);
    button?.click();
    return Boolean(button);
  }, name);
  await press('Show more');
  do found.push(...await column(page, table, path)); while (await press('Next'));
  await press('Show fewer');
  return found.sort();
}

test('a click on a header sorts, a second one turns the order, and the fragment restores it', async () => {
  const { processes } = dataOf('all');
  const page = await open(browser, 'all');
  const pids = (order) => [...processes.rows].sort(order).map((row) => String(row.pid)).slice(0, 20);
  assert.deepEqual(await column(page, 'processes', 'pid'), pids((one, other) => other.pss - one.pss));
  await page.click(COLUMN('processes', 'pid'));
  assert.deepEqual(await column(page, 'processes', 'pid'), pids((one, other) => other.pid - one.pid));
  assert.equal(await page.$eval('#table-processes th[data-path="pid"]', (head) => head.ariaSort), 'descending');
  await page.click(COLUMN('processes', 'pid'));
  assert.deepEqual(await column(page, 'processes', 'pid'), pids((one, other) => one.pid - other.pid));
  assert.equal(await page.$eval('#table-processes th[data-path="pid"]', (head) => head.ariaSort), 'ascending');
  const state = await stateOf(page);
  assert.equal(state['sort.processes'], 'pid');
  const again = await open(browser, 'all', { fragment: new URLSearchParams(state).toString() });
  assert.deepEqual(await column(again, 'processes', 'pid'), pids((one, other) => one.pid - other.pid));
  await again.close();
  await page.close();
});

test('words and comparisons filter rows, and the fragment restores the filter', async () => {
  const { processes: { rows } } = dataOf('all');
  const limit = [...rows].sort((one, other) => other.pss - one.pss)[Math.floor(rows.length / 2)].pss;
  const expected = rows.filter((row) => row.pss > limit).map((row) => String(row.pid));
  const page = await open(browser, 'all', { });
  await page.type('#table-processes input', `pss>${limit}`);
  const same = async (wanted) => {
    assert.deepEqual(await allOf(page, 'processes', 'pid'), [...wanted].sort());
  };
  await same(expected);
  const word = rows[0].name.slice(0, 4).toLowerCase();
  await page.type('#table-processes input', ` ${word}`);
  const both = rows.filter((row) => row.pss > limit && [row.pid, row.name, row.command, row.cgroup, row.unit, row.container, row.user]
    .some((text) => String(text ?? '').toLowerCase().includes(word)));
  await same(both.map((row) => String(row.pid)));
  const state = await stateOf(page);
  assert.equal(state['find.processes'], `pss>${limit} ${word}`);
  const again = await open(browser, 'all', { fragment: new URLSearchParams(state).toString() });
  assert.equal(await again.$eval('#table-processes input', (input) => input.value), `pss>${limit} ${word}`);
  assert.equal((await allOf(again, 'processes', 'pid')).length, both.length);
  await page.$eval('#table-processes input', (input) => input.select());
  await page.type('#table-processes input', 'no process has this name');
  assert.deepEqual(await column(page, 'processes', 'pid'), []);
  assert.match(await page.$eval('#table-processes .status', (status) => status.textContent), /^0 of 0 rows that match, of /);
  await again.close();
  await page.close();
});

test('long tables show their first rows, then pages, and the fragment restores the page', async () => {
  const { metrics } = dataOf('all');
  assert.ok(metrics.length > 50, 'a machine has more metrics than a page');
  const page = await open(browser, 'all');
  const rows = async () => (await column(page, 'metrics', 'name')).length;
  const status = () => page.$eval('#table-metrics .status', (element) => element.textContent);
  const press = (name) => page.$$eval('#table-metrics .foot button', (buttons, text) => buttons.find((one) => one.textContent === text && !one.hidden).click(), name);
  assert.equal(await rows(), 8);
  await press('Show more');
  assert.equal(await rows(), 50);
  await press('Next');
  assert.equal(await status(), `51–${Math.min(100, metrics.length)} of ${metrics.length} rows`);
  assert.equal((await stateOf(page))['page.metrics'], '2');
  const again = await open(browser, 'all', { fragment: 'page.metrics=2' });
  assert.equal(await again.$eval('#table-metrics .status', (element) => element.textContent), await status());
  await again.close();
  await page.click(COLUMN('metrics', 'value'));
  assert.equal(await status(), `1–50 of ${metrics.length} rows`, 'sorting leads back to the first page');
  await press('Show fewer');
  assert.equal(await rows(), 8);
  assert.deepEqual(page.complaints, []);
  await page.close();
});

test('groups are listed one way at a time, and the fragment restores which', async () => {
  const { groups } = dataOf('all');
  const page = await open(browser, 'all');
  const isShown = (id) => page.$eval(`#table-${id}`, (table) => table.checkVisibility());
  assert.deepEqual([await isShown('processes'), await isShown('groups-user')], [true, false]);
  await page.click('#processes .choice button[data-value="user"]');
  assert.deepEqual([await isShown('processes'), await isShown('groups-user')], [false, true]);
  assert.equal((await column(page, 'groups-user', 'group')).length, Math.min(20, groups.user.rows.length));
  const again = await open(browser, 'all', { fragment: 'by=user' });
  assert.equal(await again.$eval('#table-groups-user', (table) => table.checkVisibility()), true);
  await again.close();
  await page.close();
});

/** Returns a value as the command's CSV has it. */
function asCell(value) {
  if (value === null || value === undefined) return '';
  if (Array.isArray(value)) return value.map((one) => (one && typeof one === 'object' ? Object.values(one).map((inner) => inner ?? '').join(':') : one)).join('|');
  return String(value);
}

/** Tables of the reports, with the records that they show. */
const TABLES = [
  ['all', 'processes', (data) => data.processes.rows], ['all', 'files', (data) => data.files.rows], ['all', 'uses', (data) => data.machine.uses],
  ['all', 'payers', (data) => data.machine.payers], ['all', 'zones', (data) => data.machine.zones], ['all', 'metrics', (data) => data.metrics],
  ['all', 'groups-command', (data) => data.groups.command.rows], ['all', 'groups-user', (data) => data.groups.user.rows],
  ['all', 'thp-events', (data) => data.thp.events],
  ['snapshot', 'changes', (data) => data.changes.memory], ['snapshot', 'frame-changes', (data) => data.changes.frames],
];

for (const [name, table, records] of TABLES) {
  test(`${name}: the CSV of ${table} has every record, exact`, async () => {
    const rows = records(dataOf(name));
    assert.ok(rows.length > 0, 'the report has records');
    const page = await open(browser, name);
    const [names, ...lines] = parsedCsv(await csvOf(page, table));
    assert.equal(lines.length, rows.length);
    const key = (cells) => JSON.stringify(cells);
    const flat = (record, prefix = '') => Object.entries(record).flatMap(([field, value]) => (value && typeof value === 'object' && !Array.isArray(value)
      ? flat(value, `${prefix}${field}_`) : [[prefix + field, value]]));
    const expected = rows.map((row) => {
      const cells = new Map(flat(row));
      for (const field of cells.keys()) assert.ok(names.includes(field), field);
      return names.map((field) => {
        const text = asCell(cells.get(field));
        return typeof cells.get(field) === 'string' && /^[=+\-@\t\r\n'\uff1d\uff0b\uff0d\uff20]/.test(text) ? `'${text}` : text;
      });
    });
    assert.deepEqual(lines.map(key).sort(), expected.map(key).sort());
    await page.close();
  });
}

test('CSV has the rows that match the filter, in the order of the table', async () => {
  const { files: { rows } } = dataOf('all');
  const page = await open(browser, 'all', { fragment: 'sort.files=size&find.files=cached>64K' });
  const [names, ...lines] = parsedCsv(await csvOf(page, 'files'));
  const sizes = lines.map((cells) => cells[names.indexOf('size')]).filter(Boolean).map(Number);
  assert.deepEqual(sizes, [...sizes].sort((one, other) => one - other));
  assert.equal(lines.length, rows.filter((row) => row.cached > 65536).length);
  await page.close();
});

test('a table saves a file of its name', async () => {
  const page = await open(browser, 'all');
  const name = await page.evaluate(() => new Promise((resolve) => {
    document.addEventListener('click', (event) => event.target.download && resolve(event.target.download), { capture: true });
    document.querySelector('[data-csv="files"]').click();
  }));
  assert.equal(name, 'files.csv');
  assert.deepEqual(page.complaints, []);
  await page.close();
});

test('exact values appear under the pointer and with the focus, and Escape hides them', async () => {
  const { machine } = dataOf('machine');
  const page = await open(browser, 'machine');
  const use = machine.uses.find((one) => one.use === 'free');
  const exact = `${use.bytes.toLocaleString('en').replaceAll(',', '\u202f')} bytes`;
  const tip = () => page.$eval('#tip', (element) => (element.hidden ? '' : element.textContent));
  const rows = await page.$$('#table-uses tbody tr');
  for (const row of rows) {
    if (!(await row.evaluate((element) => element.textContent)).startsWith('.free')) continue;
    const cell = await row.$('td.with-bar');
    await cell.hover();
    assert.equal(await tip(), exact);
    await page.mouse.move(1, 1);
    await until(page, () => document.getElementById('tip').hidden);
    await cell.focus();
    assert.equal(await tip(), exact);
    assert.equal(await cell.evaluate((element) => element.getAttribute('aria-describedby')), 'tip');
    await page.keyboard.press('Escape');
    assert.equal(await tip(), '');
    await page.close();
    return;
  }
  assert.fail('no row of free memory');
});

test('sizes are those of the command’s tables', async () => {
  const page = await open(browser, 'machine');
  const { machine } = dataOf('machine');
  const rough = (bytes) => {
    const units = ['', 'K', 'M', 'G', 'T', 'P', 'E'];
    if (bytes === 0) return '0';
    const exponent = Math.floor(Math.log2(bytes) / 10);
    const whole = BigInt(bytes) >> BigInt(10 * exponent), rest = BigInt(bytes) - (whole << BigInt(10 * exponent));
    const unit = exponent === 0 ? 'B' : units[exponent];
    if (rest === 0n) return `${whole}${unit}`;
    const hundredths = String((rest * 100n) >> BigInt(10 * exponent)).padStart(2, '0');
    return whole < 10n ? `${whole}.${hundredths}${unit}` : whole < 100n ? `${whole}.${hundredths[0]}${unit}` : `${whole}${unit}`;
  };
  const shown = await column(page, 'zones', 'present');
  assert.deepEqual(shown, machine.zones.map((zone) => rough(zone.present)));
  const dirty = await column(page, 'uses', 'bytes');
  assert.deepEqual([...dirty].sort(), machine.uses.map((use) => rough(use.bytes)).sort());
  await page.close();
});
