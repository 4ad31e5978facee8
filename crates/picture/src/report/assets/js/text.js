// Owns text for people: names, sizes, numbers. Knows neither the document nor the data.

/** Characters that control a terminal, have no width, or turn the direction of text. */
const HIDDEN = new RegExp('[\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u180e\\u200b-\\u200f'
  + '\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb\\u{e0000}-\\u{e007f}\\\\]', 'gu');
const ESCAPES = { '\\': '\\\\', '\n': '\\n', '\t': '\\t', '\r': '\\r' };
/** Halves of pairs that are alone. */
const HALVES = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** Returns a name as tables of the command print it: every character is visible. */
function shown(name) {
  const escape = (character) => {
    const code = character.codePointAt(0);
    if (character in ESCAPES) return ESCAPES[character];
    const digits = code.toString(16);
    return code < 0x80 ? '\\x' + digits.padStart(2, '0') : `\\u{${digits}}`;
  };
  return String(name).replace(HIDDEN, escape).replace(HALVES, '\ufffd');
}

/** Returns a name of at most `length` characters; its middle is left out. */
function shortened(name, length) {
  const characters = [...shown(name)];
  if (characters.length <= length) return characters.join('');
  const tail = Math.ceil((length - 1) * 0.6);
  return characters.slice(0, length - 1 - tail).join('') + '…' + characters.slice(-tail).join('');
}

const UNITS = ['', 'K', 'M', 'G', 'T', 'P', 'E'];

/** Returns a size as tables of the command print it: rounded down, at most five characters. */
function size(bytes) {
  if (bytes === null || bytes === undefined) return '–';
  if (bytes < 0) return '−' + size(-bytes);
  if (bytes === 0) return '0';
  let unit = 0, whole = bytes;
  while (whole >= 1024 && unit < UNITS.length - 1) {
    whole /= 1024;
    unit += 1;
  }
  const letter = unit === 0 ? 'B' : UNITS[unit];
  const down = (digits) => (Math.floor(whole * 10 ** digits) / 10 ** digits).toFixed(digits);
  if (Number.isInteger(whole)) return whole + letter;
  return down(whole < 10 ? 2 : whole < 100 ? 1 : 0) + letter;
}

/** Returns the number of bytes of a size such as 4K, 1.5G or 4096; NaN if it is none. */
function bytesOf(text) {
  const parts = /^(-?\d+(?:\.\d+)?)\s*([BKMGTPE]?)$/i.exec(text.trim());
  if (!parts) return NaN;
  return Number(parts[1]) * 1024 ** Math.max(0, UNITS.indexOf(parts[2].toUpperCase().replace('B', '')));
}

const GROUPED = new Intl.NumberFormat('en', { maximumFractionDigits: 3 });

/** Returns a number with its digits in groups. */
function count(number) {
  return number === null || number === undefined ? '–' : GROUPED.format(number).replaceAll(',', '\u202f');
}

/** Returns the exact number of bytes, with its unit. */
function exact(bytes) {
  return bytes === null || bytes === undefined ? 'unknown' : `${count(bytes)} bytes`;
}

/** Returns a part of a whole in percent, rounded down as the command does. */
function percent(part, whole) {
  if (!(whole > 0) || part === null || part === undefined) return '–';
  const value = (100 * part) / whole;
  if (value === 0) return '0\u2009%';
  return (value > 0 && value < 1 ? '<1' : Math.trunc(value)) + '\u2009%';
}

/** Returns an address in hexadecimal. */
function hex(address) {
  return '0x' + address.toString(16);
}

/** Returns "1 process", "2 processes". */
function plural(number, one, several = one + 's') {
  return `${count(number)} ${number === 1 ? one : several}`;
}

/** Returns a time of RFC 3339 without parts of seconds: 2026-11-25 18:04:05 UTC. */
function moment(time) {
  return shown(time).replace(/^([\d-]+)T([\d:]+)(?:\.\d+)?Z$/, '$1 $2 UTC');
}
