/** Writes states of queues as records, in batches of bounded size. */
import { QUEUE_STATE_BATCH_BYTES_MAX } from '../../../core/queue-limits.ts';
import type { InternalLog, InternalRecord } from '../../internal-log.ts';
import type { PartitionState, StateChanges } from './partition-state.ts';
import { chunkOf } from './offset-chunk.ts';
import { encodeChunk, encodeDedupe, encodeHead, encodeKey } from './state-records.ts';

export class StateWriter {
  bytesWritten = 0;
  private readonly log: InternalLog;
  private records: InternalRecord[] = [];
  private bytes = 0;
  /** To be done when the records are durable. */
  private done: (() => void)[] = [];

  constructor(log: InternalLog) {
    this.log = log;
  }

  /** Chunks and keys that are forgotten, then the head, then tombstones of chunks below its floor, then keys that are remembered. */
  async changes(state: PartitionState, changes: StateChanges): Promise<void> {
    const { head, chunks, dedupeKeys } = changes;
    const floorChunk = chunkOf(head.floor);
    for (const [from, to] of rangesOf(chunks))
      for (let number = Math.max(from, floorChunk); number < to; number++)
        if (this.chunk(state, number)) await this.send();
    for (const key of dedupeKeys)
      if (state.dedupe.untilOf(key) === undefined && this.dedupe(state, key)) await this.send();
    this.add(encodeKey({ kind: 'head', id: state.id }), encodeHead(head));
    for (const [from, to] of rangesOf(state.written))
      for (let number = from; number < Math.min(to, floorChunk); number++)
        if (this.chunkTombstone(state, number)) await this.send();
    for (const key of dedupeKeys)
      if (state.dedupe.untilOf(key) !== undefined && this.dedupe(state, key)) await this.send();
  }

  /** Tombstones of everything that was written of a state; the head last, so that a removal that was cut short is begun again. */
  async removal(state: PartitionState): Promise<void> {
    const { id } = state;
    for (const key of new Set([...state.dedupe.keys(), ...state.dedupe.changed]))
      if (this.add(encodeKey({ kind: 'dedupe', id, key }), null)) await this.send();
    for (const [from, to] of rangesOf(state.written))
      for (let number = from; number < to; number++)
        if (this.chunkTombstone(state, number)) await this.send();
    this.add(encodeKey({ kind: 'head', id }), null);
  }

  /** Appends what was added. Durable when it resolves. */
  async send(): Promise<void> {
    const { records, bytes, done } = this;
    if (records.length === 0) return;
    this.records = [];
    this.bytes = 0;
    this.done = [];
    await this.log.append(records);
    this.bytesWritten += bytes;
    for (const act of done) act();
  }

  private chunk(state: PartitionState, number: number): boolean {
    const chunk = state.offsets.chunkToWrite(number);
    if (chunk === undefined) return state.written.has(number) && this.chunkTombstone(state, number);
    this.done.push(() => {
      state.written.add(number, number + 1);
    });
    return this.add(encodeKey({ kind: 'chunk', id: state.id, number }), encodeChunk(chunk));
  }

  private dedupe(state: PartitionState, key: string): boolean {
    const untilMs = state.dedupe.untilOf(key);
    const value = untilMs === undefined ? null : encodeDedupe(untilMs);
    return this.add(encodeKey({ kind: 'dedupe', id: state.id, key }), value);
  }

  private chunkTombstone(state: PartitionState, number: number): boolean {
    this.done.push(() => {
      state.written.removeOne(number);
    });
    return this.add(encodeKey({ kind: 'chunk', id: state.id, number }), null);
  }

  /** @returns whether the batch is large enough */
  private add(key: Buffer, value: Buffer | null): boolean {
    this.records.push({ key, value });
    this.bytes += key.length + (value?.length ?? 0);
    return this.bytes >= QUEUE_STATE_BATCH_BYTES_MAX;
  }
}

/** The ranges as they are now. */
function rangesOf(numbers: {
  forEachRange(visit: (from: number, to: number) => void): void;
}): [number, number][] {
  const ranges: [number, number][] = [];
  numbers.forEachRange((from, to) => {
    ranges.push([from, to]);
  });
  return ranges;
}
