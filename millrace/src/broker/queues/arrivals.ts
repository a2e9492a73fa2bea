/**
 * What comes into a log, taken note of: how many messages and bytes, and what of them has to be remembered one by one. What the queue
 * appends itself is noted as it is appended; what others append (Kafka clients, flows) is read as it becomes stable.
 *
 * Invariant: everything below `seenTo` was noted, in the order of the log; holes below it are settled.
 */
import type { Background } from '../../core/background.ts';
import type { Logger } from '../../core/log.ts';
import { QUEUE_LOAD_BYTES, QUEUE_READ_BYTES } from '../../core/queue-limits.ts';
import type { PartitionLog } from '../../log/types.ts';
import type { LogRuns } from './log-runs.ts';
import { type MessageFacts, factsOf } from './message-facts.ts';
import type { Arrival, MessageIndex } from './message-index.ts';
import type { MessageDecoder, RecordView } from './message-record.ts';
import { recordAt, type Run, RunReader } from './run.ts';
import type { QueueState } from './state/queue-state.ts';

/** What is unsettled, of all that was noted. */
export interface Tally {
  messages: number;
  /** Of bodies. */
  bytes: number;
}

export interface ArrivalsOptions {
  readonly log: PartitionLog;
  readonly state: QueueState;
  readonly runs: LogRuns;
  readonly index: MessageIndex;
  readonly tally: Tally;
  readonly decoder: MessageDecoder;
  readonly background: Background;
  readonly logger: Logger;
  /** Of what others have written, copies of it that come later are known. */
  readonly remember: (facts: MessageFacts) => void;
  /** Whether a message came back before the start, and is due later: then it is taken up. */
  readonly takeUpDue: (record: RecordView) => boolean;
  readonly onSeen: () => void;
}

export class Arrivals {
  seenTo: number;
  private readonly options: ArrivalsOptions;
  private readonly reader = new RunReader();
  private isFollowing = false;
  private isClosed = false;

  constructor(options: ArrivalsOptions, seenTo: number) {
    this.options = options;
    this.seenTo = seenTo;
  }

  /** Notes the next message of the log. */
  note(arrival: Arrival, facts: MessageFacts): void {
    const { index, state } = this.options;
    this.count(arrival.bodyBytes);
    if (index.add(arrival, facts)) state.mark(arrival.offset);
  }

  private count(bodyBytes: number): void {
    const { tally } = this.options;
    tally.messages++;
    tally.bytes += bodyBytes;
  }

  /** Looks at what others have appended. */
  follow(): void {
    if (this.isFollowing || this.isClosed || this.seenTo >= this.options.log.lastStableOffset)
      return;
    this.options.background.run('arrivals of a queue', this.catchUp());
  }

  /** Resolves when all was looked at that is stable, as long as the disk can be read. */
  async catchUp(): Promise<void> {
    this.isFollowing = true;
    try {
      await this.followAll();
    } finally {
      this.isFollowing = false;
    }
  }

  private async followAll(): Promise<void> {
    const { log, runs } = this.options;
    while (!this.isClosed && this.seenTo < log.lastStableOffset) {
      const run = runs.find(this.seenTo) ?? (await runs.fetch(this.seenTo, QUEUE_READ_BYTES));
      if (this.isClosed) return;
      // A read that failed: it is tried again with the next message, or when the retry comes.
      if (run === undefined) return;
      this.noteRun(run);
      this.options.onSeen();
    }
    // What we have appended meanwhile, and is not stable, follows at once: or we would never catch up.
    for (let run = runs.find(this.seenTo); run !== undefined; run = runs.find(this.seenTo))
      this.noteRun(run);
  }

  private noteRun(run: Run): void {
    const { state, log, logger } = this.options;
    const { reader } = this;
    const { malformed } = reader;
    reader.open(run);
    while (reader.next(this.seenTo, Infinity)) {
      const { offset } = reader.record;
      if (offset > this.seenTo) state.settleRange(this.seenTo, offset);
      this.noteRecord();
      this.seenTo = offset + 1;
    }
    if (run.end > this.seenTo) state.settleRange(this.seenTo, run.end);
    this.seenTo = Math.max(this.seenTo, run.end);
    reader.close();
    if (reader.malformed > malformed) {
      const { topicId, partition } = log.id;
      const where = { topicId, partition, from: run.first, to: run.end };
      logger.warn('Records of a queue cannot be read as records and are left out', where);
    }
  }

  private noteRecord(): void {
    const { state, decoder, remember, takeUpDue } = this.options;
    const { record } = this.reader;
    const { offset } = record;
    if (state.isSettled(offset)) return;
    const facts = factsOf(decoder.decodeProperties(record));
    // Never taken for a copy: what is durable in the log may be the one whose key is remembered.
    remember(facts);
    if (takeUpDue(record)) this.count(record.valueEnd - record.valueStart);
    else this.note(arrivalOf(record), facts);
  }

  /**
   * Builds the index anew over [from, to), which was noted before: at start.
   * @param onIndexed of each message that is indexed
   */
  async rebuild(from: number, to: number): Promise<void> {
    const { runs, state, index, decoder, takeUpDue } = this.options;
    const { reader } = this;
    let position = from;
    while (position < to && !this.isClosed) {
      const run = runs.find(position) ?? (await runs.fetchPatiently(position, QUEUE_READ_BYTES));
      if (run === undefined) return;
      reader.open(run);
      while (reader.next(position, to)) {
        const { record } = reader;
        if (!state.isSettled(record.offset) && !takeUpDue(record))
          index.add(arrivalOf(record), factsOf(decoder.decodeProperties(record)));
      }
      position = state.unsettledFrom(Math.max(run.end, position + 1));
    }
    reader.close();
  }

  /** Takes up those of these messages that are due later: at start. `offsets`: in order. */
  async rebuildDue(offsets: Float64Array): Promise<void> {
    const { runs, takeUpDue } = this.options;
    for (const offset of offsets) {
      const run = runs.find(offset) ?? (await runs.fetchPatiently(offset, QUEUE_LOAD_BYTES));
      if (run === undefined || this.isClosed) return;
      const record = recordAt(run, offset);
      if (record !== undefined) takeUpDue(record);
    }
  }

  close(): void {
    this.isClosed = true;
  }
}

export function arrivalOf(record: RecordView): Arrival {
  return {
    offset: record.offset,
    timestampMs: record.timestamp,
    bodyBytes: record.valueEnd - record.valueStart,
  };
}
