// Owns elements: making them, moving the focus in groups of them, the readout of exact values,
// copying and saving. Text only ever becomes text, never markup.

/** Makes an element. Attributes that are null or false are left out; functions are listeners. */
function make(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Makes an element of SVG. */
function draw(tag, attributes = {}, ...children) {
  return filled(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === 'function') element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

let lastId = 0;

/** Returns an id that no element has. */
function newId(prefix) {
  lastId += 1;
  return `${prefix}-${lastId}`;
}

/**
 * Makes a group of elements one stop of the Tab key; arrows, Home and End move inside it. The
 * elements may change at any time. Columns is 1 for a line.
 */
function roving(group, selector, columnsOf = () => 1) {
  const items = () => [...group.querySelectorAll(selector)];
  const choose = (item) => {
    group.querySelectorAll(`${selector}[tabindex="0"]`).forEach((other) => other.setAttribute('tabindex', '-1'));
    item.setAttribute('tabindex', '0');
  };
  group.addEventListener('focusin', (event) => {
    const item = event.target.closest(selector);
    if (item && group.contains(item)) choose(item);
  });
  group.addEventListener('keydown', (event) => {
    const item = event.target.closest(selector);
    if (!item || event.target !== item || event.altKey || event.ctrlKey || event.metaKey) return;
    const all = items(), columns = columnsOf(), index = all.indexOf(item);
    const steps = {
      ArrowRight: index + 1, ArrowLeft: index - 1, ArrowDown: index + columns, ArrowUp: index - columns,
      Home: 0, End: all.length - 1,
    };
    const next = all[steps[event.key]];
    if (!(event.key in steps)) return;
    event.preventDefault();
    next?.focus();
  });
  const first = group.querySelector(`${selector}[tabindex="0"]`) ?? group.querySelector(selector);
  first?.setAttribute('tabindex', '0');
}

/** Readout of the exact value of the element under the pointer or with the focus. */
const TIP = {
  element: document.getElementById('tip'),
  owner: null,

  show(owner) {
    if (this.owner === owner) return;
    this.hide();
    this.owner = owner;
    this.element.textContent = owner.dataset.exact;
    this.element.hidden = false;
    const box = owner.getBoundingClientRect(), own = this.element.getBoundingClientRect();
    const left = Math.max(4, Math.min(box.left, document.documentElement.clientWidth - own.width - 4));
    const above = box.top - own.height - 6;
    this.element.style.left = `${left}px`;
    this.element.style.top = `${above >= 4 ? above : Math.min(box.bottom + 6, innerHeight - own.height - 4)}px`;
    owner.setAttribute('aria-describedby', 'tip');
  },

  hide() {
    this.owner?.removeAttribute('aria-describedby');
    this.owner = null;
    this.element.hidden = true;
  },

  watch() {
    const found = (event) => {
      const owner = event.target.closest?.('[data-exact]');
      if (owner) this.show(owner);
      else if (event.type === 'pointerover' && event.target !== this.element) this.hide();
    };
    document.addEventListener('pointerover', found);
    document.addEventListener('focusin', found);
    document.addEventListener('focusout', () => this.hide());
    document.addEventListener('scroll', () => this.hide(), { passive: true, capture: true });
    document.addEventListener('keydown', (event) => event.key === 'Escape' && this.hide());
  },
};

/** Reads text out to a screen reader. */
function announce(text) {
  document.getElementById('announced').textContent = text;
}

/** Makes a button that copies text, and says so. */
function copyButton(text, label) {
  const button = make('button', { type: 'button', class: 'small', 'aria-label': label }, 'Copy');
  button.addEventListener('click', async () => {
    const isCopied = await copied(typeof text === 'function' ? text() : text);
    button.textContent = isCopied ? 'Copied' : 'Select it and press Ctrl+C';
    announce(button.textContent);
    setTimeout(() => { button.textContent = 'Copy'; }, 1500);
  });
  return button;
}

/** Copies text. Browsers refuse their newer interface to some files; the older one is tried then. */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = make('textarea', { class: 'unseen', 'aria-hidden': 'true', tabindex: '-1' });
    area.value = text;
    const focused = document.activeElement;
    document.body.append(area);
    area.select();
    const isCopied = document.execCommand('copy');
    area.remove();
    focused?.focus();
    return isCopied;
  }
}

/** Saves text as a file. */
function save(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: 'text/csv;charset=utf-8' }));
  const link = make('a', { href: address, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** Makes buttons of which one is pressed. Options are pairs of value and text. */
function choice(label, options, chosen, changed) {
  const buttons = options.map(([value, text]) => make('button', {
    type: 'button', 'data-value': value, 'aria-pressed': String(value === chosen),
    click: () => {
      group.choose(value);
      changed(value);
    },
  }, text));
  const group = make('div', { class: 'choice', role: 'group', 'aria-label': label }, buttons);
  group.choose = (value) => buttons.forEach((button) => {
    button.setAttribute('aria-pressed', String(button.dataset.value === value));
  });
  return group;
}
