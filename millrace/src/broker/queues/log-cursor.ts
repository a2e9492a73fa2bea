/**
 * Going through a log in its order, message by message, as far ahead as somebody wants.
 *
 * @hot `step`
 */
import { QUEUE_READ_BYTES } from '../../core/queue-limits.ts';
import type { RecordReader } from '../../wire/kafka/records/record-reader.ts';
import type { LogRuns } from './log-runs.ts';
import { type Run, RunReader } from './run.ts';

export type CursorStep = 'record' | 'end' | 'loading';

export class LogCursor {
  private readonly runs: LogRuns;
  private readonly reader = new RunReader();
  /** Offsets from..to in which there is no message were passed. */
  private readonly onHole: (from: number, to: number) => void;
  private run: Run | undefined;
  /** `record` is at `position`, and was not taken. */
  private hasRecord = false;
  /** The next offset that nobody has looked at, or that of the current message. */
  position: number;
  /** Where it was when it was last prepared. */
  private prepared = -1;

  constructor(runs: LogRuns, position: number, onHole: (from: number, to: number) => void) {
    this.runs = runs;
    this.position = position;
    this.onHole = onHole;
  }

  /** The current message, after `step` has answered `record`; until `take` or `seek`. */
  get record(): RecordReader {
    return this.reader.record;
  }

  get malformed(): number {
    return this.reader.malformed;
  }

  /** Goes to the next message below `limit` unless there is a current one. `loading`: call again when `onLoaded` has come. */
  step(limit: number): CursorStep {
    if (this.hasRecord) return 'record';
    for (;;) {
      if (this.position >= limit) return 'end';
      const { run } = this;
      if (run === undefined) {
        if (!this.open(limit)) return 'loading';
        continue;
      }
      if (this.reader.next(this.position, limit)) {
        const { offset } = this.reader.record;
        if (offset > this.position) this.onHole(this.position, offset);
        this.position = offset;
        this.hasRecord = true;
        return 'record';
      }
      if (run.end > limit) return 'end';
      if (run.end > this.position) this.onHole(this.position, run.end);
      this.position = Math.max(this.position, run.end);
      this.run = undefined;
    }
  }

  /** Begins to read what comes next, below `limit`: once where it is, as others may take the memory meanwhile. */
  prepare(limit: number): void {
    const { position, run, runs } = this;
    if (position >= limit || this.prepared === position) return;
    this.prepared = position;
    if (run !== undefined && run.end > position) return;
    if (runs.find(position) === undefined) runs.load(position, QUEUE_READ_BYTES);
  }

  private open(limit: number): boolean {
    const run = this.runs.find(this.position);
    if (run === undefined) {
      this.runs.load(this.position, QUEUE_READ_BYTES);
      return false;
    }
    this.run = run;
    this.reader.open(run);
    // What comes next is read while this is dealt with.
    if (run.end < limit && this.runs.find(run.end) === undefined)
      this.runs.load(run.end, QUEUE_READ_BYTES);
    return true;
  }

  /** Passes the current message. */
  take(): void {
    this.hasRecord = false;
    this.position++;
  }

  /** Goes on from an offset that is not behind the current one. */
  seek(offset: number): void {
    if (offset <= this.position) return;
    this.hasRecord = false;
    this.position = offset;
    if (this.run !== undefined && this.run.end <= offset) this.run = undefined;
  }

  /** Lets go of what it has in memory; it goes on from where it is. */
  rest(): void {
    this.hasRecord = false;
    this.run = undefined;
    this.reader.close();
  }
}
