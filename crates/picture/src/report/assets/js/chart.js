// Owns pictures of a few numbers: bars of parts, columns by size, curves. Knows no record.
//
// A part is {name, value, style, exact?, letter?}. Values are bytes unless `text` says otherwise.

/** Returns the letter of a class: one visible character, whatever the data says. */
function letterOf({ letter }) {
  return [...shown(letter ?? '')][0] ?? '';
}

/** Makes the colour of a class, with its letter. */
function swatch({ style, letter }) {
  return make('span', { class: `swatch ${style}`, 'aria-hidden': 'true' }, letterOf({ letter }));
}

/** Returns a part of a class that is named by its word. */
function partOf(key, word, value, exactText = null) {
  const index = classOf(key, word);
  return { name: word, value, style: styleOf(key, index), letter: classesOf(key)[index]?.letter, exact: exactText };
}

/** Makes the title of a figure, with a note behind it. */
function titleOf(tag, title, note, ...more) {
  return make(tag, {}, make('span', { class: 'of-figure' }, shown(title)), note ? make('span', { class: 'note' }, ` ${shown(note)}`) : null, ...more);
}

/**
 * Makes a bar of parts, which are in proportion to the whole, with a list of their names and
 * values below. Parts without a value are left out.
 */
function stack({ title, parts, whole, note, text = size, precise = exact, isQuiet = false }) {
  const shownParts = parts.filter((part) => part.value > 0);
  const sum = shownParts.reduce((total, part) => total + part.value, 0);
  const all = Math.max(whole ?? 0, sum);
  const described = (part) => `${shown(part.name)}: ${precise(part.value)}, ${percent(part.value, all)}${part.exact ? `. ${part.exact}` : ''}`;
  const bar = make('div', { class: 'stack', 'aria-hidden': 'true' });
  const list = make('ul', { class: 'key' });
  for (const part of shownParts) {
    const share = part.value / all;
    const name = shortened(part.name, 28);
    const piece = make('span', { class: `piece ${part.style}`, 'data-exact': described(part) });
    piece.style.flexGrow = String(share);
    if (share > 0.025) piece.append(make('span', { class: 'of-piece' }, share > 0.16 ? [name, ' ', make('b', {}, text(part.value)), ` ${percent(part.value, all)}`] : share > 0.09 ? name : letterOf(part)));
    bar.append(piece);
    list.append(make('li', { 'data-exact': described(part), tabindex: '-1' },
      swatch(part), make('span', { class: 'name' }, name), ' ',
      make('b', {}, text(part.value)), ' ', make('span', { class: 'share' }, percent(part.value, all))));
  }
  if (all > sum) {
    const rest = make('span', { class: 'piece rest-of-whole' });
    rest.style.flexGrow = String((all - sum) / all);
    bar.append(rest);
  }
  roving(list, 'li');
  return make('figure', { class: isQuiet ? 'quiet' : null },
    titleOf('figcaption', title, note), bar, list);
}

/** Makes a table with one bar for each part, for numbers that are no parts of one whole. */
function bars({ title, note, rows, text = size, precise = exact }) {
  const most = Math.max(...rows.map((row) => Math.abs(row.value ?? 0)), 1);
  const lines = rows.map((row) => {
    const fill = make('span', { class: `fill ${row.style ?? 'class-accent'}` });
    fill.style.inlineSize = `${(Math.abs(row.value ?? 0) / most) * 100}%`;
    return make('tr', {},
      make('th', { scope: 'row', tabindex: '-1', 'data-exact': row.meaning ?? null }, row.letter ? swatch(row) : null, shortened(row.name, 44)),
      make('td', { class: 'number', tabindex: '-1', 'data-exact': row.exact ?? (row.value === null ? null : precise(row.value)) }, row.value === null ? '–' : text(row.value)),
      make('td', { class: 'with-bar', 'aria-hidden': 'true' }, make('span', { class: 'track' }, fill)));
  });
  const body = make('tbody', {}, lines);
  roving(body, 'th, td.number', () => 2);
  return make('figure', { class: 'bars' }, make('table', {}, titleOf('caption', title, note), body));
}

/**
 * Makes columns by size, with a curve above them: the part of all that is in columns of at
 * least this size. Columns are {label, value, exact}.
 */
function histogram({ title, note, columns, curve }) {
  const width = Math.max(240, columns.length * 46), height = 150, base = 126, top = 14;
  const most = Math.max(...columns.map((column) => column.value), 1);
  const sum = columns.reduce((total, column) => total + column.value, 0) || 1;
  const picture = draw('svg', { viewBox: `0 0 ${width} ${height}`, class: 'histogram', role: 'group', 'aria-label': shown(title) });
  const step = width / columns.length;
  let below = 0;
  const points = columns.map((column, index) => {
    const part = (sum - below) / sum;
    below += column.value;
    return `${(index + 0.5) * step},${base - part * (base - top)}`;
  });
  let rest = sum;
  columns.forEach((column, index) => {
    const tall = (column.value / most) * (base - top);
    const described = `${column.label}: ${column.exact}; ${percent(rest, sum)} in this size and larger`;
    rest -= column.value;
    picture.append(draw('g', { class: 'column', tabindex: '-1', role: 'img', 'aria-label': described, 'data-exact': described },
      draw('rect', { x: index * step, y: 0, width: step, height, class: 'ground' }),
      draw('rect', { x: index * step + step * 0.15, y: base - tall, width: step * 0.7, height: tall, class: 'filled' }),
      draw('text', { x: (index + 0.5) * step, y: height - 8, 'text-anchor': 'middle' }, column.label)));
  });
  picture.append(draw('line', { x1: 0, x2: width, y1: base, y2: base, class: 'axis' }));
  if (curve && columns.length > 1) {
    picture.append(draw('polyline', { points: points.join(' '), class: 'curve' }));
  }
  picture.style.maxInlineSize = `${width * 1.3}px`;
  roving(picture, '.column');
  const ofCurve = curve && columns.length > 1 ? make('span', { class: 'note of-curve' }, ` ${curve}`) : null;
  return make('figure', {}, titleOf('figcaption', title, note, ofCurve), picture);
}
