// Owns the view of the physical map: layers, zoom, the cell under the pointer or the keyboard,
// the legend and the table of what is visible.

/** Levels of cells below the square that fills the view: 256 x 256 cells. */
const DRAWN_LEVELS = 8;
/** Levels below it that the table lists: 64 squares. */
const LISTED_LEVELS = 3;
/** Cells of at least this many CSS pixels show the letter of their class. */
const LETTER_SIZE = 15;
const MOST_LISTED_RUNS = 8;

/** Returns the colours of classes as pixels, in full and faded by how mixed a cell is. */
function paletteOf(key, only) {
  const isDark = THEME.isDark();
  const ground = rgb(isDark ? '#16181d' : '#ffffff');
  const mixed = (color, part) => {
    const [red, green, blue] = color.map((value, index) => Math.round(value * part + ground[index] * (1 - part)));
    return (255 << 24) | (blue << 16) | (green << 8) | red;
  };
  return classesOf(key).map((one, index) => {
    const color = rgb(isDark ? one.dark : one.light);
    const isFaded = only && !only.has(index);
    return Uint32Array.from({ length: 256 }, (_, purity) => mixed(color, isFaded ? 0.07 : 0.4 + (0.6 * purity) / 255));
  });
}

/** Draws cells into a canvas: one square of the map. */
function paintCells(canvas, { classes, purities }, levels, turn, palette) {
  const side = 2 ** levels, pixels = pixelsInside(levels, turn);
  const image = new ImageData(side, side), words = new Uint32Array(image.data.buffer);
  for (let place = 0; place < classes.length; place += 1) {
    const shades = palette[classes[place]];
    if (shades) words[pixels[place]] = shades[purities[place]];
  }
  const small = new OffscreenCanvas(side, side);
  small.getContext('2d').putImageData(image, 0, 0);
  const context = canvas.getContext('2d');
  context.imageSmoothingEnabled = false;
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}

/** Sets the number of pixels of a canvas to a multiple of its cells. */
function fitCanvas(canvas, side) {
  const wanted = (canvas.clientWidth || 512) * (devicePixelRatio || 1);
  const pixels = Math.max(1, Math.ceil(wanted / side)) * side;
  if (canvas.width !== pixels) canvas.width = canvas.height = pixels;
}

class MapView {
  constructor(data) {
    this.data = data;
    this.wheel = 0;
    this.drawing = 0;
    this.canvas = make('canvas', { 'aria-hidden': 'true' });
    this.mark = make('div', { class: 'mark', hidden: true });
    this.pinned = make('div', { class: 'mark pinned', hidden: true });
    this.box = make('div', {
      class: 'map', id: 'map-box', tabindex: '0', role: 'application', 'aria-roledescription': 'map',
      'aria-label': 'Physical map', 'aria-describedby': 'map-help',
      pointermove: (event) => this.hover(event), pointerleave: () => this.leave(),
      click: (event) => this.click(event), dblclick: (event) => this.zoomAt(event, event.shiftKey ? -1 : 1),
      keydown: (event) => this.key(event),
    }, this.canvas, this.mark, this.pinned);
    this.box.addEventListener('wheel', (event) => this.wheeled(event), { passive: false });
    this.box.addEventListener('focus', () => this.focused());
    this.readout = make('div', { class: 'readout', id: 'map-readout' });
    this.path = make('ol', { class: 'path' });
    this.legend = make('div', { class: 'legend', role: 'group', 'aria-label': 'Classes: choose those that are drawn in full' });
    this.listed = make('div');
    this.details = make('details', { id: 'map-table', toggle: () => this.list() }, make('summary', {}, 'Table of what the map shows'), this.listed);
    const layers = [...data.layers.values()];
    this.layerChoice = choice('Layer', layers.map(({ name, title }) => [name, shown(title ?? name)]), this.layer(), (name) => {
      STATE.set({ layer: name === layers[0].name ? null : name, only: null }, true);
      this.draw();
    });
    this.element = make('div', { class: 'map-section' },
      make('div', { class: 'tools' }, this.layerChoice, this.buttons()),
      make('nav', { 'aria-label': 'Zoom of the map' }, this.path),
      make('div', { class: 'map-and-legend' }, this.box, make('div', { class: 'beside-map' }, this.readout, this.legend, make('p', { class: 'note help', id: 'map-help' }, 'The line of addresses runs on a Hilbert curve: what is near in memory is near on the map, and each square of the next level is one range. '
        + 'A cell has the colour of its most frequent class, paler the more it is mixed. Click keeps a cell, double click zooms in, the wheel zooms while the map has the focus or with Ctrl. '
        + 'Keys: arrows move (with Shift by 8), + and Enter zoom in, − and Backspace zoom out, 0 shows all. Hatched parts have no memory.'))),
      this.details);
    STATE.onChange(() => this.draw());
    THEME.onChange(() => this.paint());
    new ResizeObserver(() => this.paint()).observe(this.box);
    this.explain();
    this.ready = this.draw();
  }

  buttons() {
    const button = (text, label, action) => make('button', { type: 'button', 'aria-label': label, 'data-exact': label, click: action }, text);
    this.inButton = button('+', 'Zoom in', () => this.zoomBy(1));
    this.outButton = button('−', 'Zoom out', () => this.zoomBy(-1));
    this.allButton = button('All', 'Show all memory', () => this.zoomTo(0, 0));
    return make('div', { class: 'choice', role: 'group', 'aria-label': 'Zoom' }, this.inButton, this.outButton, this.allButton);
  }

  layer() {
    const chosen = STATE.get('layer');
    return this.data.layers.has(chosen) ? chosen : this.data.layers.keys().next().value;
  }

  classKey() {
    return this.data.layers.get(this.layer()).classes;
  }

  /** Returns level and place of the square that fills the view. */
  view() {
    const parts = /^(\d{1,2})\.(\d{1,15})$/.exec(STATE.get('zoom') ?? '');
    const [level, place] = parts ? [Number(parts[1]), Number(parts[2])] : [0, 0];
    return level <= this.mostZoom() && place < 4 ** level ? { level, place } : { level: 0, place: 0 };
  }

  mostZoom() {
    return Math.max(0, this.data.deepestOf(this.layer()) - 2);
  }

  /** Returns level and place of the cell that was chosen; null without one. */
  chosen() {
    const parts = /^(\d{1,2})\.(\d{1,15})$/.exec(STATE.get('cell') ?? '');
    if (!parts || !this.drawn) return null;
    const { level } = this.drawn, own = Number(parts[1]);
    const place = Math.floor(Number(parts[2]) * 4 ** (level - own));
    return place < 4 ** level ? { level, place } : null;
  }

  /** Returns the numbers of the classes that are drawn in full; null for all. */
  only() {
    const words = STATE.get('only')?.split(',') ?? [];
    const numbers = words.map((word) => classOf(this.classKey(), word)).filter((index) => index >= 0);
    return numbers.length ? new Set(numbers) : null;
  }

  /** Loads and draws what the state of the view says. */
  async draw() {
    const turn = this.drawing += 1;
    const layer = this.layer();
    const cells = await this.data.load(layer);
    const view = this.view();
    const levels = Math.min(DRAWN_LEVELS, this.data.deepestOf(layer) - view.level);
    const level = view.level + levels;
    if (level > this.data.level) await this.data.loadRuns();
    if (turn !== this.drawing) return;
    const block = this.data.block(layer, cells, level, view.place * 4 ** levels, 4 ** levels);
    this.drawn = { ...cellAt(view.level, view.place), view, levels, level, block, cells, layer };
    this.layerChoice.choose(layer);
    this.paint();
    this.showPath();
    this.showLegend();
    this.showPinned();
    this.list();
    this.inButton.disabled = view.level >= this.mostZoom();
    this.outButton.disabled = this.allButton.disabled = view.level === 0;
    this.box.setAttribute('aria-label', `Physical map, layer ${layer}, ${this.rangeText(view.level, view.place)}`);
    if (this.data.hasRuns(layer)) this.data.loadRuns();
  }

  /** Draws again what is loaded: after a change of colours or of the size. */
  paint() {
    if (!this.drawn) return;
    const { block, levels, turn } = this.drawn;
    fitCanvas(this.canvas, 2 ** levels);
    const only = this.only();
    paintCells(this.canvas, block, levels, turn, paletteOf(this.classKey(), only));
    const cell = this.canvas.width / 2 ** levels;
    if (cell >= LETTER_SIZE * (devicePixelRatio || 1)) this.paintLetters(cell, only);
  }

  paintLetters(cell, only) {
    const { block, levels, turn } = this.drawn, context = this.canvas.getContext('2d');
    const classes = classesOf(this.classKey()), isDark = THEME.isDark(), pixels = pixelsInside(levels, turn);
    const side = 2 ** levels;
    context.font = `${Math.min(cell * 0.6, 28)}px system-ui, sans-serif`;
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    block.classes.forEach((index, place) => {
      const one = classes[index];
      if (!one || (only && !only.has(index))) return;
      context.fillStyle = inkOn(isDark ? one.dark : one.light);
      context.globalAlpha = 0.75;
      context.fillText(letterOf(one), ((pixels[place] % side) + 0.5) * cell, (Math.floor(pixels[place] / side) + 0.5) * cell);
    });
    context.globalAlpha = 1;
  }

  /** Returns the address range of a cell as text. */
  rangeText(level, place) {
    const each = this.data.placesOf(level);
    const ranges = this.data.addresses(place * each, (place + 1) * each);
    const texts = ranges.slice(0, 3).map(({ start, end }) => `${hex(start)}–${hex(end - 1)}`);
    if (ranges.length > 3) texts.push(`${count(ranges.length - 3)} more ranges`);
    return texts.join(', ') || 'no memory';
  }

  showPath() {
    const { level, place } = this.drawn.view;
    const steps = Array.from({ length: level + 1 }, (_, at) => {
      const own = Math.floor(place / 4 ** (level - at));
      const each = this.data.placesOf(at);
      const bytes = this.data.addresses(own * each, (own + 1) * each).reduce((sum, range) => sum + range.end - range.start, 0);
      const isLast = at === level;
      const button = make('button', {
        type: 'button', class: 'small', 'aria-current': isLast ? 'true' : null, 'data-exact': this.rangeText(at, own),
        click: () => this.zoomTo(at, own),
      }, at === 0 ? `All ${size(bytes)}` : size(bytes));
      return make('li', {}, button);
    });
    this.path.replaceChildren(...steps);
  }

  showLegend() {
    const key = this.classKey(), { block, cells } = this.drawn, classes = classesOf(key);
    const inView = new Array(256).fill(0);
    block.classes.forEach((index) => { inView[index] += 1; });
    cells.present ??= new Set(cells.classes);
    const drawn = block.classes.length - inView[NO_CLASS];
    const only = this.only();
    const known = classes.map((one, index) => ({ one, index })).filter(({ index }) => cells.present.has(index));
    const isScale = key === 'size';
    if (!isScale) known.sort((left, right) => inView[right.index] - inView[left.index]);
    const buttons = known.map(({ one, index }) => {
      const share = percent(inView[index], drawn);
      return make('button', {
        type: 'button', 'aria-pressed': String(only?.has(index) ?? false), 'data-word': one.word,
        'data-exact': `${shown(one.word)}: the most frequent in ${count(inView[index])} of ${plural(drawn, 'cell')} with memory`,
        click: () => this.toggle(index),
      }, swatch({ style: styleOf(key, index), letter: one.letter }), make('span', { class: 'name' }, shortened(one.word, 40)), make('span', { class: 'share' }, share));
    });
    const focused = document.activeElement?.dataset?.word;
    const hadFocus = this.legend.contains(document.activeElement);
    this.legend.replaceChildren(make('p', { class: 'of-legend' }, make('b', {}, 'Classes'), ' ', make('span', { class: 'note' }, 'part of the cells; choose to see one alone')), ...buttons);
    if (hadFocus) buttons.find((button) => button.dataset.word === focused)?.focus();
  }

  toggle(index) {
    const only = this.only() ?? new Set();
    if (!only.delete(index)) only.add(index);
    const words = [...only].map((one) => classesOf(this.classKey())[one].word);
    STATE.set({ only: words.join(',') || null });
    this.paint();
    this.showLegend();
  }

  /** Lists the visible squares as a table, if that is open. */
  list() {
    if (!this.details.open || !this.drawn) return;
    const { view, layer, cells } = this.drawn;
    const levels = Math.min(LISTED_LEVELS, this.data.deepestOf(layer) - view.level);
    const level = view.level + levels, first = view.place * 4 ** levels, number = 4 ** levels;
    const { classes, purities } = this.data.block(layer, cells, level, first, number);
    const each = this.data.placesOf(level), key = this.classKey();
    const rows = [];
    for (let cell = 0; cell < number; cell += 1) {
      if (classes[cell] === NO_CLASS) continue;
      for (const { start, end } of this.data.addresses((first + cell) * each, (first + cell + 1) * each)) {
        rows.push({ paddr: hex(start), bytes: end - start, class: classesOf(key)[classes[cell]]?.word ?? '?', purity: Math.floor((purities[cell] * 100) / 255) });
      }
    }
    const caption = `Squares of the map, layer ${layer}, ${this.rangeText(view.level, view.place)}`;
    this.table ??= this.listTable();
    this.table.replace(rows, caption);
  }

  listTable() {
    const table = new Table({
      id: 'map', kind: 'map', caption: '', rows: [], isSmall: true, firstRows: 64,
      columns: [
        { path: 'paddr', title: 'first address', meaning: 'First physical address.', isCode: true, isHeader: true },
        { path: 'bytes', title: 'size', meaning: 'Size in bytes.', unit: 'bytes', isNumber: true },
        { path: 'class', title: 'most frequent', meaning: 'Most frequent class.', swatch: (row) => partOf(this.classKey(), row.class, 0) },
        { path: 'purity', title: 'part', meaning: 'Part of the frames that is of this class, in percent, rounded down.', text: (row) => `${row.purity}\u2009%`, isNumber: true },
      ],
    });
    this.listed.replaceChildren(table.element);
    return table;
  }

  // Zoom

  zoomTo(level, place) {
    STATE.set({ zoom: level === 0 ? null : `${level}.${place}` }, true);
    this.leave();
    const drawn = this.draw();
    announce(`${level === 0 ? 'All memory' : `Level ${level}`}: ${this.rangeText(level, place)}`);
    return drawn;
  }

  /** Zooms in towards the chosen cell, or out. */
  zoomBy(step) {
    const view = this.view();
    if (step < 0) return view.level > 0 ? this.zoomTo(view.level - 1, Math.floor(view.place / 4)) : null;
    if (view.level >= this.mostZoom()) return null;
    const chosen = this.chosen();
    const child = chosen ? Math.floor(chosen.place / 4 ** (chosen.level - view.level - 1)) : view.place * 4;
    const isInside = Math.floor(child / 4) === view.place;
    return this.zoomTo(view.level + 1, isInside ? child : view.place * 4);
  }

  zoomAt(event, step) {
    const cell = this.cellUnder(event);
    if (step > 0 && cell) {
      const view = this.view();
      if (view.level >= this.mostZoom()) return;
      this.zoomTo(view.level + 1, Math.floor(cell.place / 4 ** (cell.level - view.level - 1)));
    } else {
      this.zoomBy(-1);
    }
  }

  wheeled(event) {
    const isWanted = event.ctrlKey || document.activeElement === this.box;
    if (!isWanted) return;
    event.preventDefault();
    this.wheel += event.deltaY * (event.deltaMode === 1 ? 33 : 1);
    if (Math.abs(this.wheel) < 90) return;
    const step = this.wheel < 0 ? 1 : -1;
    this.wheel = 0;
    this.zoomAt(event, step);
  }

  // Cells

  cellUnder(event) {
    if (!this.drawn) return null;
    const box = this.canvas.getBoundingClientRect(), side = 2 ** this.drawn.levels;
    const across = Math.floor(((event.clientX - box.left) / box.width) * side);
    const down = Math.floor(((event.clientY - box.top) / box.height) * side);
    if (across < 0 || down < 0 || across >= side || down >= side) return null;
    const { level, x, y } = this.drawn;
    return { level, place: placeAt(level, x * side + across, y * side + down) };
  }

  hover(event) {
    const cell = this.cellUnder(event);
    if (!cell) return;
    this.place(this.mark, cell);
    this.describe(cell);
  }

  leave() {
    this.mark.hidden = true;
    const chosen = this.chosen();
    if (chosen) this.describe(chosen);
  }

  click(event) {
    const cell = this.cellUnder(event);
    this.box.focus({ preventScroll: true });
    if (cell) this.choose(cell);
  }

  choose(cell) {
    STATE.set({ cell: `${cell.level}.${cell.place}` });
    this.showPinned();
  }

  focused() {
    if (this.chosen() || !this.drawn || !this.box.matches(':focus-visible')) return;
    const { view, level, levels } = this.drawn;
    this.choose({ level, place: view.place * 4 ** levels });
  }

  showPinned() {
    const chosen = this.chosen();
    this.pinned.hidden = true;
    if (!chosen) return;
    this.place(this.pinned, chosen);
    this.describe(chosen);
  }

  /** Puts a mark on a cell; hides it if the cell is outside the view. */
  place(mark, cell) {
    const side = 2 ** this.drawn.levels, { x, y } = cellAt(cell.level, cell.place);
    const across = x - this.drawn.x * side, down = y - this.drawn.y * side;
    mark.hidden = across < 0 || down < 0 || across >= side || down >= side;
    mark.style.left = `${(across / side) * 100}%`;
    mark.style.top = `${(down / side) * 100}%`;
    mark.style.width = mark.style.height = `${100 / side}%`;
  }

  key(event) {
    if (event.altKey || event.metaKey || event.ctrlKey || !this.drawn) return;
    const step = event.shiftKey ? 8 : 1;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    const actions = {
      '+': () => this.zoomBy(1), '=': () => this.zoomBy(1), Enter: () => this.zoomBy(1),
      '-': () => this.zoomBy(-1), Backspace: () => this.zoomBy(-1),
      0: () => this.zoomTo(0, 0), Home: () => this.zoomTo(0, 0),
      Escape: () => { STATE.set({ cell: null }); this.showPinned(); this.explain(); },
    };
    if (moves[event.key]) this.move(...moves[event.key]);
    else if (actions[event.key]) actions[event.key]();
    else return;
    event.preventDefault();
  }

  /** Moves the chosen cell; the view follows it. */
  move(across, down) {
    const { level, view, levels, layer } = this.drawn;
    const from = this.chosen() ?? { level, place: view.place * 4 ** levels };
    const { x, y } = cellAt(level, from.place), last = 2 ** level - 1;
    const within = (value) => Math.max(0, Math.min(last, value));
    const cell = { level, place: placeAt(level, within(x + across), within(y + down)) };
    const square = Math.floor(cell.place / 4 ** levels);
    STATE.set({ cell: `${cell.level}.${cell.place}` });
    if (square !== view.place) STATE.set({ zoom: `${view.level}.${square}` });
    if (square !== view.place) this.draw();
    else this.showPinned();
    const { index, purity } = this.contents(cell, layer);
    const word = classesOf(this.classKey())[index]?.word ?? 'no memory';
    clearTimeout(this.announcing);
    this.announcing = setTimeout(() => announce(`${shown(word)}, ${Math.floor((purity * 100) / 255)} percent, ${this.rangeText(level, cell.place)}`), 250);
  }

  contents(cell, layer) {
    const { classes, purities } = this.data.block(layer, this.drawn.cells, cell.level, cell.place, 1);
    return { index: classes[0] ?? NO_CLASS, purity: purities[0] ?? 0 };
  }

  explain() {
    this.readout.replaceChildren(make('p', { class: 'note' }, 'Point at the map, or move on it by the arrow keys, to read addresses.'));
  }

  /** Shows what is in a cell. */
  describe(cell) {
    const key = this.classKey(), { layer } = this.drawn;
    const { index, purity } = this.contents(cell, layer);
    const each = this.data.placesOf(cell.level), from = cell.place * each, to = from + each;
    const ranges = this.data.addresses(from, to);
    const bytes = ranges.reduce((sum, range) => sum + range.end - range.start, 0);
    const one = classesOf(key)[index];
    const isWhole = purity === 255;
    const part = isWhole ? 'all of it' : `${Math.floor((purity * 100) / 255)}\u2009% of it`;
    const lines = [
      make('p', { class: 'code range' }, this.rangeText(cell.level, cell.place)),
      one ? make('p', {}, swatch({ style: styleOf(key, index), letter: one.letter }), make('b', {}, shortened(one.word, 60)), ` ${part}, `, make('span', {}, size(bytes)),
        make('span', { class: 'note' }, ` ${exact(bytes)}`))
        : make('p', {}, 'No memory here.'),
    ];
    if (one) lines.push(...this.runLines(layer, key, from, to));
    if (ranges.length && this.data.map.runs_command) {
      const commands = ranges.slice(0, 2).map((range) => this.data.command(range));
      for (const command of commands) {
        lines.push(make('p', { class: 'command' }, make('code', {}, command), copyButton(command, `Copy the command for ${hex(ranges[0].start)}`)));
      }
    }
    this.readout.replaceChildren(...lines);
  }

  runLines(layer, key, from, to) {
    if (!this.data.hasRuns(layer)) return [];
    const runs = this.data.runsIn(from, to, MOST_LISTED_RUNS + 1);
    if (!runs?.length) return [];
    const items = runs.slice(0, MOST_LISTED_RUNS).map(([start, end, index]) => {
      const [range] = this.data.addresses(start, end);
      if (!range) return null;
      const one = classesOf(key)[index];
      return make('li', {}, swatch({ style: styleOf(key, index), letter: one?.letter }),
        make('span', { class: 'code' }, `${hex(range.start)}–${hex(range.end - 1)}`), ` ${size(range.end - range.start)} ${shown(one?.word ?? '?')}`);
    });
    const isCut = runs.length > MOST_LISTED_RUNS;
    return [make('p', { class: 'note' }, isCut ? `The first ${MOST_LISTED_RUNS} runs, exact:` : 'Exact runs:'), make('ul', { class: 'runs' }, items)];
  }
}
