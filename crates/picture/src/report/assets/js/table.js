// Owns tables of records: columns, sorting, filters, exact values, CSV. Knows no kind of record:
// columns are paths of fields, whose titles, units and meanings come from their declarations.

/** Rows that a table shows at first, and rows of a page after that: so few that sorting stays quick. */
const FIRST_ROWS = 20;
const PAGE_ROWS = 50;
/** First characters that make a spreadsheet take a cell for a formula, as the command's CSV has them. */
const FORMULA = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20']/;

/** Fields that are names rather than amounts: their digits are not grouped. */
const NUMBERS_OF_THINGS = new Set(['pid', 'ino', 'node', 'user']);

const TABLES = new Map();

/**
 * Table of records of one kind.
 *
 * options: id, kind, caption, rows, columns: [{path, title?, text?(row), exact?(row), bar?: whole,
 * style?(row), swatch?(row), isHeader?, isCode?, isComputed?, length?}], sort: path with - for descending,
 * search: paths, rest: text of the last row, tools: elements, isSmall: no search.
 */
class Table {
  constructor(options) {
    Object.assign(this, { sort: '', search: [], tools: [], rest: null, isSmall: false, firstRows: FIRST_ROWS, ...options });
    this.caption = shown(this.caption);
    const isKnown = (column) => this.rows.length === 0 || this.rows.some((row) => at(row, column.path) !== null);
    this.columns = this.columns.filter((column) => column.isComputed || isKnown(column));
    this.columns.forEach((column) => this.complete(column));
    this.body = make('tbody');
    this.status = make('p', { class: 'status', role: 'status' });
    const button = (text, action) => make('button', { type: 'button', 'aria-label': `${text}: ${this.caption}`, click: action }, text);
    this.previous = button('Previous', () => this.turn(-1));
    this.next = button('Next', () => this.turn(1));
    this.more = button('Show more', () => this.turn(1));
    this.fewer = button('Show fewer', () => this.turnTo(0));
    this.element = make('div', { class: 'table', id: `table-${this.id}` }, this.controls(), this.frame(), this.foot());
    roving(this.body, 'td, th', () => this.columns.length);
    TABLES.set(this.id, this);
    STATE.onChange(() => this.update());
    this.update();
  }

  /** Adds what the declaration of a column's field says. */
  complete(column) {
    const field = fieldOf(this.kind, column.path);
    column.title ??= (field.title || field.name.replaceAll('_', ' ')).toLowerCase();
    column.meaning ??= meaningOf(this.kind, column.path);
    column.unit ??= field.unit;
    const values = this.rows.map((row) => at(row, column.path));
    column.isNumber ??= !column.text && values.every((value) => value === null || typeof value === 'number');
  }

  frame() {
    const heads = this.columns.map((column) => {
      const title = column.title || column.path;
      const button = make('button', { type: 'button', 'data-exact': column.meaning || title, click: () => this.sortBy(column) }, title);
      return make('th', { scope: 'col', class: column.isNumber ? 'number' : null, 'data-path': column.path }, button);
    });
    this.heads = heads;
    const head = make('thead', {}, make('tr', {}, heads));
    this.captionElement = make('caption', { class: 'unseen' }, this.caption);
    const table = make('table', {}, this.captionElement, head, this.body);
    this.scroller = make('div', { class: 'scroller' }, table);
    return this.scroller;
  }

  controls() {
    const csv = make('button', { type: 'button', class: 'small', 'data-csv': this.id, click: () => this.save() }, 'CSV');
    csv.setAttribute('aria-label', `Save as CSV: ${this.caption}`);
    this.title = make('span', { class: 'of-figure', 'aria-hidden': 'true' }, this.caption);
    if (this.isSmall) return make('div', { class: 'tools' }, this.title, this.tools, csv);
    const id = newId('find');
    this.input = make('input', {
      type: 'search', id, spellcheck: 'false', autocomplete: 'off', placeholder: this.example(),
      input: () => this.filterBy(this.input.value),
    });
    const label = make('label', { for: id, class: 'unseen' }, `Filter: ${this.caption}`);
    return make('div', { class: 'tools' }, this.title, this.tools, label, this.input, csv);
  }

  example() {
    const column = this.columns.find((one) => one.unit === 'bytes');
    return column ? `words, or ${shortPath(column.path)}>10M` : 'words';
  }

  foot() {
    return make('div', { class: 'foot' }, this.status, this.more, this.previous, this.next, this.fewer);
  }

  /** Name of a value of this table in the fragment. */
  key(name) {
    return `${name}.${this.id}`;
  }

  sortBy(column) {
    const [path, isDown] = this.order();
    const isFirstDown = column.isNumber;
    const next = path === column.path ? !isDown : isFirstDown;
    const value = (next ? '-' : '') + column.path;
    STATE.set({ [this.key('sort')]: value === this.sort ? null : value, ...this.toFirstPage() });
    this.update();
    announce(`Sorted by ${column.title}, ${next ? 'descending' : 'ascending'}`);
  }

  filterBy(text) {
    STATE.set({ [this.key('find')]: text, ...this.toFirstPage() });
    this.update();
  }

  /** Returns the page that is shown, from 1; 0 for the first rows alone. */
  page(rows) {
    const page = Math.trunc(Number(STATE.get(this.key('page')))) || 0;
    return rows <= this.firstRows ? 0 : Math.max(0, Math.min(page, Math.ceil(rows / PAGE_ROWS)));
  }

  turn(step) {
    this.turnTo(this.page(this.matching().length) + step);
  }

  turnTo(page) {
    const focused = document.activeElement;
    STATE.set({ [this.key('page')]: page > 0 ? page : null });
    this.update();
    const buttons = [this.next, this.previous, this.more, this.fewer];
    if (buttons.includes(focused) && (focused.hidden || focused.disabled)) buttons.find((button) => !button.hidden && !button.disabled)?.focus();
  }

  /** Returns the change of the state that goes back to the first page. */
  toFirstPage() {
    return STATE.get(this.key('page')) === null ? {} : { [this.key('page')]: 1 };
  }

  order() {
    const chosen = STATE.get(this.key('sort')) ?? this.sort;
    const path = chosen.replace(/^-/, '');
    const isKnown = this.columns.some((column) => column.path === path);
    const sort = isKnown ? chosen : this.sort;
    return [sort.replace(/^-/, ''), sort.startsWith('-')];
  }

  /** Returns the rows that match the filter, in order. */
  matching() {
    const [path, isDown] = this.order();
    const isWanted = filterOf(STATE.get(this.key('find')) ?? '', this.columns, this.search);
    const rows = this.rows.filter(isWanted);
    if (!path) return rows;
    const column = this.columns.find((one) => one.path === path);
    const valueOf = (row) => (column?.text && !column.isNumber ? column.text(row) : at(row, path));
    return rows
      .map((row, index) => ({ row, index, value: valueOf(row) }))
      .sort((one, other) => compared(one.value, other.value, isDown) || one.index - other.index)
      .map(({ row }) => row);
  }

  /** Shows other rows. */
  replace(rows, caption) {
    this.rows = rows;
    this.caption = this.captionElement.textContent = this.title.textContent = shown(caption);
    this.update();
  }

  update() {
    const rows = this.matching();
    const page = this.page(rows.length);
    const from = page === 0 ? 0 : (page - 1) * PAGE_ROWS;
    const visible = rows.slice(from, from + (page === 0 ? this.firstRows : PAGE_ROWS));
    this.body.replaceChildren(...visible.map((row) => this.line(row)));
    const isWhole = visible.length === rows.length && rows.length === this.rows.length;
    const isLast = from + visible.length === rows.length;
    if (this.rest && isLast) this.body.append(this.lastLine());
    this.body.querySelector('td, th')?.setAttribute('tabindex', '0');
    const [path, isDown] = this.order();
    this.heads.forEach((head) => {
      if (head.dataset.path === path) head.setAttribute('aria-sort', isDown ? 'descending' : 'ascending');
      else head.removeAttribute('aria-sort');
    });
    if (this.input && this.input.value !== (STATE.get(this.key('find')) ?? '')) {
      this.input.value = STATE.get(this.key('find')) ?? '';
    }
    const notAll = rows.length < this.rows.length ? ` that match, of ${count(this.rows.length)}` : '';
    this.status.textContent = isWhole ? '' : `${visible.length ? `${count(from + 1)}–${count(from + visible.length)}` : '0'} of ${plural(rows.length, 'row')}${notAll}`;
    this.more.hidden = page > 0 || rows.length <= this.firstRows;
    this.fewer.hidden = page === 0;
    this.previous.hidden = this.next.hidden = page === 0 || rows.length <= PAGE_ROWS;
    this.previous.disabled = page <= 1;
    this.next.disabled = isLast;
  }

  line(row) {
    const line = make('tr');
    this.columns.forEach((column, index) => line.append(this.cell(row, column, index === this.headerIndex())));
    return line;
  }

  headerIndex() {
    const index = this.columns.findIndex((column) => column.isHeader);
    return Math.max(0, index);
  }

  cell(row, column, isHeader) {
    const value = at(row, column.path);
    const text = column.text ? column.text(row) : formatted(value, column);
    const precise = column.exact ? column.exact(row) : preciseOf(value, column);
    const kind = [column.isNumber ? 'number' : '', column.isCode ? 'code' : '', column.bar ? 'with-bar' : ''].join(' ').trim();
    const cell = make(isHeader ? 'th' : 'td', {
      scope: isHeader ? 'row' : null, class: kind || null, tabindex: '-1',
      'data-exact': precise && precise !== text ? precise : null,
    });
    if (column.swatch) cell.append(swatch(column.swatch(row)));
    if (column.bar) {
      const part = make('span', { class: `fill ${column.style?.(row) ?? 'class-accent'}`, 'aria-hidden': 'true' });
      part.style.inlineSize = `${Math.min(1, Math.abs(value) / (column.bar(row) || 1)) * 100}%`;
      part.hidden = !value;
      cell.append(make('span', { class: 'amount' }, text), make('span', { class: 'track', 'aria-hidden': 'true' }, part));
    } else {
      cell.append(text);
    }
    return cell;
  }

  lastLine() {
    return make('tr', { class: 'rest' }, make('td', { colspan: this.columns.length, tabindex: '-1' }, this.rest));
  }

  save() {
    save(`${this.id}.csv`, this.csv());
  }

  /** Returns the matching rows as CSV: all fields of the records, exact. */
  csv() {
    const rows = this.matching();
    const paths = pathsOf(this.kind, this.rows);
    const lines = [paths.map((path) => path.replaceAll('.', '_'))];
    for (const row of rows) lines.push(paths.map((path) => csvCell(at(row, path))));
    return lines.map((line) => line.join(',') + '\n').join('');
  }
}

function shortPath(path) {
  return path.split('.').pop();
}

/** Compares two values; unknown ones come last in both directions. */
function compared(one, other, isDown) {
  if (one === null || other === null) return (one === null) - (other === null);
  const sign = isDown ? -1 : 1;
  if (typeof one === 'number' && typeof other === 'number') return sign * (one - other);
  const [left, right] = [String(one), String(other)];
  return sign * (left < right ? -1 : left > right ? 1 : 0);
}

/**
 * Returns the test of a filter: words that a row contains, and comparisons such as pss>10M
 * of columns.
 */
function filterOf(text, columns, search) {
  const tests = text.toLowerCase().split(/\s+/).filter(Boolean).map((word) => {
    const parts = /^([\w.]+)(>=|<=|>|<|=)(.+)$/.exec(word);
    const path = parts && columns.map((column) => column.path)
      .find((one) => [one, shortPath(one)].includes(parts[1]));
    if (path) return comparison(path, parts[2], parts[3]);
    return (row) => search.some((one) => textOf(at(row, one)).toLowerCase().includes(word));
  });
  return (row) => tests.every((test) => test(row));
}

function comparison(path, sign, text) {
  const limit = bytesOf(text);
  if (Number.isNaN(limit)) return (row) => sign === '=' && textOf(at(row, path)).toLowerCase() === text;
  return (row) => {
    const value = at(row, path);
    if (typeof value !== 'number') return false;
    if (sign === '=') return value === limit;
    return (sign[0] === '>' ? value > limit : value < limit) || (sign.length === 2 && value === limit);
  };
}

/** Returns a value as text for a search. */
function textOf(value) {
  if (value === null) return '';
  return Array.isArray(value) ? value.map(textOf).join(' ') : shown(value);
}

/** Returns a value for the cell of a table. */
function formatted(value, column) {
  if (value === null) return '–';
  if (column.unit === 'bytes' && typeof value === 'number') return size(value);
  if (typeof value === 'number') return NUMBERS_OF_THINGS.has(shortPath(column.path ?? '')) ? String(value) : count(value);
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  const text = Array.isArray(value) ? joined(value, ', ') : shown(value);
  return column.length ? shortened(text, column.length) : text;
}

/** Returns the exact value of a cell. */
function preciseOf(value, column) {
  if (value === null) return column.meaning && /Unknown/.test(column.meaning) ? column.meaning.replace(/.*(Unknown)/, '$1') : '';
  if (column.unit === 'bytes' && typeof value === 'number') return exact(value);
  if (typeof value === 'string') return shown(value);
  return Array.isArray(value) ? joined(value, ', ') : '';
}

/** Returns a list in one line; records in it as 0:4096. */
function joined(value, separator) {
  return value.map((one) => {
    if (Array.isArray(one)) return joined(one, ' ');
    return one && typeof one === 'object' ? Object.values(one).map((inner) => (inner === null ? '' : shown(inner))).join(':') : shown(one);
  }).join(separator);
}

/** Returns a cell of CSV, a list as the command's CSV has it: 0:4096|1:8192. */
function csvCell(value) {
  if (value === null) return '';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  let text = Array.isArray(value) ? value.map((one) => (one && typeof one === 'object'
    ? Object.values(one).map((inner) => inner ?? '').join(':') : one)).join('|') : String(value);
  if (FORMULA.test(text)) text = `'${text}`;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
