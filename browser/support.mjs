// Owns the browser of the tests: starting it, opening a report as a person would, and watching
// for what a report must never do. Knows no section of a report.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import puppeteer from 'puppeteer-core';

/** Folder with the reports that documents.mjs made. */
export const REPORTS = process.env.REPORTS ?? '';
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** Starts a browser that has no network. Tests run as root, which Chromium's sandbox refuses. */
export function launch() {
  return puppeteer.launch({
    executablePath: CHROMIUM,
    headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--force-color-profile=srgb'],
  });
}

/** Returns the path of a report. */
export function pathOf(name) {
  return join(REPORTS, `${name}.html`);
}

const DATA = /<script type="application\/json" id="data">([^]*?)<\/script>/;

/** Returns the data of a report. */
export function dataOf(name) {
  return JSON.parse(DATA.exec(readFileSync(pathOf(name), 'utf8'))[1]);
}

/** Writes a report with other data, escaped as the command escapes it. The script is the same. */
export function writeReport(name, template, data) {
  const escape = (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  const text = JSON.stringify(data).replace(/[<>&\u2028\u2029]/g, escape);
  const html = readFileSync(pathOf(template), 'utf8');
  writeFileSync(pathOf(name), html.replace(DATA, (whole, old) => whole.replace(old, () => text)));
}

/**
 * Opens a report by file:// and waits until it is drawn. `page.complaints` collects messages of
 * the console, errors, dialogs and requests: a report has none.
 */
export async function open(browser, name, { fragment = '', scheme = 'light', motion = 'no-preference', width = 1400, height = 900, before } = {}) {
  const page = await browser.newPage();
  page.complaints = [];
  const complain = (kind, text) => page.complaints.push(`${kind}: ${text}`);
  page.on('console', (message) => complain('console', message.text()));
  page.on('pageerror', (error) => complain('error', error.message));
  page.on('dialog', (dialog) => {
    complain('dialog', dialog.message());
    dialog.dismiss();
  });
  const address = pathToFileURL(pathOf(name)).href;
  page.on('request', (request) => {
    const url = request.url().split('#')[0];
    if (url !== address && !url.startsWith('blob:')) complain('request', url);
  });
  await page.setViewport({ width, height });
  await page.emulateMediaFeatures([
    { name: 'prefers-color-scheme', value: scheme },
    { name: 'prefers-reduced-motion', value: motion },
  ]);
  await before?.(page);
  await page.goto(address + (fragment && `#${fragment}`));
  await drawn(page);
  return page;
}

/** Waits until a report is drawn. */
export function drawn(page) {
  return page.waitForSelector('html[data-ready]', { timeout: 30_000 });
}

/** Waits until a function of the page returns something true, and returns that. */
export async function until(page, wanted, ...values) {
  const handle = await page.waitForFunction(wanted, { timeout: 10_000, polling: 20 }, ...values);
  return handle.jsonValue();
}

/** Returns the state in the fragment, which is written a moment after a change. */
export async function stateOf(page) {
  await new Promise((resolve) => { setTimeout(resolve, 300); });
  return Object.fromEntries(new URLSearchParams(new URL(page.url()).hash.slice(1)));
}

/** Returns texts of elements. */
export function texts(page, selector) {
  return page.$$eval(selector, (elements) => elements.map((element) => element.textContent));
}

/** Returns the text that a table saves as CSV. */
export async function csvOf(page, table) {
  await page.evaluate(() => {
    const make = URL.createObjectURL;
    URL.createObjectURL = (blob) => {
      window.saved = blob.text();
      return make.call(URL, blob);
    };
  });
  await page.$eval(`[data-csv="${table}"]`, (button) => button.click());
  return page.evaluate(() => window.saved);
}

/** Returns the lines of CSV (RFC 4180) as lists of cells. */
export function parsedCsv(text) {
  const lines = [[]];
  const cells = /("(?:[^"]|"")*"|[^",\n]*)(,|\n|$)/gy;
  for (let found = cells.exec(text); found && found.index < text.length; found = cells.exec(text)) {
    const [, cell, end] = found;
    lines.at(-1).push(cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell);
    if (end === '\n') lines.push([]);
  }
  return lines.slice(0, -1);
}

/** Returns the median. */
export function median(numbers) {
  const sorted = [...numbers].sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)];
}
