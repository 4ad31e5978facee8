// Owns the page: header, sections in their order, the controls of the page. Draws the first
// section at once and the others after the first paint.

const MAP_DATA = DATA.map ? new MapData(DATA.map) : null;

const SECTIONS = [
  { id: 'memory', title: 'Where the RAM went', build: buildMemory, missing: 'This report has no memory of the machine.' },
  { id: 'map', title: 'Physical map', build: buildMap, missing: 'This report has no map: the frames of the machine were not read.' },
  { id: 'processes', title: 'Processes and groups', build: buildProcesses, missing: 'This report has no list of processes.' },
  { id: 'spaces', title: 'Address spaces', build: buildSpaces, missing: 'No process was named: a report of a PID has its address space here.' },
  { id: 'contiguity', title: 'Contiguity', build: buildContiguity, missing: 'This report has no contiguity: physical addresses were not read.' },
  { id: 'huge', title: 'Huge pages', build: buildHuge, missing: 'This report has no settings of huge pages and no process with any.' },
  { id: 'files', title: 'Files', build: buildFiles, missing: 'This report has no files of the page cache.' },
  { id: 'changes', title: 'Changes', build: buildChanges, missing: 'This report compares with nothing: --against adds what changed since a snapshot.' },
];

async function buildMap() {
  if (!MAP_DATA || MAP_DATA.layers.size === 0) return null;
  const view = new MapView(MAP_DATA);
  await view.ready;
  return [view.element];
}

function showHeader() {
  const { header } = DATA;
  document.getElementById('title').textContent = shown(header.title);
  const fact = (name, value) => (value === null || value === undefined ? [] : [make('span', { class: 'fact' }, make('span', { class: 'of-fact' }, `${name} `), shown(value))]);
  const source = header.source === 'snapshot' ? `snapshot ${header.snapshot ?? ''}` : 'read live';
  document.getElementById('scope').append(...[
    fact('about', header.scope), fact('host', header.host), fact('kernel', [header.kernel, header.architecture].filter(Boolean).join(' ')),
    fact('taken', moment(header.taken_at)), fact('source', source),
    fact('against', header.against ? `${header.against.host ?? ''} ${moment(header.against.taken_at)}` : null),
  ].flat());
  const sentences = unseen();
  if (sentences.length) {
    const list = make('ul', {}, sentences.map((text) => make('li', {}, shown(text))));
    const details = make('details', { open: sentences.length <= 2 }, make('summary', {}, `Not seen: ${plural(sentences.length, 'fact')}`), list);
    document.getElementById('unseen').append(details);
    addEventListener('beforeprint', () => { details.open = true; });
  }
  document.getElementById('footer').append(`introspect ${shown(header.tool_version ?? '')}. Everything is in this file; it loads nothing. Sizes are in units of 1024; exact values appear under the pointer and with the focus.`);
}

function showFrame() {
  const links = SECTIONS.map(({ id, title }) => make('a', { href: `#section=${id}`, 'data-section': id, click: (event) => follow(event, id) }, title));
  document.getElementById('sections').append(make('ul', {}, links.map((link) => make('li', {}, link))));
  const themes = choice('Theme', THEMES.map((name) => [name, name]), THEME.get(), (name) => {
    STATE.set({ theme: name === 'system' ? null : name });
    THEME.apply();
  });
  STATE.onChange(() => {
    themes.choose(THEME.get());
    THEME.apply();
  });
  document.getElementById('page-controls').append(themes);
  const main = document.getElementById('contents');
  for (const section of SECTIONS) {
    section.body = make('div', { class: 'section-body' });
    section.element = make('section', { id: section.id, 'aria-labelledby': `heading-${section.id}` }, make('h2', { id: `heading-${section.id}`, tabindex: '-1' }, section.title), section.body);
    main.append(section.element);
  }
  document.getElementById('skip').addEventListener('click', (event) => {
    event.preventDefault();
    main.focus();
    main.scrollIntoView();
  });
}

/** Goes to a section and keeps the rest of the state. */
function follow(event, id) {
  event.preventDefault();
  STATE.set({ section: id }, true);
  goTo(id);
}

/** Section to which a link led: it stays the current one as long as any of it is visible. */
let followed = null;
let followedAt = 0;

function goTo(id, behavior = 'auto') {
  const section = SECTIONS.find((one) => one.id === id);
  if (!section) return;
  followed = section;
  followedAt = performance.now();
  markCurrent(id);
  section.element.scrollIntoView({ behavior });
  document.getElementById(`heading-${id}`).focus({ preventScroll: true });
}

async function fill(section) {
  const built = await section.build();
  if (built) {
    section.body.append(...built);
    return;
  }
  section.element.classList.add('missing');
  const sentences = unseen(section.id);
  section.body.append(...(sentences.length ? sentences : [section.missing]).map((text) => make('p', { class: 'why' }, shown(text))));
}

function markCurrent(id) {
  document.querySelectorAll('#sections a').forEach((link) => {
    if (link.dataset.section === id) link.setAttribute('aria-current', 'true');
    else link.removeAttribute('aria-current');
  });
}

/** Marks the link of the section that is read, and keeps it in the state. */
function watchSections() {
  const visible = new Set();
  const observer = new IntersectionObserver((entries) => {
    entries.forEach(({ target, isIntersecting }) => (isIntersecting ? visible.add(target.id) : visible.delete(target.id)));
    const box = followed?.element.getBoundingClientRect();
    const isOnTheWay = performance.now() - followedAt < 1500;
    if (box && (isOnTheWay || (box.bottom > 60 && box.top < innerHeight))) return;
    const current = SECTIONS.find(({ id }) => visible.has(id))?.id;
    if (!current) return;
    followed = null;
    markCurrent(current);
    STATE.set({ section: current === SECTIONS[0].id ? null : current });
  }, { rootMargin: '-25% 0px -60% 0px' });
  SECTIONS.forEach(({ element }) => observer.observe(element));
}

const nextTask = () => new Promise((resolve) => { setTimeout(resolve, 0); });
const painted = () => new Promise((resolve) => { requestAnimationFrame(() => setTimeout(resolve, 0)); });

async function start() {
  STATE.read();
  THEME.apply();
  declareClasses();
  showHeader();
  showFrame();
  const [first, ...others] = SECTIONS;
  await fill(first);
  STATE.watch();
  THEME.watch();
  TIP.watch();
  await Promise.race([painted(), new Promise((resolve) => { setTimeout(resolve, 200); })]);
  for (const section of others) {
    await fill(section);
    await nextTask();
  }
  await nextTask();
  const wanted = STATE.get('section');
  if (wanted) goTo(wanted, 'instant');
  STATE.onChange(() => STATE.get('section') && goTo(STATE.get('section')));
  watchSections();
  document.documentElement.dataset.ready = 'yes';
}

start();
