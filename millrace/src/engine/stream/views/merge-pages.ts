/** Rows of all partitions of a view in one order, a page of each at a time. */
import { VIEW_ANSWER_BYTES_MAX } from '../../../core/http-limits.ts';
import { decodeValue } from '../../../core/value-codec.ts';
import { orderOf } from '../state/entry-key.ts';
import { type AsOf, Reflected } from './as-of.ts';
import type { TaskViewAnswer } from './http-peers.ts';
import type { PagePosition, ViewRow } from './view-row.ts';
import type { ViewSpec } from './view-spec.ts';

/** A partition is asked for at least so many rows at a time. */
const PAGE_ROWS_MIN = 16;

export interface MergedRows {
  readonly rows: readonly ViewRow[];
  /** Behind the last row; undefined: there are no more. */
  readonly next: PagePosition | undefined;
  readonly asOf: AsOf;
}

export interface MergeOptions {
  readonly spec: ViewSpec;
  /** Behind this. */
  readonly from: PagePosition;
  readonly limit: number;
  /** A page of a partition. */
  readonly ask: (partition: number, from: PagePosition, limit: number) => Promise<TaskViewAnswer>;
}

export async function mergePages({ spec, from, limit, ask }: MergeOptions): Promise<MergedRows> {
  const reflected = new Reflected();
  const pageRows = Math.min(
    limit,
    Math.max(PAGE_ROWS_MIN, Math.ceil((2 * limit) / spec.partitions)),
  );
  const lanes = Array.from(
    { length: spec.partitions },
    (_, partition) => new Lane(partition, from),
  );
  const fill = async (lane: Lane): Promise<void> => {
    while (lane.head === undefined && lane.next !== undefined) {
      const answer = await ask(lane.partition, lane.next, pageRows);
      reflected.add(answer);
      lane.take(answer);
    }
  };
  await Promise.all(lanes.map(fill));
  const rows: ViewRow[] = [];
  let last: PagePosition | undefined;
  while (rows.length < limit && bytesOf(lanes) < VIEW_ANSWER_BYTES_MAX) {
    const lane = firstOf(lanes, spec);
    if (lane?.head === undefined) break;
    rows.push(lane.head.row);
    last = { order: lane.head.order, after: subOf(spec, lane.head.row) };
    lane.shift();
    await fill(lane);
  }
  const isMore = lanes.some(({ head, next }) => head !== undefined || next !== undefined);
  return { rows, next: isMore ? (last ?? from) : undefined, asOf: reflected.asOf };
}

export function rowsOf({ page }: TaskViewAnswer): readonly ViewRow[] {
  const { rows } = page;
  const bytes = Buffer.from(rows.buffer, rows.byteOffset, rows.byteLength);
  return decodeValue(bytes, 0, bytes.length) as ViewRow[];
}

/** What orders rows of one key. */
export function subOf({ kind }: ViewSpec, { start, time }: ViewRow): number {
  if (kind === 'table') return 0;
  return (kind === 'history' ? time : start) ?? 0;
}

/** One partition. */
class Lane {
  readonly partition: number;
  head: { readonly row: ViewRow; readonly order: string } | undefined;
  next: PagePosition | undefined;
  /** Of all pages. */
  bytes = 0;
  private rows: readonly ViewRow[] = [];
  private at = 0;

  constructor(partition: number, next: PagePosition) {
    this.partition = partition;
    this.next = next;
  }

  take(answer: TaskViewAnswer): void {
    this.rows = rowsOf(answer);
    this.at = -1;
    this.next = answer.page.next;
    this.bytes += answer.page.rows.length;
    this.shift();
  }

  shift(): void {
    const row = this.rows[++this.at];
    this.head = row === undefined ? undefined : { row, order: orderOf(row.key) };
  }
}

function bytesOf(lanes: readonly Lane[]): number {
  return lanes.reduce((total, { bytes }) => total + bytes, 0);
}

function firstOf(lanes: readonly Lane[], spec: ViewSpec): Lane | undefined {
  let first: Lane | undefined;
  for (const lane of lanes) {
    const { head } = lane;
    if (head === undefined) continue;
    const best = first?.head;
    const isBefore =
      best === undefined ||
      head.order < best.order ||
      (head.order === best.order && subOf(spec, head.row) < subOf(spec, best.row));
    if (isBefore) first = lane;
  }
  return first;
}
