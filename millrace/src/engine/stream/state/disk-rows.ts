/**
 * The state of a task as rows of an LMDB environment. See docs/formats/task-state.md.
 *
 *   00 00                                       4d 52 54 53 and the version of the format
 *   00 01 · name                                of a store: { number, checkpoint, entries }
 *   number · entry key                          the value
 *   number + 1 · key [due, key, sub]            nothing: what is due when
 *
 * NOTE: persistent format, do not renumber.
 *
 * One write is one transaction: the entries of a commit are on disk together with the checkpoints that they belong to, or not at all.
 */
import { ByteWriter } from '../../../core/byte-writer.ts';
import type { Env } from '../../../core/env.ts';
import { MillraceError } from '../../../core/errors.ts';
import { decodeKey, encodeKey } from '../../../core/key-codec.ts';
import { STATE_KEY_BYTES_MAX } from '../../../core/stream-limits.ts';
import { decodeValue, encodeValue } from '../../../core/value-codec.ts';
import { decodeEntryKey, encodeEntryKey, SUB_BYTES } from './entry-key.ts';
import {
  type LmdbEnvironment,
  lmdbError,
  openLmdb,
  stateDamaged,
  writeError,
} from './lmdb-environment.ts';

const FORMAT = 1;
const FORMAT_KEY = Buffer.from([0, 0]);
const FORMAT_MAGIC = Buffer.from('MRTS');
const STORE_PREFIX = 1;
const NUMBER_MIN = 2;
const NUMBER_MAX = 0xfffe;
const NOTHING = Buffer.alloc(0);
const NUMBER_BYTES = 2;

export interface DiskRow {
  readonly key: unknown;
  readonly sub: number;
  /** A copy. */
  readonly value: Buffer;
}

interface StoredMeta {
  readonly number: number;
  readonly checkpoint: number | undefined;
  readonly entries: number;
}

/** Puts, or removes (undefined), a row; may keep `value` until the write is done. */
export type WriteRow = (key: Uint8Array, value: Uint8Array | undefined) => void;

export class TaskDisk {
  readonly path: string;
  /** Rows that are read at once. */
  readonly rowsAtOnce: number;
  private readonly environment: LmdbEnvironment;
  private readonly sections = new Map<string, DiskSection>();
  private numberNext = NUMBER_MIN;
  private readonly env: Env;
  private isClosed = false;

  private constructor(env: Env, environment: LmdbEnvironment, rowsAtOnce: number) {
    this.env = env;
    this.environment = environment;
    this.rowsAtOnce = rowsAtOnce;
    this.path = environment.path;
  }

  /** @throws {MillraceError} as `openLmdb`, and ML_DATA_NEWER */
  static async open(env: Env, path: string, rowsAtOnce: number): Promise<TaskDisk> {
    const disk = new TaskDisk(env, await openLmdb(env, path), rowsAtOnce);
    try {
      await disk.begin();
      return disk;
    } catch (error) {
      await disk.close();
      throw error;
    }
  }

  section(name: string): DiskSection {
    const known = this.sections.get(name);
    if (known !== undefined) return known;
    if (this.numberNext > NUMBER_MAX)
      throw new MillraceError('ML_FLOW_INVALID', `there are too many stores in ${this.path}`);
    return this.addSection(name, { number: this.numberNext, checkpoint: undefined, entries: 0 });
  }

  /**
   * Writes in one transaction.
   * @throws {MillraceError} ML_DISK_FULL and so on: then nothing of it was written
   */
  async write(fill: (row: WriteRow) => void): Promise<void> {
    const { rows } = this.environment;
    let seen: Promise<boolean> | undefined;
    try {
      await rows.batch(() => {
        fill((key, value) => {
          const told =
            value === undefined
              ? rows.remove(asBuffer(key))
              : rows.put(asBuffer(key), asBuffer(value));
          // Of many rows it is the same promise, and says no more than that of the batch.
          if (told !== seen) told.catch(() => undefined);
          seen = told;
        });
      });
    } catch (error) {
      throw await this.failed(error, 'write');
    }
  }

  /** Removes everything. */
  async clear(): Promise<void> {
    try {
      await this.environment.rows.clearAsync();
    } catch (error) {
      throw await this.failed(error, 'clear');
    }
    for (const section of this.sections.values()) section.forget();
    await this.begin();
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    try {
      await this.environment.rows.close();
    } catch (error) {
      throw lmdbError(error, `close the state in ${this.path}`, this.path);
    } finally {
      this.environment.lock.release();
    }
  }

  private async failed(error: unknown, doing: string): Promise<MillraceError> {
    return await writeError(this.env, error, `${doing} the state in ${this.path}`, this.path);
  }

  private async begin(): Promise<void> {
    const format = this.read(FORMAT_KEY);
    if (format === undefined) {
      if (this.list(NOTHING, undefined, { limit: 1 }).length > 0)
        throw stateDamaged(this.path, 'it does not say its format');
      await this.write((row) =>
        row(FORMAT_KEY, Buffer.concat([FORMAT_MAGIC, Buffer.from([FORMAT])])),
      );
      return;
    }
    const version = format[FORMAT_MAGIC.length];
    if (!format.subarray(0, FORMAT_MAGIC.length).equals(FORMAT_MAGIC) || version === undefined)
      throw stateDamaged(this.path, 'it is not the state of a task');
    if (version > FORMAT)
      throw new MillraceError(
        'ML_DATA_NEWER',
        `the state in ${this.path} has format ${version}; this Millrace reads up to ${FORMAT}`,
        { fields: { path: this.path, format: version } },
      );
    for (const { key, value } of this.list(
      Buffer.from([0, STORE_PREFIX]),
      Buffer.from([0, STORE_PREFIX + 1]),
      {},
    ))
      this.addSection(key.toString('utf8', NUMBER_BYTES), this.metaOf(value));
  }

  private metaOf(bytes: Buffer): StoredMeta {
    let meta: unknown;
    try {
      meta = decodeValue(bytes, 0, bytes.length);
    } catch (error) {
      throw stateDamaged(this.path, 'what it says of a store cannot be read', error);
    }
    if (typeof meta === 'object' && meta !== null) {
      const { number, checkpoint, entries } = meta as Partial<Record<string, unknown>>;
      if (
        typeof number === 'number' &&
        typeof entries === 'number' &&
        (checkpoint === undefined || typeof checkpoint === 'number')
      )
        return { number, checkpoint, entries };
    }
    throw stateDamaged(this.path, 'what it says of a store is not as it should be');
  }

  private addSection(name: string, meta: StoredMeta): DiskSection {
    const section = new DiskSection(this, name, meta);
    this.sections.set(name, section);
    this.numberNext = Math.max(this.numberNext, meta.number + 2);
    return section;
  }

  /** A copy. */
  read(key: Buffer): Buffer | undefined {
    try {
      const found = this.environment.rows.getBinary(key);
      return found === undefined ? undefined : found;
    } catch (error) {
      throw lmdbError(error, `read the state in ${this.path}`, this.path);
    }
  }

  /** Rows with start <= key < end, copies; `reverse`: rows with end < key <= start, descending. */
  list(
    start: Buffer,
    end: Buffer | undefined,
    options: { readonly limit?: number; readonly reverse?: boolean },
  ): { readonly key: Buffer; readonly value: Buffer }[] {
    try {
      const found: { readonly key: Buffer; readonly value: Buffer }[] = [];
      const range = { start, ...(end === undefined ? {} : { end }), ...options };
      for (const { key, value } of this.environment.rows.getRange(range))
        found.push({ key: Buffer.from(key), value: Buffer.from(value) });
      return found;
    } catch (error) {
      throw lmdbError(error, `read the state in ${this.path}`, this.path);
    }
  }
}

/** The rows of one store. */
export class DiskSection {
  readonly name: string;
  /** As on disk: offset up to which the changelog is in it, and how many entries there are. */
  checkpoint: number | undefined;
  entries: number;
  private readonly disk: TaskDisk;
  private readonly number: number;
  private readonly writer = new ByteWriter(256);
  private readonly dueElements: unknown[] = [];

  constructor(disk: TaskDisk, name: string, meta: StoredMeta) {
    this.disk = disk;
    this.name = name;
    this.number = meta.number;
    this.checkpoint = meta.checkpoint;
    this.entries = meta.entries;
  }

  forget(): void {
    this.checkpoint = undefined;
    this.entries = 0;
  }

  get path(): string {
    return this.disk.path;
  }

  get rowsAtOnce(): number {
    return this.disk.rowsAtOnce;
  }

  read(key: unknown, sub: number): Buffer | undefined {
    return this.disk.read(this.rowKey(key, sub));
  }

  /** Entries of one key with from <= sub <= to, at most `limit`. */
  readKey(key: unknown, from: number, to: number, limit?: number): DiskRow[] {
    if (!(from <= to)) return [];
    const start = Buffer.from(this.rowKey(key, from));
    const end = Buffer.from(this.rowKey(key, to));
    // The row of `to` itself ends in 01: nothing is between that and 02.
    end[end.length - 1] = 0x02;
    const options = limit === undefined ? {} : { limit };
    return this.disk.list(start, end, options).map((row) => this.rowOf(row));
  }

  /** The entries of the key with sub <= `sub`, the largest first, at most `limit`. */
  readFloor(key: unknown, sub: number, limit: number): DiskRow[] {
    const start = Buffer.from(this.rowKey(key, sub));
    const end = Buffer.from(start.subarray(0, start.length - SUB_BYTES));
    return this.disk.list(start, end, { limit, reverse: true }).map((row) => this.rowOf(row));
  }

  /**
   * Entries of the next keys with order <= theirs < to (undefined: no bound), each key with all that it has.
   * @returns also the order to go on from; undefined: there are no more
   */
  readKeys(
    order: string,
    to: string | undefined,
  ): { readonly rows: readonly DiskRow[]; readonly next: string | undefined } {
    const limit = this.rowsAtOnce;
    const end = to === undefined ? this.prefix(this.number + 1) : this.orderKey(to);
    const found = this.disk.list(this.orderKey(order), end, { limit });
    const rows = found.map((row) => this.rowOf(row));
    const last = found.at(-1)?.key;
    if (last === undefined || found.length < limit) return { rows, next: undefined };
    // Of the last key there may be more.
    const length = last.length - SUB_BYTES;
    const next = last.latin1Slice(NUMBER_BYTES, length);
    const whole = found.findIndex(
      ({ key }) => key.length >= length && key.compare(last, 0, length, 0, length) === 0,
    );
    if (whole > 0) return { rows: rows.slice(0, whole), next };
    const { key } = rows[0] as DiskRow;
    const all = this.readKey(key, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY);
    // Behind the number that follows the key in all its rows.
    return { rows: all, next: `${next}\xff` };
  }

  /** Shows what is due at from <= time <= until, in order. @returns the first time after that */
  readDue(from: number, until: number, visit: (key: unknown, sub: number) => void): number {
    const end = this.prefix(this.number + 2);
    const first = this.orderedKey(this.number + 1, [from]);
    // Without its end it is before all that go on.
    let start: Buffer = first.subarray(0, first.length - 1);
    for (;;) {
      const rows = this.disk.list(start, end, { limit: this.rowsAtOnce });
      for (const row of rows) {
        const { due, key, sub } = this.dueOf(row.key);
        if (due > until) return due;
        visit(key, sub);
      }
      const last = rows.at(-1)?.key;
      if (last === undefined || rows.length < this.rowsAtOnce) return Number.POSITIVE_INFINITY;
      start = Buffer.concat([last, Buffer.alloc(1)]);
    }
  }

  get firstDue(): number {
    return this.readDue(Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY, () => undefined);
  }

  /** @hot Valid until the next call. @throws {MillraceError} ML_KEY_INVALID */
  rowKey(key: unknown, sub: number): Buffer {
    const { writer } = this;
    this.begin(this.number);
    encodeEntryKey(key, sub, writer);
    return this.checked(key);
  }

  /** The same for the bytes of an entry key. */
  rowKeyOf(entryKey: Uint8Array): Buffer {
    this.begin(this.number);
    this.writer.bytes(entryKey, 0, entryKey.length);
    return this.checked('of the changelog');
  }

  /** @hot Valid until the next call. */
  dueKey(due: number, key: unknown, sub: number): Buffer {
    const { writer, dueElements } = this;
    this.begin(this.number + 1);
    dueElements[0] = due;
    dueElements[1] = key;
    dueElements[2] = sub;
    encodeKey(dueElements, writer);
    return writer.buffer.subarray(0, writer.length);
  }

  /** The row that says all of the store but its entries. */
  writeMeta(row: WriteRow, checkpoint: number | undefined, entries: number): void {
    const key = Buffer.concat([Buffer.from([0, STORE_PREFIX]), Buffer.from(this.name)]);
    const writer = new ByteWriter(64);
    encodeValue({ number: this.number, checkpoint, entries }, writer);
    row(key, writer.buffer.subarray(0, writer.length));
  }

  private rowOf({ key, value }: { readonly key: Buffer; readonly value: Buffer }): DiskRow {
    try {
      const at = decodeEntryKey(key, NUMBER_BYTES, key.length);
      return { key: at.key, sub: at.sub, value };
    } catch (error) {
      throw stateDamaged(this.path, `a row of store ${this.name} cannot be read`, error);
    }
  }

  private dueOf(row: Buffer): {
    readonly due: number;
    readonly key: unknown;
    readonly sub: number;
  } {
    try {
      const [due, key, sub] = decodeKey(row, NUMBER_BYTES, row.length) as unknown[];
      if (typeof due === 'number' && typeof sub === 'number') return { due, key, sub };
    } catch (error) {
      throw stateDamaged(this.path, `a row of store ${this.name} cannot be read`, error);
    }
    throw stateDamaged(this.path, `a row of store ${this.name} is not as it should be`);
  }

  private orderKey(order: string): Buffer {
    return Buffer.concat([this.prefix(this.number), Buffer.from(order, 'latin1')]);
  }

  private prefix(number: number): Buffer {
    const prefix = Buffer.alloc(NUMBER_BYTES);
    prefix.writeUInt16BE(number, 0);
    return prefix;
  }

  private orderedKey(number: number, elements: readonly unknown[]): Buffer {
    const writer = new ByteWriter(64);
    writer.byte(number >> 8);
    writer.byte(number & 0xff);
    encodeKey(elements, writer);
    return writer.buffer.subarray(0, writer.length);
  }

  private begin(number: number): void {
    const { writer } = this;
    writer.length = NUMBER_BYTES;
    writer.buffer[0] = number >> 8;
    writer.buffer[1] = number;
  }

  private checked(key: unknown): Buffer {
    const { writer } = this;
    if (writer.length > STATE_KEY_BYTES_MAX)
      throw new MillraceError(
        'ML_KEY_INVALID',
        `a key of store ${this.name} takes ${writer.length} bytes; on disk a key takes at most ${STATE_KEY_BYTES_MAX}`,
        {
          fields: { store: this.name, key: String(key).slice(0, 100) },
          hint: 'Use shorter keys, a hash for example, or keep the state in memory',
        },
      );
    return writer.buffer.subarray(0, writer.length);
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
