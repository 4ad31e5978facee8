// Owns the state of the view, which is in the fragment of the address: section, layer, zoom,
// sorting, filters, searches and theme. Knows no section.

/** Time after which changes are written to the address: browsers paint late while they do that. */
const WRITE_AFTER = 120;

const STATE = {
  values: new Map(),
  listeners: [],
  pending: null,

  /** Returns a value of the view; null if it has its default. */
  get(name) {
    return this.values.get(name) ?? null;
  },

  /**
   * Changes values; null is the default. A step is one that the browser's Back button undoes.
   */
  set(changes, isStep = false) {
    for (const [name, value] of Object.entries(changes)) {
      if (value === null || value === '') this.values.delete(name);
      else this.values.set(name, String(value));
    }
    if (isStep && this.pending?.isStep) this.write();
    clearTimeout(this.pending?.timer);
    const timer = setTimeout(() => this.write(), WRITE_AFTER);
    this.pending = { timer, isStep: isStep || Boolean(this.pending?.isStep) };
  },

  /** Writes what was changed to the address. */
  write() {
    if (!this.pending) return;
    const { timer, isStep } = this.pending;
    clearTimeout(timer);
    this.pending = null;
    const fragment = '#' + new URLSearchParams([...this.values]);
    if (fragment === location.hash || (fragment === '#' && location.hash === '')) return;
    history[isStep ? 'pushState' : 'replaceState'](null, '', fragment);
  },

  /** Reads the fragment. */
  read() {
    clearTimeout(this.pending?.timer);
    this.pending = null;
    this.values = new Map(new URLSearchParams(location.hash.slice(1)));
  },

  /** Calls a function after the fragment was changed from outside: a link, Back, an edit. */
  onChange(listener) {
    this.listeners.push(listener);
  },

  /** Reads the fragment whenever somebody else changes it. */
  watch() {
    const changed = () => {
      this.read();
      this.listeners.forEach((listener) => listener());
    };
    addEventListener('popstate', changed);
    addEventListener('hashchange', changed);
    addEventListener('pagehide', () => this.write());
  },
};

const THEMES = ['system', 'light', 'dark'];
const PREFERS_DARK = matchMedia('(prefers-color-scheme: dark)');

const THEME = {
  isPrinting: false,
  listeners: [],

  /** Returns the chosen theme: system, light or dark. */
  get() {
    const chosen = STATE.get('theme');
    return THEMES.includes(chosen) ? chosen : 'system';
  },

  /** Returns whether pictures have a dark background. Paper never has. */
  isDark() {
    if (this.isPrinting) return false;
    return this.get() === 'system' ? PREFERS_DARK.matches : this.get() === 'dark';
  },

  /** Shows the chosen theme. */
  apply() {
    const root = document.documentElement;
    if (this.get() === 'system') delete root.dataset.theme;
    else root.dataset.theme = this.get();
    this.listeners.forEach((listener) => listener());
  },

  /** Calls a function when colours have changed. */
  onChange(listener) {
    this.listeners.push(listener);
  },

  /** Follows the system and the printer. */
  watch() {
    PREFERS_DARK.addEventListener('change', () => this.apply());
    const printing = (isPrinting) => () => {
      this.isPrinting = isPrinting;
      this.apply();
    };
    addEventListener('beforeprint', printing(true));
    addEventListener('afterprint', printing(false));
  },
};
