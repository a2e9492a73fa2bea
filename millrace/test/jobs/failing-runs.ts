/** Runs of the command that are to fail, and all that a failure promises: one clear error with a fix, and nothing left behind. */
import { lstat, mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import type { BuiltMillrace, Finished } from '../start/built-millrace.ts';

export interface FailingRun {
  readonly name: string;
  /** Content by path. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  /** `job.ts`, behind the import of the language. */
  readonly program: string;
  readonly args?: readonly string[];
  readonly input?: string;
  readonly prepare?: (directory: string) => Promise<void>;
  readonly code: string;
  /** Of the line of the error, and of anything else that is to be said. */
  readonly says: readonly (RegExp | string)[];
  /** Default 1. */
  readonly exit?: number;
  /** Files that are changed so that it works when it is run again. */
  readonly mend?: Readonly<Record<string, string>>;
  /** It is about the process itself. One that has input, or is mended, has a process of its own, too; the others share some. */
  readonly isProcess?: boolean;
}

export const IMPORT =
  "import { col, count, desc, files, flow, mapReduce, skipTo, sum, words } from 'millrace';\n";

/** A program that reads `source`, does `steps` and writes `sink`. */
export function through(
  steps: string,
  source = "files.lines('in.txt')",
  sink = "files.lines('out/out.txt') as never",
): string {
  return `export default flow('job', (f) => {\n  f.read(${source})${steps}.write(${sink});\n});\n`;
}

export async function writeAll(
  directory: string,
  content: Readonly<Record<string, string | Uint8Array>>,
): Promise<void> {
  for (const [name, text] of Object.entries(content)) {
    await mkdir(dirname(join(directory, name)), { recursive: true });
    await writeFile(join(directory, name), text);
  }
}

/** Everything below a directory, but for the record that a job leaves, and Node's cache of code. */
export async function everythingIn(directory: string): Promise<string[]> {
  const names = await readdir(directory, { recursive: true });
  const kept: string[] = [];
  for (const name of names.toSorted()) {
    if (/^millrace-data(?:\/jobs(?:\/code-cache.*|\/[^/]+(?:\/job\.json)?)?)?$/.test(name))
      continue;
    const stat = await lstat(join(directory, name));
    kept.push(stat.isFile() ? `${name} ${stat.size} ${stat.mtimeMs}` : name);
  }
  return kept;
}

/** Every error has the same form: what and where, the code, what to do; nothing of our own insides. */
export function expectError(finished: Finished, run: Pick<FailingRun, 'code' | 'says'>): void {
  const { stderr } = finished;
  expect(stderr).toContain(`(${run.code})`);
  for (const words of run.says)
    if (typeof words === 'string') expect(stderr).toContain(words);
    else expect(stderr).toMatch(words);
  expect(stderr).toMatch(/^error: \S/m);
  expect(stderr).toMatch(/^ {2}fix: \S/m);
  expect(stderr).not.toContain('node:internal');
  expect(stderr).not.toContain('/dist/');
  expect(stderr).not.toContain('undefined is not');
}

export async function expectFailure(millrace: BuiltMillrace, run: FailingRun): Promise<void> {
  const directory = await millrace.directory();
  await writeAll(directory, { 'job.ts': IMPORT + run.program, ...run.files });
  await run.prepare?.(directory);
  const before = await everythingIn(directory);
  const args = ['run', 'job.ts', ...(run.args ?? [])];
  const needsProcess = run.isProcess === true || run.input !== undefined || run.mend !== undefined;
  const options = { cwd: directory, input: run.input ?? '', isHosted: !needsProcess };
  const finished = await millrace.run(args, options);
  expect(finished.code, finished.stderr).toBe(run.exit ?? 1);
  expectError(finished, run);
  expect(await everythingIn(directory)).toEqual(before);
  if (run.mend === undefined) return;
  await writeAll(directory, run.mend);
  const again = await millrace.run(args, options);
  expect(again.code, again.stderr).toBe(0);
}
