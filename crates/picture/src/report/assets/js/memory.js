// Owns the section of where the RAM went: bars of one scale for uses, payers and processes,
// uses beside the kernel's counters, what no flag explains, nodes and zones.

/** Parts of a bar beyond this number become one. */
const MOST_PARTS = 12;

/** Returns the largest parts, and the others as one. */
function largest(parts, most = MOST_PARTS) {
  const sorted = parts.filter((part) => part.value > 0).sort((one, other) => other.value - one.value);
  if (sorted.length <= most) return sorted;
  const others = sorted.slice(most - 1);
  const value = others.reduce((sum, part) => sum + part.value, 0);
  return [...sorted.slice(0, most - 1), { name: `${others.length} others`, value, style: 'class-none' }];
}

/** Returns an order of uses in which those of programs come first and free memory comes last. */
function usesInOrder(uses) {
  const last = ['unflagged', 'free'];
  return [...uses].sort((one, other) => last.indexOf(one.use) - last.indexOf(other.use) || other.bytes - one.bytes);
}

function machineBars(machine) {
  const whole = machine.present;
  const uses = usesInOrder(machine.uses).map((use) => partOf('use', use.use, use.bytes));
  const figures = [stack({ title: 'Use', note: 'of every frame, by the kernel’s flags', parts: uses, whole })];
  if (machine.payers) {
    const parts = machine.payers.map((payer) => {
      return { name: payerName(payer), value: payer.bytes, ...payerLook(payer), exact: payer.cgroup ? shown(payer.cgroup) : '' };
    });
    const more = DATA.more_payers;
    if (more?.bytes > 0) parts.push({ name: `${count(more.payers)} smaller`, value: more.bytes, style: 'class-none' });
    const isFree = (part) => (part.name === 'free' ? 1 : 0);
    const sorted = largest(parts).sort((one, other) => isFree(one) - isFree(other));
    figures.push(stack({ title: 'Payer', note: 'the cgroup that every frame is charged to', parts: sorted, whole }));
  }
  return figures;
}

/** Bar of processes by the memory that they are responsible for. PSS knows nothing of hugetlb, of
 * which several processes can map the same pages: it is one part. */
function processBar(machine) {
  const rows = (DATA.processes?.rows ?? []).filter((row) => (row.pss ?? null) !== null);
  if (rows.length < 2) return null;
  const parts = rows.map((row) => ({ name: nameOf(row), value: row.pss, exact: shortened(row.command ?? '', 200) }));
  const listed = largest(parts, 10);
  const free = listed.map((part) => classOf('owner', part.name)).filter((index) => index >= 0);
  const unused = classesOf('series').map((_, index) => index).filter((index) => !free.includes(index));
  for (const part of listed) {
    const index = classOf('owner', part.name);
    if (index >= 0) Object.assign(part, { style: styleOf('owner', index), letter: classesOf('owner')[index].letter });
    else part.style ??= styleOf('series', unused.shift() ?? -1);
  }
  const others = DATA.processes.others_bytes;
  if (others > 0) listed.push({ name: `${count(DATA.processes.others)} smaller`, value: others, style: 'class-none' });
  const hugetlb = machine?.uses.find((use) => use.use === 'hugetlb-mapped')?.bytes ?? 0;
  if (hugetlb > 0) listed.push(partOf('use', 'hugetlb-mapped', hugetlb));
  const note = `by PSS: a shared page counts in parts${hugetlb > 0 ? '; hugetlb of all processes, each page once' : ''}`;
  return stack({ title: 'Processes', note, parts: listed, whole: machine?.present ?? 0 });
}

/** Returns the name of a process, as the map has it: its comm and PID. */
function nameOf({ name, command, pid }) {
  return `${name ?? programOf(command)} (${pid})`;
}

/** Bars of the processes that were named: their memory by kind of mapping. */
function spaceBars() {
  const summaries = (DATA.spaces ?? []).map((space) => space.summary).filter(Boolean);
  const sum = ({ total }) => total.resident + (total.hugetlb ?? 0);
  const whole = Math.max(...summaries.map(sum), 0);
  return summaries.map((summary) => {
    const parts = summary.kinds.map((kind) => partOf('kind', kind.kind, kind.resident + (kind.hugetlb ?? 0)));
    const note = `${commandOf(summary)}${size(sum(summary))} in memory, ${size(summary.total.virtual)} mapped`
      + (summary.total.swap ? `, ${size(summary.total.swap)} in swap` : '');
    return stack({ title: `${programOf(summary.command)} (${summary.pid})`, note, parts: largest(parts), whole });
  });
}

/** Returns the command line where it says more than its program, and a separator. */
function commandOf({ command }) {
  return command?.includes(' ') ? `${shortened(command, 72)}; ` : '';
}

/** Returns the name of the program of a command line, without its directories. */
function programOf(command) {
  if (!command) return 'unknown';
  const words = command.split(' ');
  const program = words[0].includes('/') && !words[0].endsWith('/') ? words[0].split('/').pop() : words[0];
  return program.replace(/:$/, '') || command;
}

function usesTable(machine) {
  const total = machine.present;
  const rows = usesInOrder(machine.uses);
  return new Table({
    id: 'uses', kind: 'machine.uses', caption: 'Uses beside the kernel’s counters', rows, sort: '', isSmall: true,
    columns: [
      { path: 'use', isHeader: true, swatch: (row) => partOf('use', row.use, 0) },
      { path: 'bytes', title: 'memory', bar: () => total, style: (row) => styleOf('use', classOf('use', row.use)) },
      { path: 'counter', title: 'counter' },
      { path: 'counter_bytes', title: 'its value' },
      { path: 'difference', title: 'frames less counter', isComputed: true, isNumber: true,
        meaning: 'Frames of all uses that the counter counts, less the nearer of its values before and after the frames were read.',
        text: (row) => differenceText(row), exact: (row) => (differenceOf(row) === null ? '' : exact(differenceOf(row))) },
      { path: 'active' }, { path: 'inactive' }, { path: 'unevictable' }, { path: 'dirty' }, { path: 'writeback' },
    ],
  }).element;
}

/** Returns frames less the counter's value; 0 if they lie between its two values. */
function differenceOf({ counted, counter_bytes: before, counter_after: after }) {
  if (counted === null || before === null) return null;
  const low = Math.min(before, after ?? before), high = Math.max(before, after ?? before);
  return counted < low ? counted - low : counted > high ? counted - high : 0;
}

function differenceText(row) {
  const difference = differenceOf(row);
  if (difference === null) return '–';
  return difference === 0 ? '=' : (difference > 0 ? '+' : '') + size(difference);
}

function unflaggedBar(machine) {
  const uses = machine.uses.filter(({ use }) => ['unflagged', 'kernel'].includes(use));
  const whole = uses.reduce((sum, use) => sum + use.bytes, 0);
  if (!machine.unflagged?.length || whole === 0) return null;
  const rows = machine.unflagged.map((part) => ({ name: part.part, value: part.bytes, style: 'class-accent' }));
  const rest = machine.unexplained;
  rows.push({
    name: rest < 0 ? 'counted more than once' : 'unexplained', value: rest, style: 'class-none', meaning: meaningOf('machine', 'unexplained'),
  });
  const note = `${size(whole)} for which the kernel exports no flag, by counters`;
  return bars({ title: 'Kernel and unflagged', note, rows });
}

function payersTable(machine) {
  if (!machine.payers) return null;
  return new Table({
    id: 'payers', kind: 'machine.payers', caption: 'Payers', rows: machine.payers, sort: '-bytes', search: ['cgroup', 'unit', 'container', 'payer'],
    columns: [
      { path: 'payer', isHeader: true, title: 'payer', text: (row) => shortened(payerName(row), 60), isComputed: true, exact: (row) => shown(row.cgroup ?? row.payer), length: 60,
        swatch: payerLook },
      { path: 'bytes', title: 'memory', bar: () => machine.present, style: (row) => payerLook(row).style },
      { path: 'cgroup', length: 70, isCode: true }, { path: 'unit', length: 40 }, { path: 'container', length: 24 },
    ],
  }).element;
}

function nodesTable(machine) {
  return new Table({
    id: 'zones', kind: 'machine.zones', caption: 'Nodes and zones', rows: machine.zones ?? [], sort: '', isSmall: true,
    columns: [
      { path: 'node', isNumber: true }, { path: 'zone', isHeader: true }, { path: 'present' }, { path: 'managed' },
      { path: 'free', bar: (row) => row.present }, { path: 'per_cpu', title: 'in lists of CPUs' },
    ],
  }).element;
}

function nodeBars(machine) {
  if ((machine.nodes ?? []).length < 2) return null;
  const whole = Math.max(...machine.nodes.map((node) => node.present));
  return machine.nodes.map((node) => stack({
    title: `Node ${node.node}`, isQuiet: true, whole,
    parts: [
      { name: 'in use', value: node.managed - node.free, style: 'class-accent' },
      { name: 'not managed', value: node.present - node.managed, style: 'class-none' },
      { name: 'free', value: node.free, style: styleOf('use', classOf('use', 'free')) },
    ],
  }));
}

function buildMemory() {
  const { machine } = DATA;
  const spaces = spaceBars();
  if (!machine && spaces.length === 0) {
    const bar = processBar(null);
    return bar ? [bar] : null;
  }
  if (!machine) return [make('h3', {}, 'Processes of this report'), ...spaces];
  const sentence = make('p', { class: 'lead' }, make('b', { 'data-exact': exact(machine.present), tabindex: '0' }, size(machine.present)), ' of RAM are present',
    machine.mem_total ? [', ', make('b', { 'data-exact': exact(machine.mem_total), tabindex: '0' }, size(machine.mem_total)), ' are managed by the kernel (MemTotal)'] : '',
    '. Each bar of this part is all of it.');
  const parts = [sentence, ...machineBars(machine), processBar(machine)];
  if (spaces.length) parts.push(make('h3', {}, 'Processes of this report'), ...spaces);
  parts.push(make('h3', {}, 'Exact amounts'), usesTable(machine), unflaggedBar(machine), payersTable(machine), nodeBars(machine), nodesTable(machine));
  return parts.flat().filter(Boolean);
}
