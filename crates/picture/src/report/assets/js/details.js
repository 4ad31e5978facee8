// Owns the sections of contiguity, huge pages, files and changes.

/** Returns free memory by size of block, over all zones. */
function freeBySize(machine) {
  const sizes = new Map();
  for (const { size: block, blocks } of machine.free ?? []) sizes.set(block, (sizes.get(block) ?? 0) + blocks);
  return [...sizes].sort((one, other) => one[0] - other[0])
    .map(([block, blocks]) => ({ label: size(block), value: block * blocks, exact: `${plural(blocks, 'block')}, ${exact(block * blocks)}` }));
}

/** Bars of aligned blocks: free, kept by what cannot move, unknown, and the others. */
function blockBars(machine) {
  return (machine.contiguity ?? []).filter((one) => one.blocks > 0).map((one) => {
    const movable = one.blocks - one.free - one.unmovable - one.unflagged;
    const number = (value) => count(value);
    return stack({
      title: `${count(one.blocks)} blocks of ${size(one.size)}`, isQuiet: true, whole: one.blocks, text: number, precise: (value) => plural(value, 'block'),
      note: one.free_share === null ? '' : `${percent(one.free_share, 1)} of the free memory is in free ones`,
      parts: [
        { name: 'free', value: one.free, style: 'class-good', exact: meaningOf('machine.contiguity', 'free') },
        { name: 'in use, movable', value: movable, style: 'class-accent' },
        { name: 'unmovable', value: one.unmovable, style: 'class-bad', exact: meaningOf('machine.contiguity', 'unmovable') },
        { name: 'unknown', value: one.unflagged, style: 'class-none', exact: meaningOf('machine.contiguity', 'unflagged') },
      ],
    });
  });
}

/** Bars of the uses that alone keep blocks from being free. */
function preventedBars(machine) {
  const figures = (machine.contiguity ?? []).map((one) => {
    const rows = one.uses.filter((use) => use.prevented > 0).sort((left, right) => right.prevented - left.prevented)
      .map((use) => ({ ...partOf('use', use.use, use.prevented), exact: `${plural(use.prevented, 'block')} with no unmovable frame of another use; ${count(use.blocks)} with a frame of this use` }));
    return rows.length ? bars({ title: `Uses that alone keep blocks of ${size(one.size)} from being free`, note: `${count(one.unmovable)} unmovable blocks`, rows, text: count }) : null;
  });
  return figures.filter(Boolean);
}

function metricsTable(rows) {
  if (!rows?.length) return null;
  return new Table({
    id: 'metrics', kind: 'metric', caption: 'Published metrics', rows, sort: '', firstRows: 8, search: ['name', 'kind', 'zone', 'cgroup', 'source', 'command', 'pid'],
    columns: [
      { path: 'name', isHeader: true }, { path: 'pid', isNumber: true }, { path: 'kind' }, { path: 'node', isNumber: true }, { path: 'zone' }, { path: 'size' }, { path: 'cgroup', length: 40 },
      { path: 'value', isNumber: true, text: (row) => metricText(row), exact: (row) => (row.value === null ? '' : `${row.value} ${row.unit}`) }, { path: 'unit' }, { path: 'source', length: 50 },
    ],
  }).element;
}

function metricText({ value, unit }) {
  if (value === null) return '–';
  if (unit === 'bytes') return size(value);
  return Number.isInteger(value) ? count(value) : String(Number(value.toPrecision(4)));
}

function extentsOf(summary) {
  const { contiguity, pid, command } = summary;
  if (!contiguity?.histogram?.length) return null;
  const columns = contiguity.histogram.map((one) => ({ label: size(one.least), value: one.bytes, exact: `${plural(one.count, 'extent')}, ${exact(one.bytes)}` }));
  const note = `${plural(contiguity.extents, 'extent')} of ${size(contiguity.bytes)}; half of the bytes are in extents of at least ${size(contiguity.half_in)}; the median is ${size(contiguity.median)}`;
  return histogram({ title: `Extents of ${programOf(command)} (${pid})`, note, columns, curve: 'part in this size and larger' });
}

function buildContiguity() {
  const { machine } = DATA;
  const parts = [];
  if (machine?.free?.length) {
    parts.push(histogram({ title: 'Free memory by size of block', note: size(freeBySize(machine).reduce((sum, one) => sum + one.value, 0)), columns: freeBySize(machine), curve: 'part in this size and larger' }));
  }
  parts.push(...(DATA.spaces ?? []).map((space) => space.summary && extentsOf(space.summary)));
  if (machine?.contiguity?.length) parts.push(make('h3', {}, 'Aligned blocks'), ...blockBars(machine));
  parts.push(metricsTable(DATA.metrics));
  const found = parts.filter(Boolean);
  return found.length ? found : null;
}

const HUGE_REASONS = ['policy', 'too_small', 'alignment', 'holes', 'fragmented', 'page_cache', 'small_entries', 'frames_hidden'];

function hugeOf({ summary, advice }) {
  if (!summary) return [];
  const { huge_pages: huge, pid, command } = summary;
  if (!huge) return [];
  const name = `${programOf(command)} (${pid})`;
  const parts = [{ name: 'huge', value: huge.mapped, style: 'class-good', exact: meaningOf('summary.huge_pages', 'mapped') }];
  HUGE_REASONS.forEach((reason, index) => {
    parts.push({ name: reason.replaceAll('_', ' '), value: huge[reason], style: styleOf('series', index % 10), exact: meaningOf('summary.huge_pages', reason) });
  });
  const sum = parts.reduce((total, part) => total + (part.value ?? 0), 0);
  const made = [stack({ title: `Resident memory of ${name}`, note: `${percent(huge.mapped, sum)} is mapped by entries of ${size(huge.size)}; the rest is not, for these reasons`, parts, whole: sum })];
  if (huge.policies?.length) {
    made.push(new Table({
      id: `policies-${pid}`, kind: 'summary.huge_pages.policies', caption: `Policies that keep ${name} from huge pages`, rows: huge.policies, sort: '', isSmall: true,
      columns: [{ path: 'reason', isHeader: true }, { path: 'setting', isCode: true }, { path: 'bytes' }, { path: 'eligible' }, { path: 'eligible_full', title: 'eligible, full blocks' }],
    }).element);
  }
  if (advice?.length) made.push(make('ul', { class: 'advice' }, advice.map(({ text }) => make('li', {}, shown(text)))));
  return made;
}

/** Returns processes with the most memory that huge entries do not map. */
function coverageBars() {
  const rows = (DATA.processes?.rows ?? []).filter((row) => row.huge > 0 || row.hugetlb > 0).slice(0, 12)
    .map((row) => ({ name: nameOf(row), value: (row.huge ?? 0) + (row.hugetlb ?? 0), exact: `${exact(row.huge)} of ${exact(row.resident)} resident, and ${exact(row.hugetlb ?? 0)} of hugetlb` }));
  return rows.length ? bars({ title: 'Processes with huge pages', note: 'memory that huge entries map, and hugetlb', rows }) : null;
}

function thpTables(thp) {
  if (!thp) return [];
  const made = [];
  if (thp.sizes?.length) {
    made.push(new Table({
      id: 'thp-sizes', kind: 'summary.thp.sizes', caption: 'Settings by size', rows: thp.sizes, sort: '', isSmall: true,
      columns: [{ path: 'size', isHeader: true, isNumber: true }, { path: 'enabled' }, { path: 'shmem_enabled', title: 'shmem enabled' },
        ...['anon_fault_alloc', 'anon_fault_fallback', 'split', 'swpout', 'nr_anon'].map((name) => ({
          path: `statistics.${name}`, title: name, meaning: 'Number of events since boot, or of pages that exist now (nr_).', isComputed: true, isNumber: true,
          text: (row) => count(row.statistics?.find((one) => one.name === name)?.count ?? null), exact: () => '',
        }))],
    }).element);
  }
  const collapsed = thp.khugepaged ? Object.entries(thp.khugepaged).map(([name, value]) => ({ name, value })) : [];
  if (collapsed.length) {
    made.push(new Table({
      id: 'khugepaged', kind: 'khugepaged', caption: 'khugepaged', rows: collapsed, sort: '', isSmall: true,
      columns: [{ path: 'name', isHeader: true, title: 'setting or count', text: (row) => row.name.replaceAll('_', ' '), exact: (row) => meaningOf('summary.thp.khugepaged', row.name) },
        { path: 'value', title: 'value', isNumber: true, meaning: 'Value.', text: (row) => formatted(row.value, {}) }],
    }).element);
  }
  if (thp.events?.length) {
    made.push(new Table({
      id: 'thp-events', kind: 'summary.thp.events', caption: 'Events since boot', rows: thp.events, sort: '-count', firstRows: 8, search: ['name'],
      columns: [{ path: 'name', isHeader: true }, { path: 'count' }],
    }).element);
  }
  return made;
}

function buildHuge() {
  const { machine, thp } = DATA;
  const parts = [];
  for (const space of DATA.spaces ?? []) parts.push(...hugeOf(space));
  parts.push(coverageBars());
  if (machine) parts.push(...preventedBars(machine));
  parts.push(...thpTables(thp));
  const found = parts.filter(Boolean);
  return found.length ? found : null;
}

function buildFiles() {
  const rows = DATA.files?.rows ?? [];
  if (!rows.length) return null;
  const most = Math.max(...rows.filter((row) => row.path).map((row) => row.cached ?? 0), 1);
  const words = { 'more-files': 'smaller files', 'more-shm': 'smaller shared memory', 'other-files': 'page cache of no listed file', 'other-shm': 'shared memory of no listed file' };
  const nameText = (row) => row.path ?? words[row.record] ?? row.record ?? '';
  const parts = [];
  const rest = DATA.files.unattributed;
  if (rest !== null && rest !== undefined) {
    parts.push(make('p', {}, make('b', { 'data-exact': exact(rest), tabindex: '0' }, size(rest)), ' of the page cache belong to files that no process maps or has open, or that could not be counted.'));
  }
  parts.push(new Table({
    id: 'files', kind: 'file', caption: 'Files in the page cache', rows, sort: '-cached', search: ['path', 'commands', 'file_system', 'record'],
    columns: [
      { path: 'path', title: 'file', isHeader: true, isComputed: true, isCode: true, text: (row) => shortened(nameText(row), 70), exact: (row) => shown(nameText(row)) },
      { path: 'cached', bar: (row) => (row.path ? most : Math.max(most, row.cached ?? 0)) },
      { path: 'dirty' }, { path: 'writeback' }, { path: 'evicted' }, { path: 'size' },
      { path: 'processes' }, { path: 'commands', length: 40 }, { path: 'file_system', title: 'file system' },
    ],
  }).element);
  return parts;
}

/** Table of frames whose use changed. */
function frameChanges(rows) {
  if (!rows?.length) return null;
  const most = Math.max(...rows.map((row) => row.bytes), 1);
  return new Table({
    id: 'frame-changes', kind: 'frame_change', caption: 'Frames whose use changed', rows, sort: '-bytes', search: ['use_before', 'use_after'],
    columns: [
      { path: 'use_before', title: 'use before', isHeader: true, swatch: (row) => partOf('use', row.use_before, 0) },
      { path: 'use_after', title: 'use after', swatch: (row) => partOf('use', row.use_after, 0) },
      { path: 'bytes', title: 'memory', bar: () => most, style: (row) => styleOf('use', classOf('use', row.use_after)) },
      { path: 'runs' }, { path: 'largest_paddr', title: 'largest run at', isCode: true }, { path: 'largest_bytes', title: 'largest run' },
    ],
  }).element;
}

/** Table of processes and mappings whose memory changed. */
function memoryChanges(rows) {
  if (!rows?.length) return null;
  const most = Math.max(...rows.filter((row) => row.record !== 'total').map((row) => Math.abs(row.memory_after - row.memory_before)), 1);
  const delta = (row) => row.memory_after - row.memory_before;
  rows.forEach((row) => Object.defineProperty(row, 'difference', { value: delta(row) }));
  return new Table({
    id: 'changes', kind: 'change', caption: 'Memory that changed', rows, sort: '', search: ['record', 'change', 'pid', 'command', 'path', 'kind'],
    columns: [
      { path: 'record' }, { path: 'change' }, { path: 'pid', title: 'PID', isNumber: true },
      { path: 'command', title: 'subject', isHeader: true, isComputed: true, text: (row) => shortened(row.path ?? row.command ?? row.vaddr ?? 'all processes', 50), exact: (row) => shown(row.path ?? row.command ?? row.vaddr ?? 'all processes') },
      { path: 'difference', title: 'difference', meaning: 'Memory after less memory before, in bytes.', isNumber: true, unit: 'bytes', bar: () => most, style: (row) => (delta(row) < 0 ? 'class-good' : 'class-bad'),
        text: (row) => (delta(row) > 0 ? '+' : '') + size(delta(row)), exact: (row) => exact(delta(row)) },
      { path: 'memory_before', title: 'before' }, { path: 'memory_after', title: 'after' }, { path: 'grown' }, { path: 'freed' }, { path: 'moved' }, { path: 'replaced' },
      { path: 'swapped_out', title: 'swapped out' }, { path: 'swapped_in', title: 'swapped in' }, { path: 'became_huge', title: 'became huge' }, { path: 'stopped_huge', title: 'stopped huge' }, { path: 'changed' },
    ],
  }).element;
}

function buildChanges() {
  const { changes, header } = DATA;
  const parts = [memoryChanges(changes?.memory), frameChanges(changes?.frames)].filter(Boolean);
  if (!parts.length) return null;
  const { against } = header;
  if (against) parts.unshift(make('p', {}, `Before: ${shown(against.host ?? header.host)}, ${moment(against.taken_at)} (snapshot ${shown(against.snapshot)}). After: ${moment(header.taken_at)}.`));
  return parts;
}
