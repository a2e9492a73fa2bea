/**
 * Reading the journal at start: which entries are there, in order, for which log; and whether the end is an end.
 *
 * A group that is missing or incomplete ends the journal, when nothing behind it says otherwise: that is a torn tail,
 * which was never acknowledged. If a later group was written while it was known to be durable, it is damage, and the
 * store does not start (unless told to keep what is good): cutting there would drop acknowledged records.
 */
import type { Env, File } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';
import { readFully, readFullyAsync, writeManyFullyAsync } from '../core/files.ts';
import type { Logger } from '../core/log.ts';
import { crc32c } from '../core/crc32c.ts';
import {
  ATTRIBUTES_AT,
  batchBytes,
  CRC_AT,
  leaderEpoch,
} from '../wire/kafka/records/record-batch.ts';
import {
  BATCH_PREFIX_BYTES,
  ENTRY_BATCH,
  ENTRY_BYTES,
  ENTRY_DELETED,
  entryKind,
  entryLogKey,
  entryOffset,
  entryPayloadBytes,
  entryPrefixAt,
  GROUP_HEADER_BYTES,
  type GroupHeader,
  groupBytes,
  readFileHeader,
  readGroupHeader,
  SECTOR_BYTES,
} from './journal-format.ts';
import type { JournalPosition } from './journal-ring.ts';

/** Numbers kept per entry: kind, offset, file, position of the prefix, position of the payload, payload bytes. */
const FIELDS = 6;

/** Read at once while the entries of one log are replayed. */
const WINDOW_BYTES = 16 * 1024;
/** Read at once while damage is looked for. */
const SEARCH_BYTES = 1024 * 1024;

interface JournalFile {
  readonly path: string;
  readonly file: File;
  readonly sizeBytes: number;
  /** Of its last use; 0 = never used, or unreadable. */
  readonly sequence: number;
}

interface Group {
  readonly header: GroupHeader;
  readonly bytes: Buffer;
  /** The table is what was written. */
  readonly isTableGood: boolean;
  /** Numbers of the entries whose payload is not what was written. */
  readonly badEntries: readonly number[];
}

/** The entries of one log, in order. */
export class LogEntries {
  /** The log was deleted: what a checkpoint says about it is void. */
  isDeleted = false;
  readonly fields: number[] = [];

  get count(): number {
    return this.fields.length / FIELDS;
  }
}

export interface ReplayOptions {
  readonly directory: string;
  readonly logger: Logger;
  readonly storeId: Buffer | undefined;
  /** undefined = everything that can be found (the checkpoint is lost). */
  readonly from: JournalPosition | undefined;
  /** Keep what is good when the journal is damaged, instead of refusing. */
  readonly repair: boolean;
}

export class JournalReplay {
  readonly logs = new Map<string, LogEntries>();
  /** Where the journal goes on. */
  groupSequence: number;
  entrySequence: number;
  fileSequence: number;
  /** The highest of all batches; -1 = there was none. */
  leaderEpoch = -1;
  /** Groups that were read. */
  groupCount = 0;
  private readonly options: ReplayOptions;
  private readonly files: JournalFile[] = [];
  /** The last group that was taken: the only one that may be in the page cache alone. */
  private last:
    | { readonly number: number; readonly position: number; readonly bytes: number }
    | undefined;
  private window = Buffer.alloc(0);
  private windowFile = -1;
  private windowStart = 0;
  private windowEnd = 0;

  private constructor(options: ReplayOptions) {
    this.options = options;
    this.groupSequence = options.from?.groupSequence ?? 1;
    this.entrySequence = options.from?.entrySequence ?? 1;
    this.fileSequence = options.from?.fileSequence ?? 1;
  }

  /** Reads the journal. @throws {MillraceError} ML_JOURNAL_DAMAGED */
  static async read(env: Env, options: ReplayOptions): Promise<JournalReplay> {
    const replay = new JournalReplay(options);
    try {
      await replay.openFiles(env);
      await replay.readGroups();
    } catch (error) {
      replay.close();
      throw error;
    }
    return replay;
  }

  /** Paths of the journal's files with the sequence of their last use. */
  existing(): { readonly path: string; readonly sequence: number }[] {
    return this.files.map(({ path, sequence }) => ({ path, sequence }));
  }

  /** The storeId that the newest readable file names; for a store whose checkpoint is lost. */
  storeId: Buffer | undefined;

  /**
   * Visits the entries of a log in order. `batch` is whole, and valid until `visit` returns; it is empty for an entry of
   * another kind. Drops the entries afterwards.
   */
  replayLog(key: string, visit: (kind: number, offset: number, batch: Buffer) => void): void {
    const entries = this.logs.get(key);
    if (entries === undefined) return;
    this.logs.delete(key);
    const { fields } = entries;
    let batch = Buffer.allocUnsafe(WINDOW_BYTES);
    for (let at = 0; at < fields.length; at += FIELDS) {
      const kind = fields[at] as number;
      const payloadBytes = fields[at + 5] as number;
      const bytes = kind === ENTRY_BATCH ? BATCH_PREFIX_BYTES + payloadBytes : 0;
      if (bytes > 0) {
        if (batch.length < bytes) batch = Buffer.allocUnsafe(bytes * 2);
        const file = fields[at + 2] as number;
        this.fetch(file, fields[at + 3] as number, batch, 0, BATCH_PREFIX_BYTES);
        this.fetch(file, fields[at + 4] as number, batch, BATCH_PREFIX_BYTES, bytes);
      }
      visit(kind, fields[at + 1] as number, batch.subarray(0, bytes));
    }
  }

  /**
   * Writes the last group again, and syncs it. It may never have reached the disk (the process was killed, or its sync has
   * failed), and what follows it from now on says that it is durable.
   */
  async confirmLast(env: Env): Promise<void> {
    if (this.last === undefined) return;
    const { number, position, bytes } = this.last;
    // The file header goes with the first group.
    const start = position === SECTOR_BYTES ? 0 : position;
    const content = Buffer.allocUnsafe(position + bytes - start);
    const { file: source, path } = this.files[number] as JournalFile;
    const count = await readFullyAsync(source, content, 0, content.length, start);
    const file = env.fs.open(path, 'write');
    try {
      await writeManyFullyAsync(file, [content.subarray(0, count)], start);
      await file.sync();
    } finally {
      file.close();
    }
  }

  close(): void {
    for (const { file } of this.files) file.close();
  }

  // ---- Files --------------------------------------------------------------------------------------------------------

  private async openFiles(env: Env): Promise<void> {
    const { directory, storeId } = this.options;
    let newest = 0;
    for (const name of env.fs.list(directory)) {
      if (!/^\d{8}\.journal$/.test(name)) continue;
      const path = `${directory}/${name}`;
      const file = env.fs.open(path, 'read');
      const head = Buffer.alloc(SECTOR_BYTES + GROUP_HEADER_BYTES);
      const count = await readFullyAsync(file, head, 0, head.length, 0);
      const header = readFileHeader(head.subarray(0, Math.min(count, SECTOR_BYTES)));
      const first = readGroupHeader(head.subarray(0, count), SECTOR_BYTES);
      const isForeign =
        header !== undefined && storeId !== undefined && !header.storeId.equals(storeId);
      // The first group says it too, if the sector before it was damaged or not written.
      const sequence = isForeign
        ? 0
        : Math.max(header?.fileSequence ?? 0, first?.fileSequence ?? 0);
      if (header !== undefined && header.fileSequence > newest) {
        newest = header.fileSequence;
        this.storeId = header.storeId;
      }
      this.files.push({ path, file, sizeBytes: file.size(), sequence });
      this.fileSequence = Math.max(this.fileSequence, sequence + 1);
    }
    this.files.sort((a, b) => a.sequence - b.sequence);
  }

  // ---- Groups -------------------------------------------------------------------------------------------------------

  private async readGroups(): Promise<void> {
    const { from, repair } = this.options;
    if (from === undefined) {
      await this.readEverything();
      return;
    }
    let number = this.files.findIndex(({ sequence }) => sequence === from.fileSequence);
    let { position } = from;
    if (number === -1) {
      number = this.files.findIndex(({ sequence }) => sequence > from.fileSequence);
      position = SECTOR_BYTES;
    }
    if (number === -1) return;
    for (;;) {
      const end = await this.readFile(number, position);
      const next = number + 1;
      if (next < this.files.length && (await this.continuesIn(next))) {
        number = next;
        position = SECTOR_BYTES;
        continue;
      }
      const damage = await this.findLater(number, end);
      if (damage === undefined) return;
      const { path } = this.files[number] as JournalFile;
      if (!repair) throw this.damaged(path, end, damage);
      this.options.logger.error('Part of the journal is lost', {
        path,
        position: end,
        firstLostGroup: this.groupSequence,
        nextGroup: damage.groupSequence,
      });
      // Keep the good entries of what is there, then go on behind it.
      await this.salvage(number, end);
      ({ number, position } = damage);
      this.groupSequence = damage.groupSequence;
    }
  }

  /** Reads groups from `position` on as long as they follow each other. Returns the position of the first that does not. */
  private async readFile(number: number, position: number): Promise<number> {
    let at = position;
    for (;;) {
      const group = await this.readGroup(number, at);
      if (group === undefined || !isWhole(group)) return at;
      const { groupSequence } = group.header;
      if (groupSequence > this.groupSequence) return at;
      if (groupSequence === this.groupSequence) {
        this.take(number, at, group);
        this.groupSequence++;
      }
      at += groupBytes(group.header.entryCount, group.header.payloadBytes);
    }
  }

  private async continuesIn(number: number): Promise<boolean> {
    const group = await this.readGroup(number, SECTOR_BYTES);
    return (
      group !== undefined && isWhole(group) && group.header.groupSequence <= this.groupSequence
    );
  }

  /** The group at `position` of a file, if its header is good and belongs to the file's present use. */
  private async readGroup(number: number, position: number): Promise<Group | undefined> {
    const { file, sizeBytes, sequence } = this.files[number] as JournalFile;
    if (position + GROUP_HEADER_BYTES > sizeBytes) return undefined;
    const head = Buffer.allocUnsafe(GROUP_HEADER_BYTES);
    if ((await readFullyAsync(file, head, 0, head.length, position)) < head.length)
      return undefined;
    const header = readGroupHeader(head, 0);
    if (header === undefined || header.fileSequence !== sequence) return undefined;
    const size = groupBytes(header.entryCount, header.payloadBytes);
    const bytes = Buffer.alloc(Math.min(size, sizeBytes - position));
    const count = await readFullyAsync(file, bytes, 0, bytes.length, position);
    const tableEnd = GROUP_HEADER_BYTES + header.entryCount * ENTRY_BYTES;
    const isTableGood =
      tableEnd <= count && crc32c(bytes, GROUP_HEADER_BYTES, tableEnd) === header.tableCrc;
    const badEntries = isTableGood ? findBadEntries(header, bytes.subarray(0, count)) : [];
    return { header, bytes, isTableGood, badEntries };
  }

  private take(number: number, position: number, group: Group): void {
    const { header, bytes } = group;
    this.groupCount++;
    this.last = { number, position, bytes: bytes.length };
    let payloadAt = GROUP_HEADER_BYTES + header.entryCount * ENTRY_BYTES;
    for (let index = 0; index < header.entryCount; index++) {
      const entryAt = GROUP_HEADER_BYTES + index * ENTRY_BYTES;
      const payloadBytes = entryPayloadBytes(bytes, entryAt);
      const sequence = header.firstEntrySequence + index;
      const isWanted =
        sequence >= (this.options.from?.entrySequence ?? 0) && !group.badEntries.includes(index);
      if (isWanted) this.keep(number, position, bytes, { entryAt, payloadAt, payloadBytes });
      payloadAt += payloadBytes;
    }
    this.entrySequence = Math.max(
      this.entrySequence,
      header.firstEntrySequence + header.entryCount,
    );
  }

  private keep(
    number: number,
    position: number,
    group: Buffer,
    at: { readonly entryAt: number; readonly payloadAt: number; readonly payloadBytes: number },
  ): void {
    const key = entryLogKey(group, at.entryAt);
    const kind = entryKind(group, at.entryAt);
    let entries = this.logs.get(key);
    if (entries === undefined) {
      entries = new LogEntries();
      this.logs.set(key, entries);
    }
    if (kind === ENTRY_DELETED) {
      entries.isDeleted = true;
      entries.fields.length = 0;
      return;
    }
    if (kind === ENTRY_BATCH)
      this.leaderEpoch = Math.max(this.leaderEpoch, leaderEpoch(group, entryPrefixAt(at.entryAt)));
    entries.fields.push(
      kind,
      entryOffset(group, at.entryAt),
      number,
      position + entryPrefixAt(at.entryAt),
      position + at.payloadAt,
      at.payloadBytes,
    );
  }

  // ---- Damage -------------------------------------------------------------------------------------------------------

  /**
   * A group behind the end that proves that the missing one was durable: its place, or undefined when there is none and
   * the end is a torn tail.
   */
  private async findLater(
    number: number,
    end: number,
  ): Promise<{ number: number; position: number; groupSequence: number } | undefined> {
    const current = this.files[number] as JournalFile;
    for (let index = 0; index < this.files.length; index++) {
      const { file, sizeBytes, sequence } = this.files[index] as JournalFile;
      if (sequence !== 0 && sequence < current.sequence) continue;
      const start = index === number ? end : 0;
      const chunk = Buffer.allocUnsafe(SEARCH_BYTES);
      for (let from = start; from < sizeBytes; from += SEARCH_BYTES) {
        const count = await readFullyAsync(file, chunk, 0, SEARCH_BYTES, from);
        for (let at = 0; at + GROUP_HEADER_BYTES <= count; at += SECTOR_BYTES) {
          const header = readGroupHeader(chunk, at);
          if (header === undefined || header.fileSequence < current.sequence) continue;
          if (header.durableGroupSequence >= this.groupSequence)
            return { number: index, position: from + at, groupSequence: header.groupSequence };
        }
      }
    }
    return undefined;
  }

  /** Takes the good entries of a damaged group, if its table can be read. */
  private async salvage(number: number, position: number): Promise<void> {
    const group = await this.readGroup(number, position);
    if (group === undefined || !group.isTableGood) return;
    if (group.header.groupSequence === this.groupSequence) this.take(number, position, group);
  }

  /** Every good group of every file, in the order of the files: for a store whose checkpoint is lost. */
  private async readEverything(): Promise<void> {
    let last = 0;
    for (let number = 0; number < this.files.length; number++) {
      let position = SECTOR_BYTES;
      const { sizeBytes } = this.files[number] as JournalFile;
      while (position < sizeBytes) {
        const group = await this.readGroup(number, position);
        if (group === undefined || !isWhole(group) || group.header.groupSequence <= last) {
          position += SECTOR_BYTES;
          continue;
        }
        last = group.header.groupSequence;
        this.take(number, position, group);
        position += groupBytes(group.header.entryCount, group.header.payloadBytes);
      }
    }
    this.groupSequence = last + 1;
  }

  private damaged(
    path: string,
    position: number,
    later: { readonly number: number; readonly position: number },
  ): MillraceError {
    const laterPath = (this.files[later.number] as JournalFile).path;
    return new MillraceError(
      'ML_JOURNAL_DAMAGED',
      `${path} is damaged at position ${position}: group ${this.groupSequence} cannot be read, but ${laterPath} has a later one at position ${later.position}`,
      { fields: { path, position, groupSequence: this.groupSequence } },
    );
  }

  // ---- Reading entries ----------------------------------------------------------------------------------------------

  /** Copies bytes of a journal file into target[start, end), reading ahead a little. */
  private fetch(
    number: number,
    position: number,
    target: Buffer,
    start: number,
    end: number,
  ): void {
    const bytes = end - start;
    const { file } = this.files[number] as JournalFile;
    if (bytes > WINDOW_BYTES / 2) {
      this.readExactly(file, target, start, end, position);
      return;
    }
    const isInside =
      number === this.windowFile &&
      position >= this.windowStart &&
      position + bytes <= this.windowEnd;
    if (!isInside) {
      if (this.window.length === 0) this.window = Buffer.allocUnsafe(WINDOW_BYTES);
      const count = readFully(file, this.window, 0, WINDOW_BYTES, position);
      this.windowFile = number;
      this.windowStart = position;
      this.windowEnd = position + count;
    }
    const from = position - this.windowStart;
    this.window.copy(target, start, from, from + bytes);
  }

  private readExactly(
    file: File,
    target: Buffer,
    start: number,
    end: number,
    position: number,
  ): void {
    if (readFully(file, target, start, end, position) === end - start) return;
    throw new MillraceError('ML_IO', `${file.path} ends before position ${position + end - start}`);
  }
}

function isWhole(group: Group): boolean {
  return group.isTableGood && group.badEntries.length === 0;
}

/** Numbers of the entries whose batch is not what was written. `bytes` may end before the group does. */
function findBadEntries(header: GroupHeader, bytes: Buffer): number[] {
  const bad: number[] = [];
  let payloadAt = GROUP_HEADER_BYTES + header.entryCount * ENTRY_BYTES;
  for (let index = 0; index < header.entryCount; index++) {
    const entryAt = GROUP_HEADER_BYTES + index * ENTRY_BYTES;
    const payloadBytes = entryPayloadBytes(bytes, entryAt);
    const payloadEnd = payloadAt + payloadBytes;
    if (entryKind(bytes, entryAt) === ENTRY_BATCH) {
      const prefixAt = entryPrefixAt(entryAt);
      const isGood =
        payloadEnd <= bytes.length &&
        batchBytes(bytes, prefixAt) === payloadBytes + ATTRIBUTES_AT &&
        crc32c(bytes, payloadAt, payloadEnd) === bytes.readUInt32BE(prefixAt + CRC_AT);
      if (!isGood) bad.push(index);
    }
    payloadAt = payloadEnd;
  }
  return bad;
}
