/**
 * The partitioned hash join: the right side of a partition goes into a table, the left side is looked up in it as it comes. Needs
 * no sorted input. When the table does not fit into the memory, `ordinal-join.ts` takes over, with the same order of output.
 *
 * @hot Per pair nothing is allocated; left values and keys are decoded only for rows that come out.
 */
import { decodeKey } from '../../../core/key-codec.ts';
import { JOIN_CHUNK_RECORDS } from '../../../core/limits.ts';
import { decodeValue } from '../../../core/value-codec.ts';
import type { JoinType } from '../../../flow/plan.ts';
import type { MergeReader } from '../exchange.ts';
import type { EmitPair, JoinRunner } from '../record-input.ts';
import type { JoinOptions } from './join-options.ts';
import { isFilter, keepsLeft, keepsRight } from './join-options.ts';
import { JoinTable } from './join-table.ts';
import { isNullKey } from './null-key.ts';
import { OrdinalJoin } from './ordinal-join.ts';

const BUILD = 0;
const PROBE = 1;
const PAIRS = 2;
const REST = 3;
const DONE = 4;

export class HashJoin implements JoinRunner {
  private readonly options: JoinOptions;
  private readonly type: JoinType;
  private readonly table: JoinTable;
  private readonly right: MergeReader;
  private left: MergeReader | undefined;
  private fallback: OrdinalJoin | undefined;
  private phase = BUILD;
  private key: unknown;
  private leftValue: unknown;
  /** In PAIRS and REST: the right row that comes next. */
  private row = 0;

  constructor(options: JoinOptions) {
    this.options = options;
    this.type = options.type;
    this.table = new JoinTable(options.memoryBytes);
    this.right = options.right();
  }

  get records(): number {
    if (this.fallback !== undefined) return this.fallback.records;
    return this.right.records + (this.left?.records ?? 0);
  }

  get bytes(): number {
    if (this.fallback !== undefined) return this.fallback.bytes;
    return this.right.bytes + (this.left?.bytes ?? 0);
  }

  get spills(): number {
    return this.fallback?.spills ?? 0;
  }

  get spilledBytes(): number {
    return this.fallback?.spilledBytes ?? 0;
  }

  read(emit: EmitPair): boolean {
    if (this.fallback !== undefined) return this.fallback.read(emit);
    if (this.phase === BUILD) return this.build();
    const end = this.records + JOIN_CHUNK_RECORDS;
    let goesOn = true;
    while (goesOn && this.phase !== DONE) {
      if (this.phase === PROBE) goesOn = this.probe(emit, end);
      else if (this.phase === PAIRS) goesOn = this.pairs(emit);
      else goesOn = this.rest(emit);
    }
    return this.phase === DONE;
  }

  close(): void {
    this.right.close();
    this.left?.close();
    this.fallback?.close();
    this.table.clear();
  }

  /** Puts a chunk of the right side into the table. Never at the end of the join: false. */
  private build(): boolean {
    const { right, table } = this;
    const needsValues = !isFilter(this.type);
    for (let room = JOIN_CHUNK_RECORDS; room > 0; room--) {
      if (!right.next()) {
        this.left = this.options.left();
        this.phase = PROBE;
        return false;
      }
      const { buffer, keyStart, keyEnd } = right;
      const fits = needsValues
        ? table.add(buffer, keyStart, keyEnd, right.valueStart, right.valueEnd)
        : table.addKey(buffer, keyStart, keyEnd);
      if (!fits) {
        table.clear();
        right.close();
        this.fallback = new OrdinalJoin(this.options);
        return false;
      }
    }
    return false;
  }

  /** Looks up left rows until one has pairs (then true, to go on with them), or the chunk is done. */
  private probe(emit: EmitPair, recordsEnd: number): boolean {
    const { type, table, left } = this;
    if (left === undefined) return false;
    const isPairing = !isFilter(type);
    while (left.next()) {
      const { buffer, keyStart, keyEnd } = left;
      const entry = isNullKey(buffer, keyStart, keyEnd) ? -1 : table.find(buffer, keyStart, keyEnd);
      const isWanted = entry < 0 ? keepsLeft(type) : type !== 'anti';
      if (isWanted) {
        const value = decodeValue(buffer, left.valueStart, left.valueEnd);
        if (entry >= 0 && isPairing) {
          table.setMatched(entry);
          this.leftValue = value;
          this.key = table.key(entry);
          this.row = table.firstRow(entry);
          this.phase = PAIRS;
          return true;
        }
        const key = entry >= 0 ? table.key(entry) : decodeKey(buffer, keyStart, keyEnd);
        if (!emit(value, undefined, key)) return false;
      }
      if (this.records >= recordsEnd) return false;
    }
    this.phase = keepsRight(type) ? REST : DONE;
    this.row = 0;
    return true;
  }

  private pairs(emit: EmitPair): boolean {
    const { table, leftValue, key } = this;
    for (let room = JOIN_CHUNK_RECORDS; room > 0; room--) {
      const { row } = this;
      this.row = table.nextRow(row);
      if (this.row < 0) this.phase = PROBE;
      const goesOn = emit(leftValue, table.value(row), key);
      if (!goesOn || this.phase === PROBE) return goesOn;
    }
    return false;
  }

  /** Right rows that no left row had the key of. */
  private rest(emit: EmitPair): boolean {
    const { table } = this;
    for (let room = JOIN_CHUNK_RECORDS; room > 0; room--) {
      if (this.row === table.rows) {
        this.phase = DONE;
        return true;
      }
      const row = this.row++;
      if (!table.rowIsMatched(row) && !emit(undefined, table.value(row), table.rowKey(row)))
        return false;
    }
    return false;
  }
}
