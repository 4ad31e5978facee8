// Owns the section of address spaces beside physical memory.

/** Mappings that a space shows before all are asked for. */
const FIRST_MAPPINGS = 60;

/** Colours of the small map: memory, places of the process, places that are pointed at. */
const OVERVIEW = {
  light: { memory: '#e3e7ec', own: '#5b8bd6', pointed: '#b5320f' },
  dark: { memory: '#2c323b', own: '#6f9fe8', pointed: '#ff9d70' },
};

/** Returns cells of a mapping: [class of state, part of 255]. */
function cellsOf(row) {
  const bytes = typeof row.cells === 'string' ? unbase64(row.cells) : (row.cells ?? []).flat();
  return Array.from({ length: bytes.length / 2 }, (_, index) => [bytes[2 * index], bytes[2 * index + 1]]);
}

/** Address space of one process: strips of its mappings beside a small map. */
class SpaceView {
  constructor(space, map) {
    this.space = space;
    this.map = map;
    this.pid = space.summary?.pid ?? space.pid;
    this.rows = (space.space?.rows ?? []).map((row) => ({ ...row, first: parseInt(row.start, 16), last: parseInt(row.end, 16) }));
    this.list = make('ol', { class: 'strips' });
    this.more = make('button', { type: 'button', click: () => this.showAll() });
    this.note = make('p', { class: 'note' });
    const strips = make('div', { class: 'strips-box' }, this.list, this.note, this.more);
    this.element = make('div', { class: 'space-and-map' }, strips, map ? this.overview() : null);
    this.list.addEventListener('pointerover', (event) => this.point(event));
    this.list.addEventListener('focusin', (event) => this.point(event));
    this.list.addEventListener('pointerleave', () => this.highlight(null));
    this.list.addEventListener('focusout', () => this.highlight(null));
    STATE.onChange(() => this.update());
    this.update();
  }

  overview() {
    this.canvas = make('canvas', { role: 'img', 'aria-label': 'Places of this process in physical memory' });
    this.said = make('p', { class: 'note', role: 'status' });
    const figure = make('figure', { class: 'overview' }, make('figcaption', {}, 'Its places in physical memory'), this.canvas, this.said);
    THEME.onChange(() => this.highlight(null));
    new ResizeObserver(() => this.highlight(null)).observe(this.canvas);
    return figure;
  }

  showAll() {
    const name = `mappings.${this.pid}`;
    STATE.set({ [name]: STATE.get(name) ? null : 'all' });
    this.update();
  }

  /** Returns the mappings that are shown: those with the most memory, in order of addresses. */
  visible() {
    if (STATE.get(`mappings.${this.pid}`) === 'all' || this.rows.length <= FIRST_MAPPINGS) return this.rows;
    const absent = new Set(['not-present', 'unmapped', 'guard', 'marker', 'unknown'].map((word) => classOf('state', word)));
    const present = (row) => cellsOf(row).reduce((sum, [index, part]) => sum + (absent.has(index) ? 0 : part), 0);
    const ranked = this.rows.map((row) => ({ row, amount: present(row) })).sort((one, other) => other.amount - one.amount);
    return ranked.slice(0, FIRST_MAPPINGS).map(({ row }) => row).sort((one, other) => one.first - other.first);
  }

  update() {
    const visible = this.visible();
    const longest = Math.max(...visible.map((row) => row.last - row.first), 1);
    const items = [];
    let before = null;
    for (const row of visible) {
      if (before !== null && row.first > before) items.push(make('li', { class: 'gap' }, `${size(row.first - before)} ${this.rows.length === visible.length ? 'not mapped' : 'not shown'}`));
      items.push(this.strip(row, longest));
      before = row.last;
    }
    this.list.replaceChildren(...items);
    roving(this.list, '.strip');
    const others = this.space.space?.others ?? 0;
    const isAll = visible.length === this.rows.length;
    this.note.textContent = [
      `Each strip is a mapping, its length grows with the root of its size; each cell has the colour of its most frequent state.`,
      isAll ? '' : `${count(visible.length)} of ${plural(this.rows.length, 'mapping')}, those with the most memory.`,
      others ? `${plural(others, 'smaller mapping')} are not in this report.` : '',
    ].filter(Boolean).join(' ');
    this.more.hidden = this.rows.length <= FIRST_MAPPINGS;
    this.more.textContent = isAll ? `Show ${FIRST_MAPPINGS} mappings` : `Show all ${count(this.rows.length)} mappings`;
  }

  strip(row, longest) {
    const cells = cellsOf(row), bytes = row.last - row.first;
    const states = new Map();
    cells.forEach(([index]) => states.set(index, (states.get(index) ?? 0) + 1));
    const parts = [...states].sort((one, other) => other[1] - one[1]).filter(([index]) => classesOf('state')[index])
      .map(([index, number]) => `${classesOf('state')[index].word} ${percent(number, cells.length)}`);
    const name = row.name ?? `[${classesOf('kind')[row.kind]?.word ?? 'anonymous'}]`;
    const ofCell = row.cell ? `, cells of ${size(row.cell)}` : '';
    const described = shown(`${row.start}–${hex(row.last - 1)}, ${exact(bytes)}, ${classesOf('kind')[row.kind]?.word ?? ''}, ${name}${ofCell}: ${parts.join(', ')}`);
    const picture = draw('svg', { class: 'cells', viewBox: `0 0 ${cells.length} 1`, preserveAspectRatio: 'none', 'aria-hidden': 'true' });
    let from = 0;
    cells.forEach(([index, part], at) => {
      const next = cells[at + 1];
      if (next && next[0] === index && Math.abs(next[1] - part) < 16) return;
      const isKnown = Boolean(classesOf('state')[index]);
      picture.append(draw('rect', { x: from, y: 0, width: at + 1 - from, height: 1, class: isKnown ? styleOf('state', index) : 'class-none', opacity: (0.4 + (0.6 * part) / 255).toFixed(2) }));
      from = at + 1;
    });
    // Square roots keep a small mapping visible beside one that is a million times as large.
    picture.style.inlineSize = `${Math.max(1.2, Math.sqrt(bytes / longest) * 100)}%`;
    return make('li', {}, make('div', { class: 'strip', tabindex: '-1', role: 'img', 'aria-label': described, 'data-exact': described, 'data-row': this.rows.indexOf(row) },
      make('span', { class: 'code start' }, row.start), make('span', { class: 'name' }, swatch({ style: styleOf('kind', row.kind), letter: classesOf('kind')[row.kind]?.letter }), shortened(name, 38)),
      make('span', { class: 'number' }, size(bytes)), make('span', { class: 'strip-cells' }, picture)));
  }

  point(event) {
    const strip = event.target.closest('.strip');
    const row = strip && this.rows[Number(strip.dataset.row)];
    if (!row) return;
    let places = (row.places ?? []).filter((place) => place >= 0);
    if (event.type === 'pointerover' && event.target.closest('.strip-cells')) {
      const box = strip.querySelector('svg').getBoundingClientRect();
      const index = Math.floor(((event.clientX - box.left) / box.width) * (row.places?.length ?? 0));
      const place = row.places?.[index];
      if (place >= 0) places = [place];
    }
    this.highlight(places);
  }

  /** Draws the small map: all places of the process, or those that are pointed at. */
  highlight(places) {
    const { canvas, map } = this;
    if (!canvas) return;
    const level = Math.min(7, map.level), side = 2 ** level, each = map.placesOf(level);
    fitCanvas(canvas, side);
    const context = canvas.getContext('2d'), cell = canvas.width / side, colors = OVERVIEW[THEME.isDark() ? 'dark' : 'light'];
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.fillStyle = colors.memory;
    for (let place = 0; place * each < map.places; place += 1) {
      const { x, y } = cellAt(level, place);
      context.fillRect(x * cell, y * cell, cell, cell);
    }
    const fill = (all, color, grown) => {
      context.fillStyle = color;
      const cells = new Set(all.map((place) => Math.floor(place / each)));
      for (const place of cells) {
        const { x, y } = cellAt(level, place);
        context.fillRect(x * cell - grown, y * cell - grown, cell + 2 * grown, cell + 2 * grown);
      }
      return cells.size;
    };
    this.own ??= this.rows.flatMap((row) => (row.places ?? []).filter((place) => place >= 0));
    fill(this.own, colors.own, 0);
    if (places) fill(places, colors.pointed, cell * 0.6);
    const spots = (places ?? this.own).slice(0, 3).map((place) => map.addresses(place, place + 1)[0]).filter(Boolean).map(({ start }) => hex(start));
    const all = places ?? this.own;
    this.said.textContent = all.length === 0 ? 'No addresses are known.'
      : `${plural(all.length, 'cell')} of ${places ? 'this mapping' : 'the process'} begin at ${spots.join(', ')}${all.length > 3 ? ' …' : ''}`;
  }
}

function mappingsTable(space, pid) {
  const rows = space.mappings?.rows ?? (Array.isArray(space.mappings) ? space.mappings : []);
  if (!rows.length) return null;
  const most = Math.max(...rows.map((row) => row.pss ?? row.resident ?? 0), 1);
  const others = space.mappings.others;
  return new Table({
    id: `mappings-${pid}`, kind: 'mapping', caption: `Mappings of process ${pid}`, rows, sort: '-resident', search: ['vaddr', 'kind', 'path', 'prot'],
    rest: others ? plural(others, 'other mapping') : null,
    columns: [
      { path: 'vaddr', title: 'address', isHeader: true, isCode: true }, { path: 'prot', isCode: true },
      { path: 'kind', swatch: (row) => partOf('kind', row.kind, 0) },
      { path: 'resident', title: 'RSS', bar: () => most, style: (row) => styleOf('kind', classOf('kind', row.kind)) },
      { path: 'pss', title: 'PSS' }, { path: 'uss', title: 'USS' }, { path: 'swap' }, { path: 'hugetlb' }, { path: 'huge' },
      { path: 'virtual' }, { path: 'extents' }, { path: 'median', title: 'median extent' }, { path: 'largest', title: 'largest extent' },
      { path: 'path', length: 60 },
    ],
  }).element;
}

function stateKey() {
  const used = new Set((DATA.spaces ?? []).flatMap((space) => (space.space?.rows ?? []).flatMap((row) => cellsOf(row).map(([index]) => index))));
  const items = classesOf('state').map((one, index) => ({ one, index })).filter(({ index }) => used.has(index))
    .map(({ one, index }) => make('li', {}, swatch({ style: styleOf('state', index), letter: one.letter }), make('span', { class: 'name' }, shown(one.word))));
  return make('ul', { class: 'key' }, items);
}

function buildSpaces() {
  const spaces = DATA.spaces ?? [];
  if (!spaces.length) return null;
  const parts = [stateKey()];
  for (const space of spaces) {
    const { pid = space.pid, command = space.command } = space.summary ?? {};
    parts.push(make('h3', {}, shown(`${programOf(command)} (${pid})`)), make('p', { class: 'note code' }, shortened(command ?? '', 200)));
    if (space.space?.rows?.length) parts.push(new SpaceView(space, MAP_DATA).element);
    parts.push(mappingsTable(space, pid));
  }
  return parts.filter(Boolean);
}
