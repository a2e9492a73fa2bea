/** What a task's state must be, said as plainly as possible: lists of entries, copied at every commit. */
import { ByteWriter } from '../../../src/core/byte-writer.ts';
import { compareKeys, encodeKey } from '../../../src/core/key-codec.ts';

export interface ModelEntry {
  readonly key: unknown;
  readonly sub: number;
  readonly value: unknown;
}

export function bytesOf(key: unknown): Buffer {
  const writer = new ByteWriter();
  encodeKey(key, writer);
  return Buffer.from(writer.buffer.subarray(0, writer.length));
}

function compare(a: unknown, b: unknown): number {
  const [x, y] = [bytesOf(a), bytesOf(b)];
  return compareKeys(x, 0, x.length, y, 0, y.length);
}

function byKeyAndSub(a: ModelEntry, b: ModelEntry): number {
  return compare(a.key, b.key) || a.sub - b.sub;
}

export class StoreModel {
  now: ModelEntry[] = [];
  committed: ModelEntry[] = [];

  get(key: unknown, sub: number): unknown {
    return structuredClone(this.of(key).find((entry) => entry.sub === sub)?.value);
  }

  put(key: unknown, sub: number, value: unknown): void {
    this.now = this.now.filter((entry) => entry.sub !== sub || compare(entry.key, key) !== 0);
    if (value !== undefined) this.now.push({ key, sub, value: structuredClone(value) });
    this.now.sort(byKeyAndSub);
  }

  of(key: unknown): ModelEntry[] {
    return this.now.filter((entry) => compare(entry.key, key) === 0);
  }

  range(from: unknown, to: unknown, entries = this.now): ModelEntry[] {
    return entries.filter(
      ({ key }) =>
        (from === undefined || compare(key, from) >= 0) &&
        (to === undefined || compare(key, to) < 0),
    );
  }

  prefix(elements: readonly unknown[]): ModelEntry[] {
    return this.now.filter(
      ({ key }) =>
        Array.isArray(key) &&
        key.length >= elements.length &&
        elements.every((element, index) => compare(element, key[index]) === 0),
    );
  }

  commit(): void {
    this.committed = structuredClone(this.now);
  }

  abort(): void {
    this.now = structuredClone(this.committed);
  }
}
