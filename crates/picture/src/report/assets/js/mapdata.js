// Owns what the physical map contains: places and addresses, cells of each level, exact runs.
// Draws nothing.

const NO_CLASS = 255;

/** Physical map of the report; a place is a frame's number in the line of all frames. */
class MapData {
  constructor(map) {
    this.map = map;
    this.page = map.page_size;
    this.level = map.level;
    this.shift = map.shift;
    this.pieces = map.pieces.map(([pfn, frames, place]) => ({ pfn, frames, place }));
    const last = this.pieces.at(-1);
    this.places = last ? last.place + last.frames : 0;
    this.layers = new Map(map.layers.map((layer) => [layer.name, layer]));
    this.cells = new Map();
    this.runs = null;
    /** Finest level at which cells are whole frames. */
    this.deepest = map.runs ? this.level + Math.floor(this.shift / 2) : this.level;
  }

  /** Returns the number of places of a cell of a level. */
  placesOf(level) {
    return 2 ** this.shift * 4 ** (this.level - level);
  }

  /** Returns cells of a layer: classes and purities of all levels. */
  load(name) {
    if (!this.cells.has(name)) {
      const unpack = async () => {
        const bytes = await inflate(this.layers.get(name).cells);
        const half = bytes.length / 2;
        return { classes: bytes.subarray(0, half), purities: bytes.subarray(half) };
      };
      this.cells.set(name, unpack());
    }
    return this.cells.get(name);
  }

  /** Returns exact runs; null if the report has none. */
  async loadRuns() {
    if (!this.map.runs) return null;
    this.runs ??= await inflate(this.map.runs.data).then(decodeRuns);
    return this.runs;
  }

  /** Returns whether cells below the finest level of a layer can be computed from runs. */
  hasRuns(name) {
    return this.map.runs?.layer === name;
  }

  /** Returns the finest level of a layer. */
  deepestOf(name) {
    return this.hasRuns(name) ? this.deepest : this.level;
  }

  /** Returns ranges of physical addresses of a range of places, ends excluded. */
  addresses(from, to) {
    const ranges = [];
    for (const { pfn, frames, place } of this.pieces) {
      const start = Math.max(from, place), end = Math.min(to, place + frames);
      if (start >= end) continue;
      const first = (pfn + start - place) * this.page, after = (pfn + end - place) * this.page;
      if (ranges.at(-1)?.end === first) ranges.at(-1).end = after;
      else ranges.push({ start: first, end: after });
    }
    return ranges;
  }

  /** Returns class and purity of a cell of at most the finest level. */
  cell(cells, level, place) {
    const index = (4 ** level - 1) / 3 + place;
    return { index: cells.classes[index] ?? NO_CLASS, purity: cells.purities[index] ?? 0 };
  }

  /** Returns classes and purities of consecutive cells of a level. */
  block(name, cells, level, first, number) {
    if (level <= this.level) {
      const start = (4 ** level - 1) / 3 + first;
      return { classes: cells.classes.subarray(start, start + number), purities: cells.purities.subarray(start, start + number) };
    }
    const classes = new Uint8Array(number).fill(NO_CLASS), purities = new Uint8Array(number);
    const each = this.placesOf(level);
    for (let cell = 0; cell < number; cell += 1) {
      const from = (first + cell) * each;
      const counted = this.tally(from, from + each);
      const all = counted.reduce((sum, [, frames]) => sum + frames, 0);
      if (all === 0) continue;
      classes[cell] = counted[0][0];
      purities[cell] = Math.floor((counted[0][1] * 255) / all);
    }
    return { classes, purities };
  }

  /** Returns exact runs in a range of places: [from, to, class]. At most `most` of them. */
  runsIn(from, to, most = Infinity) {
    if (!this.runs || this.runs instanceof Promise) return null;
    const { starts, ends, classes } = this.runs;
    let low = 0, high = ends.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ends[middle] <= from) low = middle + 1;
      else high = middle;
    }
    const found = [];
    for (let index = low; index < starts.length && starts[index] < to && found.length < most; index += 1) {
      found.push([Math.max(from, starts[index]), Math.min(to, ends[index]), classes[index]]);
    }
    return found;
  }

  /** Returns the number of frames of each class in a range of places, the most frequent first. */
  tally(from, to) {
    const frames = new Map();
    for (const [start, end, index] of this.runsIn(from, to) ?? []) frames.set(index, (frames.get(index) ?? 0) + end - start);
    return [...frames].sort((one, other) => other[1] - one[1] || one[0] - other[0]);
  }

  /** Returns the command that lists what is in a range of addresses. */
  command({ start, end }) {
    const digits = (address) => address.toString(16);
    return (this.map.runs_command ?? '').replaceAll('{start}', digits(start)).replaceAll('{end}', digits(end));
  }
}

/** Decodes runs: numbers of LEB128, for each run the gap before it, its length and its class. */
function decodeRuns(bytes) {
  const starts = [], ends = [], classes = [];
  let at = 0, place = 0;
  const next = () => {
    let number = 0, factor = 1, byte;
    do {
      byte = bytes[at];
      at += 1;
      number += (byte & 127) * factor;
      factor *= 128;
    } while (byte & 128);
    return number;
  };
  while (at < bytes.length) {
    const start = place + next();
    place = start + next();
    starts.push(start);
    ends.push(place);
    classes.push(next());
  }
  return { starts, ends, classes };
}
