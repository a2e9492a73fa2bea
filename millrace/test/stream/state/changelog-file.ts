/**
 * The changelog of `state-child.ts`: one line for each record, and `commit` behind those of a transaction; in small files, so that a limit for
 * the size of files meets the state.
 */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';

const FILE_RECORDS = 200;
const COMMIT = 'commit\n';

export interface ChangelogRecord {
  readonly key: Buffer;
  readonly value: Buffer | null;
}

/** @param records that were there before */
export function appendChangelog(path: string, records: number, text: string): void {
  appendFileSync(`${path}.${Math.floor(records / FILE_RECORDS)}`, text);
}

export function readChangelog(path: string): string {
  let text = '';
  // A transaction has fewer records than a file, or a little more.
  for (let index = 0; existsSync(`${path}.${index}`) || existsSync(`${path}.${index + 1}`); index++)
    if (existsSync(`${path}.${index}`)) text += readFileSync(`${path}.${index}`, 'utf8');
  return text;
}

/** Takes away what was not committed. */
export function trimChangelog(path: string): void {
  for (
    let index = 0;
    existsSync(`${path}.${index}`) || existsSync(`${path}.${index + 1}`);
    index++
  ) {
    const file = `${path}.${index}`;
    if (!existsSync(file)) continue;
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, text.slice(0, text.lastIndexOf(COMMIT) + COMMIT.length));
  }
}

export function lineOf(key: Uint8Array, value: Uint8Array | null): string {
  return `${hex(key)} ${value === null ? '-' : hex(value)}\n`;
}

/** What a kill has left without its `commit` was never committed. */
export function committedRecords(text: string): ChangelogRecord[] {
  const records: ChangelogRecord[] = [];
  for (const transaction of transactionsOf(text)) records.push(...transaction);
  return records;
}

export function transactionsOf(text: string): ChangelogRecord[][] {
  const parts = text.split(COMMIT).slice(0, -1);
  return parts.map((part) => part.split('\n').filter(Boolean).map(recordOf));
}

function recordOf(line: string): ChangelogRecord {
  const [key = '', value = ''] = line.split(' ');
  return { key: Buffer.from(key, 'hex'), value: value === '-' ? null : Buffer.from(value, 'hex') };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
