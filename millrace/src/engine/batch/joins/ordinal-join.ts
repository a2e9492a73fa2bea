/**
 * The hash join of sides that do not fit into memory, with the order of one that do: every row is known by its ordinal, its rank
 * in its side.
 *
 *     right (key → ordinal, value) ─ sort by key ─┐
 *     left  (key → ordinal)        ─ sort by key ─┴ merge → (left ordinal, right ordinal → right value) ─ sort ─┐
 *     left  again, as it comes ──────────────────────────────────────────────────────────────────────────────────┴ pairs
 *
 * Right rows without a match (right ordinal → key, value) are sorted the same way and follow at the end. All sorting is external:
 * what is held is bounded by the budget, whatever the sides are.
 */
import { ByteWriter } from '../../../core/byte-writer.ts';
import { decodeKey } from '../../../core/key-codec.ts';
import { JOIN_CHUNK_RECORDS } from '../../../core/limits.ts';
import { decodeValue } from '../../../core/value-codec.ts';
import type { JoinType } from '../../../flow/plan.ts';
import type { MergeReader } from '../exchange.ts';
import type { EmitPair, JoinRunner } from '../record-input.ts';
import { ExternalSort } from './external-sort.ts';
import { BOTH, END, GroupWalk, RIGHT_ONLY } from './group-walk.ts';
import type { JoinOptions } from './join-options.ts';
import { isFilter, keepsLeft, keepsRight } from './join-options.ts';
import { isNullKey } from './null-key.ts';
import { RightGroup } from './right-group.ts';

/** An ordinal, 64 bits big-endian: sorts as the number does. */
const ORDINAL_BYTES = 8;
const LENGTH_BYTES = 4;

const SORT_RIGHT = 0;
const SORT_LEFT = 1;
const MERGE = 2;
const LEFT = 3;
const REST = 4;
const DONE = 5;

export class OrdinalJoin implements JoinRunner {
  /** Rows, and bytes, of the first reading of both sides. */
  records = 0;
  bytes = 0;
  spills = 0;
  spilledBytes = 0;
  private readonly options: JoinOptions;
  private readonly type: JoinType;
  /** The sides, sorted by key. */
  private readonly leftKeys: ExternalSort;
  private readonly rightRows: ExternalSort;
  /** What comes out, sorted by ordinal. */
  private readonly matches: ExternalSort;
  private readonly unmatched: ExternalSort;
  private readonly group: RightGroup;
  private readonly scratch = new ByteWriter(64);

  private phase = SORT_RIGHT;
  /** The right side, then the left one, while they are sorted; in LEFT the left side for the second time. */
  private side: MergeReader;
  private ordinal = -1;
  private walk: GroupWalk | undefined;
  /** In LEFT the matches, in REST right rows without one. */
  private result: MergeReader | undefined;
  /** The left row that the match at hand belongs to; Infinity when there are no more. */
  private matchOrdinal = Number.POSITIVE_INFINITY;
  private leftValue: unknown;
  private key: unknown;

  constructor(options: JoinOptions) {
    this.options = options;
    this.type = options.type;
    // Never more than this is held at once: first two sides being sorted; then their readers, a group and two results being
    // sorted; then the reader of one result.
    const { storage, memoryBytes } = options;
    const quarter = Math.floor(memoryBytes / 4);
    this.leftKeys = new ExternalSort(storage, 2 * quarter);
    this.rightRows = new ExternalSort(storage, 2 * quarter);
    this.matches = new ExternalSort(storage, quarter);
    this.unmatched = new ExternalSort(storage, quarter);
    this.group = new RightGroup({ storage, memoryBytes: quarter });
    this.side = options.right();
  }

  read(emit: EmitPair): boolean {
    switch (this.phase) {
      case SORT_RIGHT:
        this.sortRight();
        break;
      case SORT_LEFT:
        this.sortLeft();
        break;
      case MERGE:
        this.merge();
        break;
      case LEFT:
        this.readLeft(emit);
        break;
      case REST:
        this.readRest(emit);
        break;
    }
    return this.phase === DONE;
  }

  close(): void {
    this.side.close();
    this.walk?.left.close();
    this.walk?.right.close();
    this.result?.close();
    this.group.close();
    this.leftKeys.close();
    this.rightRows.close();
    this.matches.close();
    this.unmatched.close();
  }

  private sortRight(): void {
    const { scratch, side } = this;
    for (let room = JOIN_CHUNK_RECORDS; room > 0; room--) {
      if (!side.next()) {
        this.turnTo(this.options.left(), SORT_LEFT);
        return;
      }
      this.records++;
      scratch.clear();
      this.putOrdinal(++this.ordinal);
      if (!isFilter(this.type)) scratch.bytes(side.buffer, side.valueStart, side.valueEnd);
      this.rightRows.append(side.buffer, side.keyStart, side.keyEnd, scratch);
    }
  }

  private sortLeft(): void {
    const { scratch, side } = this;
    for (let room = JOIN_CHUNK_RECORDS; room > 0; room--) {
      if (!side.next()) {
        this.startMerge();
        return;
      }
      this.records++;
      this.ordinal++;
      if (isNullKey(side.buffer, side.keyStart, side.keyEnd)) continue;
      scratch.clear();
      this.putOrdinal(this.ordinal);
      this.leftKeys.append(side.buffer, side.keyStart, side.keyEnd, scratch);
    }
  }

  private startMerge(): void {
    const eighth = Math.floor(this.options.memoryBytes / 8);
    this.phase = MERGE;
    this.walk = new GroupWalk(this.leftKeys.reader(eighth), this.rightRows.reader(eighth));
  }

  /** Finds the pairs of some keys and sorts them by ordinals. */
  private merge(): void {
    const { walk } = this;
    if (walk === undefined) return;
    const recordsEnd = walk.left.records + walk.right.records + JOIN_CHUNK_RECORDS;
    while (walk.left.records + walk.right.records < recordsEnd) {
      const sides = walk.next();
      if (sides === END) {
        this.endMerge(walk);
        return;
      }
      if (sides === BOTH) this.putPairs(walk);
      else if (sides === RIGHT_ONLY && keepsRight(this.type)) this.putUnmatched(walk);
    }
  }

  private endMerge(walk: GroupWalk): void {
    walk.left.close();
    walk.right.close();
    this.spills += this.group.spills;
    this.spilledBytes += this.group.spilledBytes;
    this.group.close();
    this.done(this.leftKeys);
    this.done(this.rightRows);
    this.result = this.matches.reader(Math.floor(this.options.memoryBytes / 2));
    this.nextMatch(this.result);
    this.turnTo(this.options.left(), LEFT);
  }

  private turnTo(side: MergeReader, phase: number): void {
    this.bytes += this.phase === MERGE ? 0 : this.side.bytes;
    this.side.close();
    this.side = side;
    this.ordinal = -1;
    this.phase = phase;
  }

  private done(sort: ExternalSort): void {
    this.spills += sort.spills;
    this.spilledBytes += sort.spilledBytes;
    sort.close();
  }

  private putPairs(walk: GroupWalk): void {
    const { left, right } = walk;
    const { scratch, group, matches } = this;
    if (isFilter(this.type)) {
      scratch.clear();
      do matches.append(left.buffer, left.valueStart, left.valueEnd, scratch);
      while (walk.nextLeft());
      return;
    }
    group.clear();
    do group.add(right.buffer, right.valueStart, right.valueEnd);
    while (walk.nextRight());
    do {
      group.rewind();
      while (group.next()) {
        // Key: both ordinals, so that equal left rows keep the right ones in order. Value: that of the right row.
        scratch.clear();
        scratch.bytes(left.buffer, left.valueStart, left.valueEnd);
        scratch.bytes(group.buffer, group.start, group.end);
        matches.appendSplit(scratch, 2 * ORDINAL_BYTES);
      }
    } while (walk.nextLeft());
  }

  private putUnmatched(walk: GroupWalk): void {
    const { right } = walk;
    const { scratch } = this;
    do {
      const valueStart = right.valueStart + ORDINAL_BYTES;
      const keyBytes = right.keyEnd - right.keyStart;
      scratch.clear();
      scratch.bytes(right.buffer, right.valueStart, valueStart);
      scratch.reserve(LENGTH_BYTES);
      scratch.buffer.writeUInt32BE(keyBytes, scratch.length);
      scratch.length += LENGTH_BYTES;
      scratch.bytes(right.buffer, right.keyStart, right.keyEnd);
      scratch.bytes(right.buffer, valueStart, right.valueEnd);
      this.unmatched.appendSplit(scratch, ORDINAL_BYTES);
    } while (walk.nextRight());
  }

  private nextMatch(result: MergeReader): void {
    this.matchOrdinal = result.next()
      ? getOrdinal(result.buffer, result.keyStart)
      : Number.POSITIVE_INFINITY;
  }

  /** Left rows in their order, each with its matches, until the chunk is done or `emit` says false. */
  private readLeft(emit: EmitPair): void {
    const { type, side: left, result } = this;
    if (result === undefined) return;
    const isPairing = !isFilter(type);
    for (let room = JOIN_CHUNK_RECORDS; room > 0; room--) {
      if (isPairing && this.matchOrdinal === this.ordinal) {
        const value = decodeValue(result.buffer, result.valueStart, result.valueEnd);
        this.nextMatch(result);
        if (!emit(this.leftValue, value, this.key)) return;
        continue;
      }
      if (!left.next()) {
        this.startRest(result);
        return;
      }
      this.ordinal++;
      const isMatched = this.matchOrdinal === this.ordinal;
      if (isMatched && !isPairing) this.nextMatch(result);
      if (!(isMatched ? type !== 'anti' : keepsLeft(type))) continue;
      this.key = decodeKey(left.buffer, left.keyStart, left.keyEnd);
      this.leftValue = decodeValue(left.buffer, left.valueStart, left.valueEnd);
      if (isMatched && isPairing) continue;
      if (!emit(this.leftValue, undefined, this.key)) return;
    }
  }

  private startRest(matches: MergeReader): void {
    matches.close();
    this.done(this.matches);
    this.result = this.unmatched.reader(Math.floor(this.options.memoryBytes / 2));
    this.phase = REST;
  }

  private readRest(emit: EmitPair): void {
    const { result: reader } = this;
    for (let room = JOIN_CHUNK_RECORDS; room > 0; room--) {
      if (reader?.next() !== true) {
        this.done(this.unmatched);
        this.phase = DONE;
        return;
      }
      const { buffer, valueStart } = reader;
      const keyStart = valueStart + LENGTH_BYTES;
      const keyEnd = keyStart + buffer.readUInt32BE(valueStart);
      const key = decodeKey(buffer, keyStart, keyEnd);
      if (!emit(undefined, decodeValue(buffer, keyEnd, reader.valueEnd), key)) return;
    }
  }

  private putOrdinal(ordinal: number): void {
    const { scratch } = this;
    scratch.reserve(ORDINAL_BYTES);
    scratch.buffer.writeUInt32BE(Math.floor(ordinal / 0x1_0000_0000), scratch.length);
    scratch.buffer.writeUInt32BE(ordinal % 0x1_0000_0000, scratch.length + 4);
    scratch.length += ORDINAL_BYTES;
  }
}

function getOrdinal(buffer: Buffer, at: number): number {
  return buffer.readUInt32BE(at) * 0x1_0000_0000 + buffer.readUInt32BE(at + 4);
}
