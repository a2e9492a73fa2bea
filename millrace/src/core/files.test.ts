import { expect, test } from 'vitest';
import type { File } from './env.ts';
import { MillraceError } from './errors.ts';
import {
  directoryOf,
  readFully,
  replaceFile,
  writeFully,
  writeManyFully,
  writeManyFullyAsync,
} from './files.ts';
import { WRITE_BUFFERS_MAX } from './limits.ts';
import { SimMachine, SimPowerCut } from './sim/sim-machine.ts';

/** A file in memory whose calls do as much as `limitOf` says. */
class StingyFile implements File {
  readonly path = '/data/stingy';
  readonly calls: { readonly position: number; readonly count: number }[] = [];
  content = Buffer.alloc(0);
  mostBuffers = 0;
  private readonly limitOf: (call: number) => number;

  constructor(limitOf: (call: number) => number) {
    this.limitOf = limitOf;
  }

  size(): number {
    return this.content.length;
  }

  write(buffer: Uint8Array, start: number, end: number, position: number): number {
    const count = Math.min(end - start, this.limitOf(this.calls.length));
    this.calls.push({ position, count });
    const grown = Buffer.alloc(Math.max(this.content.length, position + count));
    this.content.copy(grown);
    grown.set(buffer.subarray(start, start + count), position);
    this.content = grown;
    return count;
  }

  writeMany(buffers: readonly Uint8Array[], position: number): number {
    this.mostBuffers = Math.max(this.mostBuffers, buffers.length);
    const all = Buffer.concat(buffers);
    return this.write(all, 0, all.length, position);
  }

  writeManyAsync(buffers: readonly Uint8Array[], position: number): Promise<number> {
    return Promise.resolve(this.writeMany(buffers, position));
  }

  read(buffer: Uint8Array, start: number, end: number, position: number): number {
    const limit = this.limitOf(this.calls.length);
    this.calls.push({ position, count: limit });
    const part = this.content.subarray(position, position + Math.min(end - start, limit));
    buffer.set(part, start);
    return part.length;
  }

  readAsync(buffer: Uint8Array, start: number, end: number, position: number): Promise<number> {
    return Promise.resolve(this.read(buffer, start, end, position));
  }

  truncate(): void {}

  sync(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {}
}

const BYTES = Buffer.from('0123456789abcdefghij');
/** The same bytes in buffers of all lengths, some empty. */
const PARTS = [0, 1, 3, 3, 4, 12, 12, 20].map((end, index, ends) =>
  BYTES.subarray(ends[index - 1] ?? 0, end),
);

test('a write that takes a few bytes at a time is completed, at the right positions', async () => {
  for (let limit = 1; limit <= 21; limit++) {
    const files = [0, 1, 2].map(() => new StingyFile(() => limit)) as [
      StingyFile,
      StingyFile,
      StingyFile,
    ];
    writeFully(files[0], BYTES, 2, 20, 7);
    expect(writeManyFully(files[1], PARTS, 5)).toBe(20);
    expect(await writeManyFullyAsync(files[2], PARTS, 5)).toBe(20);
    expect(files[0].content.toString('latin1', 7)).toBe(BYTES.toString('latin1', 2));
    expect(files[1].content.toString('latin1', 5)).toBe(BYTES.toString());
    expect(files[2].content.equals(files[1].content)).toBe(true);
    expect(files[1].calls).toHaveLength(Math.ceil(20 / limit));
    const into = Buffer.alloc(30);
    expect(readFully(files[1], into, 4, 24, 5)).toBe(20);
    expect(into.toString('latin1', 4, 24)).toBe(BYTES.toString());
  }
});

test('no call has more buffers than the system takes', () => {
  const file = new StingyFile(() => Number.POSITIVE_INFINITY);
  const buffers = Array.from({ length: 3 * WRITE_BUFFERS_MAX + 1 }, () => Buffer.from('x'));
  expect(writeManyFully(file, buffers, 0)).toBe(buffers.length);
  expect(file.mostBuffers).toBe(WRITE_BUFFERS_MAX);
  expect(file.calls).toHaveLength(4);
  expect(file.content.length).toBe(buffers.length);
});

test('nothing to write makes no call', () => {
  const file = new StingyFile(() => 1);
  expect(writeManyFully(file, [], 3)).toBe(0);
  expect(writeManyFully(file, [Buffer.alloc(0), Buffer.alloc(0)], 3)).toBe(0);
  expect(file.calls).toEqual([]);
});

test('a file that takes nothing, call after call, is an error and not a hang', async () => {
  const stuck = new StingyFile((call) => (call < 2 ? 5 : 0));
  const code = 'ML_IO';
  expect(() => writeFully(stuck, BYTES, 0, 20, 0)).toThrow(expect.objectContaining({ code }));
  expect(() => writeManyFully(stuck, PARTS, 0)).toThrow(expect.objectContaining({ code }));
  await expect(writeManyFullyAsync(stuck, PARTS, 0)).rejects.toMatchObject({ code });
  // Now and then nothing is fine.
  const slow = new StingyFile((call) => (call % 3 === 2 ? 1 : 0));
  writeFully(slow, BYTES, 0, 20, 0);
  expect(slow.content.equals(BYTES)).toBe(true);
});

test('a replaced file has the old content or the new one, wherever the power goes', async () => {
  const found = new Set<string>();
  const [before, after] = ['old '.repeat(2_000), 'the new content '.repeat(700)];
  for (let seed = 0; seed < 300; seed++) {
    const machine = new SimMachine(seed);
    machine.faults.shortWriteProbability = 0.3;
    const { fs } = machine.boot();
    await machine.run(replaceFile(fs, '/data/a', Buffer.from(before)));
    machine.cutAtStep(machine.stepCount + 1 + (seed % 9));
    const replacing = machine.run(replaceFile(fs, '/data/a', Buffer.from(after)));
    const isReplaced = await replacing.then(
      () => true,
      (error: unknown) => {
        if (error instanceof SimPowerCut) return false;
        throw error;
      },
    );
    const file = machine.reboot().fs.open('/data/a', 'read');
    const content = Buffer.alloc(file.size());
    readFully(file, content, 0, content.length, 0);
    const text = content.toString();
    expect(isReplaced ? [after] : [before, after]).toContain(text);
    found.add(text);
  }
  expect(found.size).toBe(2);
});

test('a directory is what comes before the last name', () => {
  expect(['/a/b/c', '/a', '/a/b.log'].map(directoryOf)).toEqual(['/a/b', '/', '/a']);
  expect(() => directoryOf('a')).toThrow(MillraceError);
});
