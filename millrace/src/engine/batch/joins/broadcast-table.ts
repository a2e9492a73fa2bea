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
import { formatBytes } from './format-bytes.ts';
import { isFilter } from './join-options.ts';
import { JoinTable } from './join-table.ts';

export interface BroadcastTableOptions {
  /** Of the join node, for messages. */
  readonly name: string;
  readonly type: JoinType;
  /** What the table may hold. */
  readonly memoryBytes: number;
}

export class BroadcastTable {
  private readonly isFilter: boolean;
  private readonly table: JoinTable;
  private readonly scratch = new ByteWriter(64);

  /**
   * Reads all of `reader` and closes it.
   * @throws {MillraceError} ML_BROADCAST_TOO_LARGE when it does not fit into the memory
   */
  constructor(reader: MergeReader, options: BroadcastTableOptions) {
    this.isFilter = isFilter(options.type);
    this.table = new JoinTable(options.memoryBytes);
    try {
      while (reader.next()) {
        const { buffer, keyStart, keyEnd } = reader;
        const fits = this.isFilter
          ? this.table.addKey(buffer, keyStart, keyEnd)
          : this.table.add(buffer, keyStart, keyEnd, reader.valueStart, reader.valueEnd);
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
   * Number of the first right row of a key; -1 when there is none: always for null and undefined. For semi and anti joins, which
   * keep no rows, any other number says that there is one.
   * @throws {MillraceError} ML_KEY_INVALID
   */
  first(key: unknown): number {
    const entry = this.find(key);
    return entry < 0 || this.isFilter ? entry : this.table.firstRow(entry);
  }

  /** The next right row of the same key; -1 behind the last one. */
  next(row: number): number {
    return this.table.nextRow(row);
  }

  /** The value of a right row. */
  value(row: number): unknown {
    return this.table.value(row);
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
    `${what} does not fit into the ${bytes} that a task has for it: it was full after ${reader.records} ${reader.records === 1 ? 'record' : 'records'}`,
    { fields: { operator: options.name, memoryBytes: options.memoryBytes } },
  );
}
