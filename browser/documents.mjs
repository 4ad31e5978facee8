// Makes the reports that the tests read, with the built command: all processes, the machine,
// two processes of which one has hostile names, and a snapshot against an earlier one.
//
// node documents.mjs COMMAND FOLDER

import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const [, , command, folder] = process.argv;

/** Name of a program, and so of a process and of a mapped file: markup, a turn of the text, a line. */
const HOSTILE = '<script>alert(1)<!--\u202e"\n\t&amp;';

function introspect(...words) {
  process.stderr.write(`+ introspect ${words.map((word) => JSON.stringify(word)).join(' ')}\n`);
  execFileSync(command, words, { stdio: ['ignore', 'ignore', 'inherit'] });
}

function report(name, ...words) {
  introspect('report', ...words, '-o', join(folder, `${name}.html`));
}

rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
const programs = mkdtempSync(join(tmpdir(), 'report-'));
const program = join(programs, HOSTILE);
copyFileSync('/bin/sleep', program);
chmodSync(program, 0o755);
const hostile = spawn(program, ['600'], { stdio: 'ignore' });
// Memory that both snapshots have, and memory that only the second one has.
const kept = Buffer.alloc(64 << 20, 1);
try {
  report('all', '--all');
  report('machine', '--machine');
  report('process', String(process.pid), String(hostile.pid));
  const lake = join(folder, 'lake');
  const stored = [String(process.pid), String(hostile.pid), '--frames', '-o', lake];
  introspect('snapshot', ...stored);
  const grown = Buffer.alloc(96 << 20, 2);
  introspect('snapshot', ...stored);
  const list = execFileSync(command, ['snapshots', lake, '--format', 'json'], { encoding: 'utf8' });
  const ids = JSON.parse(list).sort((one, other) => (one.taken_at < other.taken_at ? -1 : 1)).map((one) => one.snapshot_id);
  report('snapshot', '--from', `${lake}@${ids[1]}`, '--against', `${lake}@${ids[0]}`);
  process.stdout.write(`${kept.length + grown.length} bytes were held\n`);
} finally {
  hostile.kill();
  rmSync(programs, { recursive: true });
}
