// Owns the data of the report: parsing, declarations of fields, colours of classes, packed
// bytes. Knows no section.

const DATA = JSON.parse(document.getElementById('data').textContent);

/** Returns the value at a path of names, such as total.resident; null if there is none. */
function at(record, path) {
  let value = record;
  for (const name of path.split('.')) value = value?.[name];
  return value ?? null;
}

/** Returns the declaration of a field of a record kind. */
function fieldOf(kind, path) {
  const names = path.split('.');
  const last = names.pop();
  const fields = DATA.fields?.[[kind, ...names].join('.')] ?? [];
  return fields.find((field) => field.name === last) ?? { name: last, title: '', meaning: '', unit: '', null: '' };
}

/** Returns the meaning of a field, with that of null. */
function meaningOf(kind, path) {
  const { meaning, null: nothing } = fieldOf(kind, path);
  return [meaning, nothing && !meaning.includes('null ') ? `Unknown ${nothing}.` : ''].filter(Boolean).join(' ');
}

/** Returns paths of all single values of the records of a kind, groups opened. */
function pathsOf(kind, rows, prefix = '') {
  const names = new Set((DATA.fields?.[kind] ?? []).map((field) => field.name));
  for (const row of rows) Object.keys(row ?? {}).forEach((name) => names.add(name));
  return [...names].flatMap((name) => {
    const values = rows.map((row) => row?.[name]);
    const isGroup = values.some((value) => value && typeof value === 'object' && !Array.isArray(value));
    if (!isGroup) return values.some((value) => value !== undefined) ? [prefix + name] : [];
    return pathsOf(`${kind}.${name}`, values.filter(Boolean), `${prefix}${name}.`);
  });
}

/** Returns the classes of a key such as "use". */
function classesOf(key) {
  return DATA.classes?.[key] ?? [];
}

/** Returns the class number of a word; -1 if no class has it. */
function classOf(key, word) {
  return classesOf(key).findIndex((one) => one.word === word);
}

/** Returns the name of the style of a class; that of no class is grey. */
function styleOf(key, index) {
  return index >= 0 ? `class-${key}-${index}` : 'class-none';
}

/** Returns red, green and blue of #rrggbb. */
function rgb(color) {
  const number = /^#[0-9a-f]{6}$/i.test(color) ? parseInt(color.slice(1), 16) : 0x888888;
  return [number >> 16, (number >> 8) & 255, number & 255];
}

/** Returns black or white, which is easier to read on a colour. */
function inkOn(color) {
  const linear = rgb(color).map((part) => {
    const value = part / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  const light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  return (light + 0.05) / 0.05 > 1.05 / (light + 0.05) ? '#000000' : '#ffffff';
}

/** Adds a rule for the colours of each class to the style sheet of the report. */
function declareClasses() {
  const sheet = document.styleSheets[0];
  const plain = (color) => '#' + rgb(color).map((part) => part.toString(16).padStart(2, '0')).join('');
  for (const [key, classes] of Object.entries(DATA.classes ?? {})) {
    if (!/^[a-z]+$/.test(key)) continue;
    classes.forEach(({ light, dark }, index) => {
      const pair = (of) => `light-dark(${of(plain(light))}, ${of(plain(dark))})`;
      const rule = `.class-${key}-${index} { --color: ${pair(String)}; --ink: ${pair(inkOn)}; }`;
      sheet.insertRule(rule, sheet.cssRules.length);
    });
  }
}

/** Returns the bytes of base64. */
function unbase64(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < binary.length; index += 1) bytes[index] = binary.charCodeAt(index);
  return bytes;
}

/** Returns the bytes of base64 of raw deflate. */
async function inflate(text) {
  const stream = new Blob([unbase64(text)]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Returns sentences about what could not be seen: of a section, or all of them. */
function unseen(section = null) {
  return (DATA.header?.unseen ?? [])
    .map((one) => (typeof one === 'string' ? { section: null, text: one } : one))
    .filter((one) => section === null || one.section === section)
    .map((one) => one.text);
}

/** Returns a short name of a payer's record: of its unit, container or cgroup. */
function payerName(payer) {
  const cgroup = payer.cgroup?.split('/').filter(Boolean).pop() ?? payer.cgroup;
  return payer.unit ?? payer.container ?? cgroup ?? (payer.payer === 'cgroup' ? 'unknown cgroup' : payer.payer);
}

/** Returns style and letter of a payer's record: of its class on the map, or of the use. */
function payerLook(payer) {
  const isUse = payer.payer === 'free' || payer.payer === 'kernel';
  const names = isUse ? [payer.payer] : [payer.unit, payer.container, payer.cgroup];
  const key = isUse ? 'use' : 'payer';
  const found = names.filter((name) => typeof name === 'string').map((name) => classOf(key, name)).filter((index) => index >= 0);
  const index = found[0] ?? -1;
  return { style: styleOf(key, index), letter: classesOf(key)[index]?.letter };
}
