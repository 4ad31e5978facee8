// A report is one quiet file: all sections, no message, no request, no empty frame.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { dataOf, launch, open, stateOf, texts, until, writeReport } from '../support.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

const SECTIONS = ['memory', 'map', 'processes', 'spaces', 'contiguity', 'huge', 'files', 'changes'];

for (const name of ['all', 'machine', 'process', 'snapshot']) {
  test(`${name}: every section is there, and nothing is loaded or complained about`, async () => {
    const page = await open(browser, name);
    const ids = await page.$$eval('main > section', (sections) => sections.map(({ id }) => id));
    assert.deepEqual(ids, SECTIONS);
    await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
    for (const id of SECTIONS) {
      const text = await page.$eval(`#${id} .section-body`, (body) => body.textContent.trim());
      assert.ok(text.length > 20, `${id}: ${text}`);
    }
    assert.deepEqual(page.complaints, []);
    await page.close();
  });

  test(`${name}: a section without data says why, and the others are drawn`, async () => {
    const data = dataOf(name);
    const has = {
      memory: true, map: data.map, processes: data.processes.rows.length, spaces: data.spaces.length,
      contiguity: data.machine || data.spaces.length || data.metrics.length, files: data.files?.rows.length,
      changes: data.changes?.memory.length || data.changes?.frames.length,
    };
    const page = await open(browser, name);
    for (const [id, isThere] of Object.entries(has)) {
      const isMissing = await page.$eval(`#${id}`, (section) => section.classList.contains('missing'));
      assert.equal(isMissing, !isThere, id);
      const frames = await page.$$eval(`#${id} figure, #${id} table, #${id} canvas`, (elements) => elements.length);
      assert.equal(frames > 0, Boolean(isThere), id);
    }
    for (const { section, text } of data.header.unseen.filter((one) => one.section)) {
      if (await page.$(`#${section}.missing`)) assert.ok((await texts(page, `#${section} .why`)).includes(text), text);
    }
    await page.close();
  });
}

test('the header names host, kernel and time, and all that was not seen', async () => {
  const { header } = dataOf('all');
  const page = await open(browser, 'all');
  assert.equal(await page.$eval('h1', (title) => title.textContent), header.title);
  assert.equal(await page.title(), header.title);
  const facts = await page.$eval('#scope', (scope) => scope.textContent);
  for (const fact of [header.host, header.kernel, header.taken_at.slice(0, 10)]) assert.ok(facts.includes(fact), fact);
  assert.deepEqual(await texts(page, '#unseen li'), header.unseen.map((one) => one.text));
  await page.close();
});

test('the policy allows the two inline blocks by hash and nothing else', async () => {
  const page = await open(browser, 'all');
  const policy = await page.$eval('meta[http-equiv="Content-Security-Policy"]', (meta) => meta.content);
  const hash = "'sha256-[A-Za-z0-9+/]{43}='";
  assert.match(policy, new RegExp(`^default-src 'none'; script-src ${hash}; style-src ${hash}; base-uri 'none'; form-action 'none'$`));
  const refused = await page.evaluate(async () => {
    const script = document.createElement('script');
    script.textContent = 'window.isRun = true';
    document.body.append(script);
    const fetched = await fetch('data:text/plain,x').then(() => true, () => false);
    return [window.isRun ?? false, fetched];
  });
  assert.deepEqual(refused, [false, false]);
  assert.ok(page.complaints.length > 0, 'the browser says that it refused them');
  await page.close();
});

test('a use’s bar is as long as its part of the memory, and the parts are all of it', async () => {
  const { machine } = dataOf('machine');
  const page = await open(browser, 'machine');
  const widths = await page.$eval('#memory .stack', (bar) => {
    const whole = bar.getBoundingClientRect().width - 2;
    return [...bar.children].map((piece) => [piece.dataset.exact ?? '', piece.getBoundingClientRect().width / whole]);
  });
  const counted = machine.uses.filter((use) => use.bytes > 0);
  assert.equal(widths.filter(([described]) => described).length, counted.length);
  for (const use of counted) {
    const [, width] = widths.find(([described]) => described.startsWith(`${use.use}:`));
    assert.ok(Math.abs(width - use.bytes / machine.present) < 0.02, `${use.use}: ${width}`);
  }
  const amounts = widths.map(([described]) => Number((/: ([\d\u202f]+) bytes/.exec(described)?.[1] ?? '0').replaceAll('\u202f', '')));
  assert.equal(amounts.reduce((sum, bytes) => sum + bytes, 0), machine.counted);
  await page.close();
});

test('hugetlb that several processes map counts once', async () => {
  const data = dataOf('process');
  const [mapped, owned] = [512 << 20, 100 << 20];
  data.processes.rows.forEach((row) => Object.assign(row, { pss: owned, hugetlb: mapped }));
  data.machine.uses.push({ ...data.machine.uses[0], use: 'hugetlb-mapped', bytes: mapped });
  writeReport('hugetlb', 'process', data);
  const page = await open(browser, 'hugetlb');
  const parts = await page.$$eval('#memory figure', (figures) => {
    const figure = figures.find((one) => one.querySelector('.of-figure')?.textContent === 'Processes');
    return [...figure.querySelectorAll('.key li')].map((item) => item.dataset.exact);
  });
  const amounts = parts.map((part) => Number(/: ([\d\u202f]+) bytes/.exec(part)[1].replaceAll('\u202f', '')));
  assert.equal(amounts.reduce((sum, bytes) => sum + bytes, 0), mapped + owned * data.processes.rows.length);
  assert.ok(parts.at(-1).startsWith('hugetlb-mapped: '), parts.at(-1));
  await page.close();
});

test('links lead to sections, and the fragment restores the section, also by Back', async () => {
  const page = await open(browser, 'all');
  await page.click('a[data-section="contiguity"]');
  assert.equal((await stateOf(page)).section, 'contiguity');
  const isAtTop = () => {
    const { top } = document.getElementById('contiguity').getBoundingClientRect();
    return top > -5 && top < 100;
  };
  await until(page, isAtTop);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'heading-contiguity');
  await page.click('a[data-section="processes"]');
  await until(page, () => document.querySelector('a[data-section="processes"]').hasAttribute('aria-current'));
  await stateOf(page);
  await page.goBack();
  await until(page, isAtTop);
  const again = await open(browser, 'all', { fragment: 'section=contiguity' });
  await until(again, isAtTop);
  await again.close();
  await page.close();
});
