/**
 * The right side of a broadcast hash join: whole in the memory of every task, so that the left side needs no exchange. It is
 * loaded once, from the records of a broadcast exchange, and asked with keys that went through no exchange themselves.
 *
 * @hot A question costs the encoding of its key and a look into a table.
 */
import { ByteWriter } from '../../../core/byte-writer.ts';
import { MillraceError } from '../../../core/errors.ts';
import { encodeKey } from '../../../core/key-codec.ts';
import type { JoinType } from '../../../flow/plan.ts';
import type { MergeReader } from '../exchange.ts';
import type { EmitPair } from '../record-input.ts';
import { formatBytes } from './format-bytes.ts';
import { isFilter, keepsLeft } from './join-options.ts';
import { JoinTable } from './join-table.ts';

export interface BroadcastTableOptions {
  /** Of the join node, for messages. */
  readonly name: string;
  readonly type: JoinType;
  /** What the table may hold. */
  readonly memoryBytes: number;
}

export class BroadcastTable {
  private readonly type: JoinType;
  private readonly table: JoinTable;
  private readonly scratch = new ByteWriter(64);

  /**
   * Reads all of `reader` and closes it.
   * @throws {MillraceError} ML_BROADCAST_TOO_LARGE when it does not fit into the memory
   */
  constructor(reader: MergeReader, options: BroadcastTableOptions) {
    this.type = options.type;
    this.table = new JoinTable(options.memoryBytes);
    const needsValues = !isFilter(options.type);
    try {
      while (reader.next()) {
        const { buffer, keyStart, keyEnd } = reader;
        const fits = needsValues
          ? this.table.add(buffer, keyStart, keyEnd, reader.valueStart, reader.valueEnd)
          : this.table.addKey(buffer, keyStart, keyEnd);
        if (!fits) throw tooLarge(`the right side of join ${options.name}`, reader, options);
      }
    } finally {
      reader.close();
    }
  }

  get heldBytes(): number {
    return this.table.heldBytes;
  }

  /**
   * Emits the pairs of one left row, in the order of the right side; the row alone where the type of the join keeps it.
   * False when `emit` said so for any of them: all were taken, none is to be repeated.
   */
  probe(left: unknown, key: unknown, emit: EmitPair): boolean {
    const { type, table } = this;
    const entry = this.find(key);
    if (entry < 0) return !keepsLeft(type) || emit(left, undefined, key);
    if (isFilter(type)) return type === 'anti' || emit(left, undefined, key);
    let goesOn = true;
    for (let row = table.firstRow(entry); row >= 0; row = table.nextRow(row))
      if (!emit(left, table.value(row), key)) goesOn = false;
    return goesOn;
  }

  /** Number of the first right row of a key; -1 when there is none. To go through the rows one by one, with `next`. */
  first(key: unknown): number {
    const entry = this.find(key);
    return entry < 0 ? -1 : this.table.firstRow(entry);
  }

  next(row: number): number {
    return this.table.nextRow(row);
  }

  value(row: number): unknown {
    return this.table.value(row);
  }

  /** Some right row has the key. Never for null and undefined. */
  has(key: unknown): boolean {
    return this.find(key) >= 0;
  }

  private find(key: unknown): number {
    if (key === null || key === undefined) return -1;
    const { scratch } = this;
    scratch.clear();
    encodeKey(key, scratch);
    return this.table.find(scratch.buffer, 0, scratch.length);
  }
}

export function tooLarge(
  what: string,
  reader: MergeReader,
  options: { readonly name: string; readonly memoryBytes: number },
): MillraceError {
  const bytes = formatBytes(options.memoryBytes);
  return new MillraceError(
    'ML_BROADCAST_TOO_LARGE',
    `${what} does not fit into the ${bytes} that a task has for it: it was full after ${reader.records} records`,
    { fields: { operator: options.name, memoryBytes: options.memoryBytes } },
  );
}
