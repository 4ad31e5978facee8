// Owns the Hilbert curve: places on a line and cells of a square. Knows no memory.
//
// Digits of a place in base 4 choose quadrants from the largest to the smallest. Each quadrant
// turns those inside it: the curve of a quadrant is swapped (x for y), flipped (turned by half
// a circle), or neither. A cell of a level contains its four cells of the next level.

/** Column and row of a quadrant, before it is turned. */
const QUADRANTS = [[0, 0], [0, 1], [1, 1], [1, 0]];
/** Quadrant at [column][row]. */
const QUADRANT_AT = [[0, 1], [3, 2]];
/** Bit 0: quadrants inside are swapped; bit 1: they are flipped. */
const TURNS = [1, 0, 0, 3];

/** Returns column and row of quadrant `digit` where the curve is turned by `turn`. */
function quadrant(digit, turn) {
  let [x, y] = QUADRANTS[digit];
  if (turn & 2) [x, y] = [1 - x, 1 - y];
  return turn & 1 ? [y, x] : [x, y];
}

/** Returns column, row and turn of a cell of 4^level cells. */
function cellAt(level, place) {
  let x = 0, y = 0, turn = 0;
  for (let step = level - 1; step >= 0; step -= 1) {
    const digit = Math.floor(place / 4 ** step) % 4;
    const [right, down] = quadrant(digit, turn);
    x = 2 * x + right;
    y = 2 * y + down;
    turn ^= TURNS[digit];
  }
  return { x, y, turn };
}

/** Returns the place of the cell in a column and row of 4^level cells. */
function placeAt(level, x, y) {
  let place = 0, turn = 0;
  for (let step = level - 1; step >= 0; step -= 1) {
    let right = Math.floor(x / 2 ** step) % 2, down = Math.floor(y / 2 ** step) % 2;
    if (turn & 1) [right, down] = [down, right];
    if (turn & 2) [right, down] = [1 - right, 1 - down];
    const digit = QUADRANT_AT[right][down];
    place = 4 * place + digit;
    turn ^= TURNS[digit];
  }
  return place;
}

const INSIDE = new Map();

/**
 * Returns for each of 4^levels places inside a cell that is turned by `turn` the index of its
 * pixel in a square of 2^levels x 2^levels.
 */
function pixelsInside(levels, turn) {
  const key = 4 * levels + turn;
  if (!INSIDE.has(key)) {
    const pixels = new Uint32Array(4 ** levels);
    const side = 2 ** levels;
    const fill = (level, first, x, y, turned) => {
      if (level === 0) {
        pixels[first] = y * side + x;
        return;
      }
      const half = 2 ** (level - 1), quarter = 4 ** (level - 1);
      for (let digit = 0; digit < 4; digit += 1) {
        const [right, down] = quadrant(digit, turned);
        fill(level - 1, first + digit * quarter, x + right * half, y + down * half, turned ^ TURNS[digit]);
      }
    };
    fill(levels, 0, 0, 0, turn);
    INSIDE.set(key, pixels);
  }
  return INSIDE.get(key);
}
