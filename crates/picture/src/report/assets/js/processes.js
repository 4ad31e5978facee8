// Owns the section of processes and groups.

/** Titles of groups, by the word of the report. */
const GROUPS = { command: 'Commands', cgroup: 'Cgroups', unit: 'Units', container: 'Containers', user: 'Users' };

function processTable() {
  const rows = DATA.processes?.rows ?? [];
  if (!rows.length) return null;
  const most = Math.max(...rows.map((row) => row.pss ?? row.resident ?? 0), 1);
  const { others, others_bytes: bytes } = DATA.processes;
  // Hugetlb counts in the order of the rows, and in no column of theirs.
  const isInOrder = rows.some((row) => row.hugetlb > 0);
  const sort = rows.some((row) => (row.pss ?? null) !== null) ? '-pss' : '-resident';
  return new Table({
    id: 'processes', kind: 'process', caption: 'Processes', rows, sort: isInOrder ? '' : sort,
    search: ['pid', 'name', 'command', 'cgroup', 'unit', 'container', 'user'],
    rest: others ? `${plural(others, 'smaller process', 'smaller processes')}${bytes ? `: ${size(bytes)}` : ''}` : null,
    columns: [
      { path: 'pid', title: 'PID', isNumber: true },
      { path: 'name', isHeader: true, length: 24 }, { path: 'command', length: 56 },
      { path: 'pss', title: 'PSS', bar: () => most },
      { path: 'uss', title: 'USS' }, { path: 'resident', title: 'RSS' }, { path: 'swap', title: 'swap' },
      { path: 'hugetlb', title: 'hugetlb' }, { path: 'huge', title: 'huge' }, { path: 'virtual', title: 'virtual' },
      { path: 'extents', title: 'extents' }, { path: 'median', title: 'median extent' }, { path: 'half_in', title: 'half in' },
      { path: 'mappings', title: 'mappings' }, { path: 'user', title: 'user' },
      { path: 'unit', length: 30 }, { path: 'container', length: 16 }, { path: 'cgroup', length: 40 },
    ],
  });
}

function groupTable(by, { rows, others }) {
  const most = Math.max(...rows.map((row) => row.memory ?? row.pss ?? 0), 1);
  const isKnown = rows.some((row) => row.memory !== null);
  return new Table({
    id: `groups-${by}`, kind: 'group', caption: GROUPS[by] ?? by, rows, sort: isKnown ? '-memory' : '-pss', search: ['group'],
    rest: others ? plural(others, 'smaller group') : null,
    columns: [
      { path: 'group', isHeader: true, length: 70, isComputed: true, title: by, text: (row) => (row.group === null ? 'none' : shortened(row.group, 70)), exact: (row) => shown(row.group ?? 'none') },
      { path: 'processes', isNumber: true },
      { path: 'memory', title: 'only theirs', bar: () => most },
      { path: 'shared' }, { path: 'pss', title: 'PSS', bar: isKnown ? null : () => most }, { path: 'uss', title: 'USS' }, { path: 'resident', title: 'RSS' }, { path: 'swap' },
      { path: 'hugetlb' }, { path: 'huge' }, { path: 'extents' },
    ],
  });
}

function buildProcesses() {
  const tables = new Map();
  const processes = processTable();
  if (processes) tables.set('process', processes.element);
  for (const [by, groups] of Object.entries(DATA.groups ?? {})) {
    if (groups?.rows?.length && by in GROUPS) tables.set(by, groupTable(by, groups).element);
  }
  if (tables.size === 0) return null;
  const options = [...tables.keys()].map((by) => [by, by === 'process' ? 'Processes' : GROUPS[by]]);
  const first = options[0][0];
  const chosen = () => (tables.has(STATE.get('by')) ? STATE.get('by') : first);
  const show = () => {
    buttons.choose(chosen());
    for (const [by, element] of tables) element.classList.toggle('not-chosen', by !== chosen());
  };
  const buttons = choice('List', options, chosen(), (by) => {
    STATE.set({ by: by === first ? null : by }, true);
    show();
  });
  STATE.onChange(show);
  show();
  return [options.length > 1 ? make('div', { class: 'tools' }, buttons) : null, ...tables.values()].filter(Boolean);
}
