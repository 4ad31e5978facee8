// Owns a second reading of the map, which shares no code with the report: the curve from its
// definition, cells and runs by Node's zlib.

import { inflateRawSync } from 'node:zlib';

/** Returns column and row of a place on the Hilbert curve, built from the last digit up. */
export function cellOf(level, place) {
  let [x, y] = [0n, 0n];
  for (let step = 0n; step < BigInt(level); step += 1n) {
    const side = 1n << step, digit = (BigInt(place) >> (2n * step)) & 3n;
    const right = digit >> 1n, down = (digit ^ (digit >> 1n)) & 1n;
    if (down === 0n) {
      if (right === 1n) [x, y] = [side - 1n - x, side - 1n - y];
      [x, y] = [y, x];
    }
    [x, y] = [x + side * right, y + side * down];
  }
  return [Number(x), Number(y)];
}

/** Returns class and purity of a cell of a layer. */
export function cellOfLayer(map, name, level, place) {
  const layer = map.layers.find((one) => one.name === name);
  layer.bytes ??= inflateRawSync(Buffer.from(layer.cells, 'base64'));
  let index = place;
  for (let above = 0; above < level; above += 1) index += 4 ** above;
  return { index: layer.bytes[index], purity: layer.bytes[layer.bytes.length / 2 + index] };
}

/** Returns ranges of addresses of a cell: [first, behind the last]. */
export function rangesOf(map, level, place) {
  const each = 2 ** map.shift * 4 ** (map.level - level);
  const found = [];
  for (const [pfn, frames, first] of map.pieces) {
    const from = Math.max(place * each, first), to = Math.min((place + 1) * each, first + frames);
    if (from < to) found.push([(pfn + from - first) * map.page_size, (pfn + to - first) * map.page_size]);
  }
  return found;
}

/** Returns exact runs of the layer of uses: [place, places, class]. */
export function runsOf(map) {
  const bytes = inflateRawSync(Buffer.from(map.runs.data, 'base64'));
  const numbers = [];
  let number = 0n, shift = 0n;
  for (const byte of bytes) {
    number |= BigInt(byte & 127) << shift;
    shift += 7n;
    if (byte & 128) continue;
    numbers.push(Number(number));
    [number, shift] = [0n, 0n];
  }
  const runs = [];
  let at = 0;
  for (let index = 0; index < numbers.length; index += 3) {
    const [gap, places, which] = numbers.slice(index, index + 3);
    runs.push([at + gap, places, which]);
    at += gap + places;
  }
  return runs;
}
