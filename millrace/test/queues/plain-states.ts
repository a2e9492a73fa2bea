/**
 * States of queues as plainly as can be: sets and maps in memory. They outlive a queue that is closed, or a machine that is cut, as they
 * were at the last flush.
 */
import type {
  QueueNotes,
  QueueState,
  QueueStateId,
  QueueStates,
} from '../../src/broker/queues/state/queue-state.ts';

interface Saved {
  readonly floor: number;
  readonly next: number;
  readonly settled: readonly number[];
  readonly counts: readonly (readonly [number, number])[];
  readonly dues: readonly (readonly [number, number])[];
  readonly marked: readonly number[];
  readonly notes: QueueNotes;
  readonly keys: readonly (readonly [string, number])[];
}

export class PlainState implements QueueState {
  floor: number;
  next: number;
  notes: QueueNotes;
  private readonly settled: Set<number>;
  private readonly counts: Map<number, number>;
  private readonly dues: Map<number, number>;
  private readonly marked: Set<number>;
  private readonly keys: Map<string, number>;

  constructor(saved: Saved) {
    this.floor = saved.floor;
    this.next = saved.next;
    this.notes = saved.notes;
    this.settled = new Set(saved.settled);
    this.counts = new Map(saved.counts);
    this.dues = new Map(saved.dues);
    this.marked = new Set(saved.marked);
    this.keys = new Map(saved.keys);
  }

  get settledAbove(): number {
    return this.settled.size;
  }

  isSettled(offset: number): boolean {
    return offset < this.floor || this.settled.has(offset);
  }

  settle(offset: number): void {
    if (offset < this.floor) return;
    this.settled.add(offset);
    this.counts.delete(offset);
    this.dues.delete(offset);
    this.marked.delete(offset);
    while (this.settled.delete(this.floor)) this.floor++;
    this.next = Math.max(this.next, this.floor);
  }

  settleRange(from: number, to: number): void {
    for (let offset = Math.max(from, this.floor); offset < to; offset++) this.settle(offset);
  }

  unsettledFrom(from: number): number {
    let offset = Math.max(from, this.floor);
    while (this.settled.has(offset)) offset++;
    return offset;
  }

  unsettledIn(from: number, to: number): number {
    let count = 0;
    for (let offset = Math.max(from, this.floor); offset < to; offset++)
      if (!this.settled.has(offset)) count++;
    return count;
  }

  handOutTo(next: number): void {
    this.next = Math.max(this.next, next);
  }

  countOf(offset: number): number {
    return this.counts.get(offset) ?? 0;
  }

  raiseCount(offset: number): number {
    const count = this.countOf(offset) + 1;
    this.counts.set(offset, count);
    return count;
  }

  dueOf(offset: number): number {
    return this.dues.get(offset) ?? 0;
  }

  setDue(offset: number, dueMs: number): void {
    this.dues.set(offset, dueMs);
  }

  dueOffsets(): Float64Array {
    return Float64Array.from(this.dues.keys()).sort();
  }

  get markedFrom(): number {
    return this.marked.size === 0 ? -1 : Math.min(...this.marked);
  }

  mark(offset: number): void {
    if (!this.isSettled(offset)) this.marked.add(offset);
  }

  note(notes: QueueNotes): void {
    this.notes = notes;
  }

  remember(key: string, untilMs: number): void {
    this.keys.set(key, untilMs);
  }

  remembers(key: string, nowMs: number): boolean {
    return (this.keys.get(key) ?? -Infinity) > nowMs;
  }

  save(): Saved {
    return {
      floor: this.floor,
      next: this.next,
      settled: [...this.settled],
      counts: [...this.counts],
      dues: [...this.dues],
      marked: [...this.marked],
      notes: this.notes,
      keys: [...this.keys],
    };
  }
}

export class PlainStates implements QueueStates {
  readonly saved = new Map<string, Saved>();
  private readonly opened = new Map<string, PlainState>();

  async open(
    { queueId, partition }: QueueStateId,
    log: { readonly logStartOffset: number; readonly logEndOffset: number },
    options: { readonly durable: boolean; readonly startOffset?: number },
  ): Promise<QueueState> {
    await Promise.resolve();
    const id = `${queueId}/${partition}`;
    const start = options.startOffset ?? 0;
    const saved = this.saved.get(id) ?? {
      floor: start,
      next: start,
      settled: [],
      counts: [],
      dues: [],
      marked: [],
      notes: { bytes: 0, countedTo: start },
      keys: [],
    };
    const end = log.logEndOffset;
    const state = new PlainState({
      ...saved,
      floor: Math.min(Math.max(saved.floor, log.logStartOffset), end),
      next: Math.min(Math.max(saved.next, log.logStartOffset), end),
      settled: saved.settled.filter((offset) => offset < end),
      counts: saved.counts.filter(([offset]) => offset < end),
      dues: saved.dues.filter(([offset]) => offset < end),
      marked: saved.marked.filter((offset) => offset < end),
      notes: { ...saved.notes, countedTo: Math.min(saved.notes.countedTo, end) },
    });
    if (options.durable) this.opened.set(id, state);
    return state;
  }

  /** What is open now, for tests that look into it. */
  state(queueId: string, partition = 0): PlainState | undefined {
    return this.opened.get(`${queueId}/${partition}`);
  }

  async flush(): Promise<void> {
    for (const [id, state] of this.opened) this.saved.set(id, state.save());
    await Promise.resolve();
  }

  async remove(queueId: string): Promise<void> {
    for (const id of this.saved.keys()) if (id.startsWith(queueId)) this.saved.delete(id);
    await Promise.resolve();
  }

  ids(): readonly string[] {
    return [...new Set([...this.saved.keys()].map((id) => id.slice(0, id.indexOf('/'))))];
  }

  /** The machine lost its power: what was not flushed is forgotten. */
  crash(): void {
    this.opened.clear();
  }

  async close(): Promise<void> {
    await this.flush();
    this.opened.clear();
  }
}
