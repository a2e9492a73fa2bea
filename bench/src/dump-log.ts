/**
 * Kafka's own `DumpLogSegments` over the segments of a directory, as a judge of whether they are in Kafka's format:
 * every record of every batch is read, every index passes the check that a Kafka broker makes when it starts, and
 * every index entry is looked up in its log. The broker that wrote them must not be running.
 *
 * Invariant: the directory is only read. The tool creates index files that are missing, so it works on links to the
 * segments and on copies of the indexes.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { BenchFailure } from './failure.ts';
import { runKafkaTool } from './peers/kafka.ts';

const TOOL = 'org.apache.kafka.tools.DumpLogSegments';
/** A command line has a limit. */
const FILES_PER_RUN = 100;
/** How many complaints of one run are kept. */
const COMPLAINTS_MAX = 20;
const SEGMENT_FILE = /^\d{20}\.(log|index|timeindex)$/;

export interface DumpLogReport {
  readonly logFiles: number;
  readonly indexFiles: number;
  readonly batches: number;
  readonly records: number;
  /** Gaps between offsets: normal after compaction, so not a failure. */
  readonly offsetGaps: number;
  /** What the tool found wrong, in its own words; empty when all is sound. */
  readonly complaints: readonly string[];
}

/** What a line of the tool's output means. */
export type DumpLine = 'batch' | 'record' | 'gap' | 'complaint' | 'other';

interface Tally {
  batches: number;
  records: number;
  offsetGaps: number;
  readonly complaints: string[];
}

/** Classifies a line of DumpLogSegments: it counts on standard output and complains on either. */
export function classifyDumpLine(line: string): DumpLine {
  if (line.startsWith('baseOffset: '))
    return line.includes('isvalid: true') ? 'batch' : 'complaint';
  if (line.startsWith('| offset: ')) return 'record';
  if (/^\s*\d+ is followed by \d+/.test(line)) return 'gap';
  if (/mismatch|out of order|invalid bytes|should be rebuilt|corrupt|fail/i.test(line)) {
    return 'complaint';
  }
  return 'other';
}

/**
 * Checks all segments below `directory`.
 * @throws {BenchFailure} when there is none, or Java or Maven is missing
 */
export async function dumpLog(directory: string): Promise<DumpLogReport> {
  if (!existsSync(directory)) throw new BenchFailure(`no directory at ${directory}`);
  const originals = segmentFiles(resolve(directory));
  if (!originals.some((file) => file.endsWith('.log'))) {
    throw new BenchFailure(`no segments (<20 digits>.log) below ${directory}`);
  }
  const folder = mkdtempSync(join(tmpdir(), 'millrace-dump-log-'));
  try {
    const { files, originalOf } = standIns(originals, folder);
    const logs = files.filter((file) => file.endsWith('.log'));
    const indexes = files.filter((file) => !file.endsWith('.log'));
    const tally: Tally = { batches: 0, records: 0, offsetGaps: 0, complaints: [] };
    await runOver(logs, ['--deep-iteration'], tally);
    await runOver(indexes, ['--index-sanity-check'], tally);
    await runOver(indexes, ['--verify-index-only'], tally);
    const complaints = tally.complaints.map(originalOf);
    return { logFiles: logs.length, indexFiles: indexes.length, ...tally, complaints };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export async function runDumpLog(directory: string): Promise<number> {
  const report = await dumpLog(directory);
  const passed = report.complaints.length === 0;
  process.stdout.write(
    `${report.logFiles} segments, ${report.indexFiles} indexes, ${report.batches} batches, ` +
      `${report.records} records, ${report.offsetGaps} gaps between offsets\n`,
  );
  for (const complaint of report.complaints) process.stdout.write(`  ${complaint}\n`);
  process.stdout.write(passed ? "PASS: Kafka's own tool reads all of it\n" : 'FAIL\n');
  return passed ? 0 : 1;
}

function segmentFiles(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && SEGMENT_FILE.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** Files in `folder` that the tool may treat as its own, and how to say their names in the user's terms. */
function standIns(
  originals: readonly string[],
  folder: string,
): { readonly files: readonly string[]; readonly originalOf: (text: string) => string } {
  const folders = new Map<string, string>();
  const files = originals.map((original) => {
    const from = dirname(original);
    const to = folders.get(from) ?? join(folder, `${folders.size}-of`);
    if (!folders.has(from)) mkdirSync(to);
    folders.set(from, to);
    const file = join(to, basename(original));
    if (original.endsWith('.log')) symlinkSync(original, file);
    else copyFileSync(original, file);
    return file;
  });
  const originalOf = (text: string): string =>
    [...folders].reduce((said, [from, to]) => said.replaceAll(to, from), text);
  return { files, originalOf };
}

async function runOver(
  files: readonly string[],
  options: readonly string[],
  tally: Tally,
): Promise<void> {
  const complain = (text: string): void => {
    if (tally.complaints.length < COMPLAINTS_MAX) tally.complaints.push(text);
  };
  for (let at = 0; at < files.length; at += FILES_PER_RUN) {
    const some = files.slice(at, at + FILES_PER_RUN);
    let current = some[0] ?? '';
    const result = await runKafkaTool(TOOL, [...options, '--files', some.join(',')], {
      keepStdout: false,
      onLine: (line) => {
        const dumping = /^Dumping (.+)$/.exec(line)?.[1];
        if (dumping !== undefined) {
          current = dumping;
          return;
        }
        switch (classifyDumpLine(line)) {
          case 'batch':
            tally.batches += 1;
            break;
          case 'record':
            tally.records += 1;
            break;
          case 'gap':
            tally.offsetGaps += 1;
            break;
          case 'complaint':
            complain(`${current}: ${line.slice(0, 300)}`);
            break;
          case 'other':
            break;
        }
      },
    });
    for (const line of result.stderr.split('\n')) {
      const kind = classifyDumpLine(line);
      if (kind === 'gap') tally.offsetGaps += 1;
      if (kind === 'complaint' && result.exitCode === 0) complain(line);
    }
    if (result.exitCode !== 0) {
      complain(`${current}: ended with ${result.exitCode}: ${result.stderr.slice(0, 1000)}`);
    }
  }
}
