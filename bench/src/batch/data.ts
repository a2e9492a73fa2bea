/**
 * The input of the batch benchmarks: made once from a seed, kept in the cache folder of node_modules, the same on every machine.
 */
import { closeSync, existsSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { SeededRandom, Zipf } from './random.ts';

export interface DataSet {
  readonly name: string;
  /** About so many bytes at scale 1. */
  readonly bytes: number;
  readonly lines: (random: SeededRandom, lineCount: number) => Generator<string>;
  readonly lineCount: number;
}

const AGENTS = [
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0',
  'curl/8.5.0',
];

function* accessLog(random: SeededRandom, lineCount: number): Generator<string> {
  const paths = Array.from(
    { length: 20_000 },
    (_, rank) => `/${word(rank)}/${word(rank * 7 + 3)}-${rank}.html`,
  );
  const popular = new Zipf(random, paths.length, 1.05);
  for (let line = 0; line < lineCount; line++) {
    const address = `${1 + random.below(223)}.${random.below(256)}.${random.below(256)}.${random.below(256)}`;
    const second = String(line % 60).padStart(2, '0');
    const status = random.below(20) === 0 ? 404 : 200;
    const path = paths[popular.next()] ?? '/';
    const agent = AGENTS[random.below(AGENTS.length)] ?? '-';
    yield `${address} - - [17/May/2015:10:05:${second} +0000] "GET ${path} HTTP/1.1" ${status} ${random.below(100_000)} "https://www.example.com/articles/${word(random.below(5_000))}" "${agent}"\n`;
  }
}

const VOCABULARY_WORDS = 350_000;

function* text(random: SeededRandom, lineCount: number): Generator<string> {
  const frequent = new Zipf(random, VOCABULARY_WORDS, 1);
  const words = Array.from({ length: VOCABULARY_WORDS }, (_, rank) => word(rank));
  for (let line = 0; line < lineCount; line++) {
    let sentence = '';
    for (let count = 0; count < 10; count++)
      sentence += `${words[frequent.next()] ?? ''}${count === 5 ? ', ' : ' '}`;
    yield `${sentence}.\n`;
  }
}

/** 100-byte lines: a key of 10 printable bytes, then what follows from the number of the line. After the Sort Benchmark. */
function* sortRecords(random: SeededRandom, lineCount: number): Generator<string> {
  const filler =
    'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefghijklmnopqrstuvwxyz';
  for (let line = 0; line < lineCount; line++) {
    let key = '';
    for (let at = 0; at < 10; at++) key += String.fromCharCode(32 + random.below(95));
    yield `${key} ${String(line).padStart(10, '0')} ${filler.slice(0, 77)}\n`;
  }
}

const USERS = 1_000_000;

function* events(random: SeededRandom, lineCount: number): Generator<string> {
  yield 'user,amount,page\n';
  for (let line = 0; line < lineCount; line++) {
    yield `u${random.below(USERS * 1.25)},${random.below(10_000)},${word(random.below(1_000))}\n`;
  }
}

function* users(random: SeededRandom, lineCount: number): Generator<string> {
  yield 'user,country,plan\n';
  const plans = ['free', 'team', 'company'];
  for (let line = 0; line < lineCount; line++) {
    yield `u${line},${word(random.below(200))},${plans[random.below(3)] ?? ''}\n`;
  }
}

/** The only word of that rank: short for low ranks, in letters alone. */
function word(rank: number): string {
  const syllables = [
    'ba',
    'ce',
    'di',
    'fo',
    'gu',
    'ha',
    'je',
    'ki',
    'lo',
    'mu',
    'na',
    'pe',
    'ri',
    'so',
    'tu',
    'we',
  ];
  let text = '';
  for (let rest = rank + 1; rest > 0; rest = Math.floor(rest / 16))
    text += syllables[rest % 16] ?? '';
  return text;
}

export const DATA = {
  accessLog: { name: 'access.log', bytes: 700e6, lines: accessLog, lineCount: 3_490_000 },
  text: { name: 'text.txt', bytes: 270e6, lines: text, lineCount: 4_000_000 },
  sortRecords: { name: 'records.txt', bytes: 2 ** 30, lines: sortRecords, lineCount: 10_737_418 },
  events: { name: 'events.csv', bytes: 200e6, lines: events, lineCount: 10_000_000 },
  users: { name: 'users.csv', bytes: 20e6, lines: users, lineCount: USERS },
} as const satisfies Record<string, DataSet>;

export type DataName = keyof typeof DATA;

const BUFFER_BYTES = 4 * 1024 * 1024;

/**
 * The path of a data set, made when it is not there.
 * @param scale 1 for the size of the catalogue; 0.01 for a hundredth of it
 */
export function provideData(directory: string, name: DataName, scale: number): string {
  const set: DataSet = DATA[name];
  const lineCount = Math.max(100, Math.round(set.lineCount * scale));
  const path = join(directory, `${lineCount}-${set.name}`);
  if (existsSync(path)) return path;
  mkdirSync(directory, { recursive: true });
  process.stderr.write(`making ${path}\n`);
  const file = openSync(`${path}.new`, 'w');
  const buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  let end = 0;
  for (const line of set.lines(new SeededRandom(20_150_517), lineCount)) {
    if (end + line.length > BUFFER_BYTES) {
      writeSync(file, buffer, 0, end);
      end = 0;
    }
    end += buffer.write(line, end, 'latin1');
  }
  writeSync(file, buffer, 0, end);
  closeSync(file);
  renameSync(`${path}.new`, path);
  return path;
}
