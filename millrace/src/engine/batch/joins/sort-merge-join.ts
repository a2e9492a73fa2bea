/**
 * The sort-merge join: both sides come sorted by key, so one walk through both finds all pairs. Holds the right rows of one key,
 * and nothing else; the order of the pairs is in `join-options.ts`.
 *
 * @hot Per pair nothing is allocated; a left row is decoded once, a right row once per key.
 */
import { decodeKey } from '../../../core/key-codec.ts';
import { JOIN_CHUNK_RECORDS } from '../../../core/limits.ts';
import { decodeValue } from '../../../core/value-codec.ts';
import type { JoinType } from '../../../flow/plan.ts';
import type { EmitPair, JoinRunner } from '../record-input.ts';
import { BOTH, END, GroupWalk, LEFT_ONLY } from './group-walk.ts';
import type { JoinOptions } from './join-options.ts';
import { isFilter, keepsLeft, keepsRight } from './join-options.ts';
import { RightGroup } from './right-group.ts';

/** What the rows of the current key are for. */
const SEEK = 0;
const LEFT_ROWS = 1;
const RIGHT_ROWS = 2;
const PAIRS = 3;
const DONE = 4;

export class SortMergeJoin implements JoinRunner {
  private readonly type: JoinType;
  private readonly walk: GroupWalk;
  private readonly group: RightGroup;
  private phase = SEEK;
  private key: unknown;
  /** In PAIRS: the left row that is being joined. */
  private leftValue: unknown;

  constructor(options: JoinOptions) {
    this.type = options.type;
    this.walk = new GroupWalk(options.left(), options.right());
    this.group = new RightGroup(options);
  }

  get records(): number {
    return this.walk.left.records + this.walk.right.records;
  }

  get bytes(): number {
    return this.walk.left.bytes + this.walk.right.bytes;
  }

  get spills(): number {
    return this.group.spills;
  }

  get spilledBytes(): number {
    return this.group.spilledBytes;
  }

  read(emit: EmitPair): boolean {
    const recordsEnd = this.records + JOIN_CHUNK_RECORDS;
    while (this.phase !== DONE) {
      const goesOn = this.step(emit);
      if (!goesOn || this.records >= recordsEnd) return this.phase === DONE;
    }
    return true;
  }

  close(): void {
    this.walk.left.close();
    this.walk.right.close();
    this.group.close();
  }

  /** Works on the current key until it is done or `emit` says false (then false). */
  private step(emit: EmitPair): boolean {
    switch (this.phase) {
      case SEEK:
        this.seek();
        return true;
      case LEFT_ROWS:
        return this.leftRows(emit);
      case RIGHT_ROWS:
        return this.rightRows(emit);
      default:
        return this.pairs(emit);
    }
  }

  /** To the next key, and what its rows are for. */
  private seek(): void {
    const { type, walk } = this;
    const sides = walk.next();
    if (sides === END) {
      this.phase = DONE;
      return;
    }
    if (sides === BOTH && !isFilter(type)) {
      this.startPairs();
      return;
    }
    if (sides === BOTH ? type === 'semi' : sides === LEFT_ONLY && keepsLeft(type)) {
      this.phase = LEFT_ROWS;
      this.key = decodeKey(walk.left.buffer, walk.left.keyStart, walk.left.keyEnd);
    } else if (sides !== BOTH && sides !== LEFT_ONLY && keepsRight(type)) {
      this.phase = RIGHT_ROWS;
      this.key = decodeKey(walk.right.buffer, walk.right.keyStart, walk.right.keyEnd);
    }
  }

  private startPairs(): void {
    const { walk, group } = this;
    const { left, right } = walk;
    this.phase = PAIRS;
    this.key = decodeKey(left.buffer, left.keyStart, left.keyEnd);
    group.clear();
    do group.add(right.buffer, right.valueStart, right.valueEnd);
    while (walk.nextRight());
    group.rewind();
    this.leftValue = decodeValue(left.buffer, left.valueStart, left.valueEnd);
  }

  private leftRows(emit: EmitPair): boolean {
    const { walk } = this;
    const { left } = walk;
    const recordsEnd = left.records + JOIN_CHUNK_RECORDS;
    for (;;) {
      const value = decodeValue(left.buffer, left.valueStart, left.valueEnd);
      const goesOn = emit(value, undefined, this.key);
      if (!walk.nextLeft()) {
        this.phase = SEEK;
        return goesOn;
      }
      if (!goesOn || left.records >= recordsEnd) return false;
    }
  }

  private rightRows(emit: EmitPair): boolean {
    const { walk } = this;
    const { right } = walk;
    const recordsEnd = right.records + JOIN_CHUNK_RECORDS;
    for (;;) {
      const value = decodeValue(right.buffer, right.valueStart, right.valueEnd);
      const goesOn = emit(undefined, value, this.key);
      if (!walk.nextRight()) {
        this.phase = SEEK;
        return goesOn;
      }
      if (!goesOn || right.records >= recordsEnd) return false;
    }
  }

  private pairs(emit: EmitPair): boolean {
    const { walk, group } = this;
    const { left } = walk;
    for (let room = JOIN_CHUNK_RECORDS; room > 0; room--) {
      if (group.next()) {
        if (!emit(this.leftValue, group.value(), this.key)) return false;
        continue;
      }
      if (!walk.nextLeft()) {
        this.phase = SEEK;
        return true;
      }
      this.leftValue = decodeValue(left.buffer, left.valueStart, left.valueEnd);
      group.rewind();
    }
    return false;
  }
}
