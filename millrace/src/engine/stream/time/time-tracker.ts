/**
 * How far time has come in a task. T is the smallest time of all inputs that count; it never goes back.
 *
 *   topic     latest timestamp seen - outOfOrder
 *   exchange  the smallest T of the tasks that write it, as their markers say
 *
 * An input that has not had a record, and is read to its end, does not count; nor does one that is idle: at its end, and silent for its
 * `idleMs`. When none counts, and some are idle, time goes on with the wall clock: each idle input's time plus how long it has been silent.
 * Idleness is decided at the end of the input only, so that a slow reader is never taken for a silent producer.
 *
 * @hot `record` per record; the rest per fetch or per marker.
 * Source: Akidau et al., "Watermarks in Stream Processing Systems" (2021); Flink's idleness.
 */

export interface TimeInput {
  /** Of topics. */
  readonly outOfOrderMs: number;
  /** undefined: never idle. Of topics. */
  readonly idleMs: number | undefined;
  /** Tasks that write the exchange; 0: it is a topic. */
  readonly writers: number;
  /** Its records never become those of a result: they only change a table that others ask. Time does not wait for it. */
  readonly isSilent: boolean;
}

/**
 * `absent`: it has no time of its own and does not count. `clock`: it is idle; time goes on without it, with the wall clock if need be, but
 * only up to what it still has to say (`until`).
 */
export type Counting = 'counts' | 'absent' | 'clock';

/** What is kept of one input. */
export interface InputTime {
  /** Latest timestamp seen; -Infinity: none. Of an exchange: not used. */
  seen: number;
  readonly writers: readonly WriterTime[];
}
export interface WriterTime {
  /** T as it said last; -Infinity: nothing yet. */
  time: number;
  counting: Counting;
  /** Of `clock`: time at which it has something to say, such as the result of a window that is open; Infinity: nothing. */
  until: number;
}

const NOTHING: InputTime = { seen: Number.NEGATIVE_INFINITY, writers: [] };

class InputClock implements InputTime {
  seen = Number.NEGATIVE_INFINITY;
  readonly writers: readonly WriterTime[];
  /** What T may be; Infinity while it does not count. */
  value = Number.NEGATIVE_INFINITY;
  isAtEnd = false;
  /** Silent for its `idleMs`. */
  isIdle = false;
  /** Wall clock of its last record, or marker, or of when it was found at its end. */
  activeMs: number;
  readonly spec: TimeInput;

  constructor(spec: TimeInput, nowMs: number) {
    this.spec = spec;
    this.activeMs = nowMs;
    this.writers = Array.from({ length: spec.writers }, () => ({
      time: Number.NEGATIVE_INFINITY,
      counting: 'counts' as const,
      until: Number.POSITIVE_INFINITY,
    }));
  }

  get counting(): Counting {
    if (this.writers.length === 0) {
      if (this.isIdle) return 'clock';
      return this.isAtEnd && this.seen === Number.NEGATIVE_INFINITY ? 'absent' : 'counts';
    }
    let counting: Counting = 'absent';
    for (const writer of this.writers) {
      if (writer.counting === 'counts') return 'counts';
      if (writer.counting === 'clock') counting = 'clock';
    }
    return counting;
  }

  update(): void {
    this.value = Number.POSITIVE_INFINITY;
    if (this.writers.length === 0) {
      if (this.counting === 'counts') this.value = this.seen - this.spec.outOfOrderMs;
      return;
    }
    for (const { time, counting, until } of this.writers) {
      const limit = counting === 'counts' ? time : until;
      if (counting !== 'absent' && limit < this.value) this.value = limit;
    }
  }

  /** Its time as of `nowMs`, when it is idle. */
  clockTime(nowMs: number): number {
    let time = this.seen - this.spec.outOfOrderMs;
    for (const writer of this.writers)
      if (writer.counting === 'clock' && writer.time > time) time = writer.time;
    return time + Math.max(nowMs - this.activeMs, 0);
  }
}

export class TimeTracker {
  /** T. */
  now = Number.NEGATIVE_INFINITY;
  readonly #all: readonly InputClock[];
  /** Those that time waits for. */
  readonly #counted: readonly InputClock[];

  constructor(inputs: readonly TimeInput[], nowMs: number) {
    this.#all = inputs.map((spec) => new InputClock(spec, nowMs));
    const counted = this.#all.filter(({ spec }) => !spec.isSilent);
    this.#counted = counted.length > 0 ? counted : this.#all;
  }

  /** A record of a topic is processed. */
  record(input: number, time: number): void {
    const clock = this.#all[input];
    if (clock === undefined || (time <= clock.seen && !clock.isIdle)) return;
    if (time > clock.seen) clock.seen = time;
    clock.isIdle = false;
    if (clock.spec.isSilent && this.#counted !== this.#all) return;
    const value = clock.seen - clock.spec.outOfOrderMs;
    const before = clock.value;
    clock.value = value;
    // Only an input that held time back can let it go on.
    if (before <= this.now || before === Number.POSITIVE_INFINITY) this.#raise();
  }

  /** Every topic is taken to have had a record that makes its time `time`. */
  raise(time: number): void {
    for (const clock of this.#all) {
      if (clock.writers.length > 0) continue;
      const seen = time + clock.spec.outOfOrderMs;
      if (seen > clock.seen) clock.seen = seen;
      clock.isIdle = false;
      clock.update();
    }
    this.#update();
  }

  /** A marker of an exchange: the writer will send nothing from before `time`. */
  marker(input: number, writer: number, at: WriterTime, nowMs: number): void {
    const clock = this.#all[input];
    const known = clock?.writers[writer];
    if (clock === undefined || known === undefined) return;
    if (at.time > known.time) known.time = at.time;
    known.counting = at.counting;
    known.until = at.until;
    clock.activeMs = nowMs;
    clock.update();
    this.#update();
  }

  /** Records of an input have been processed since this was called last. */
  active(input: number, nowMs: number): void {
    const clock = this.#all[input];
    if (clock === undefined) return;
    if (clock.writers.length === 0) clock.activeMs = nowMs;
  }

  /** Nothing of the input waits, and whether it is known to have no more. */
  atEnd(input: number, isAtEnd: boolean, nowMs: number): void {
    const clock = this.#all[input];
    if (clock === undefined || clock.isAtEnd === isAtEnd) return;
    clock.isAtEnd = isAtEnd;
    if (isAtEnd && clock.writers.length === 0 && nowMs > clock.activeMs) clock.activeMs = nowMs;
    // What was idle comes back with a record that has a time, not with the news that there is one.
    clock.update();
    this.#update();
  }

  /** Whether T counts for who reads what this task writes. */
  get counting(): Counting {
    let counting: Counting = 'absent';
    for (const clock of this.#counted) {
      const own = clock.counting;
      if (own === 'counts') return 'counts';
      if (own === 'clock') counting = 'clock';
    }
    return counting;
  }

  /**
   * Wall clock: inputs become idle, and when all are, time goes on.
   * @param wanted T at which somebody waits for it
   * @returns when there is something to do by the wall clock; Infinity: not
   */
  tick(nowMs: number, wanted: number): number {
    let next = Number.POSITIVE_INFINITY;
    for (const clock of this.#counted) {
      const { idleMs, writers } = clock.spec;
      const canBeIdle = writers === 0 && idleMs !== undefined && clock.isAtEnd && !clock.isIdle;
      if (!canBeIdle || clock.seen === Number.NEGATIVE_INFINITY) continue;
      if (nowMs - clock.activeMs < idleMs) {
        next = Math.min(next, clock.activeMs + idleMs);
        continue;
      }
      clock.isIdle = true;
      clock.update();
    }
    this.#update();
    if (this.counting !== 'clock') return next;
    let time = this.now;
    for (const clock of this.#counted)
      if (clock.counting === 'clock') time = Math.max(time, clock.clockTime(nowMs));
    const limit = this.#limit();
    if (time > limit) time = limit;
    if (time > this.now) this.now = time;
    const isReachable = wanted <= limit && Number.isFinite(wanted);
    return isReachable ? Math.min(next, nowMs + Math.max(wanted - time, 1)) : next;
  }

  /** What a commit keeps of an input. */
  state(input: number): InputTime {
    return this.#all[input] ?? NOTHING;
  }

  /** @param saved as a commit kept it @param now T then */
  restore(input: number, saved: InputTime | undefined, now: number): void {
    if (now > this.now) this.now = now;
    const clock = this.#all[input];
    if (clock === undefined || saved === undefined) return;
    clock.seen = saved.seen;
    for (const [index, writer] of clock.writers.entries()) {
      const last = saved.writers[index];
      if (last === undefined) continue;
      writer.time = last.time;
      writer.counting = last.counting;
      writer.until = last.until;
    }
    clock.update();
  }

  /** An input has told something. When none counts, what those that are idle still have to say is a bound, and no time. */
  #update(): void {
    if (this.counting === 'counts') this.#raise();
  }

  /** Some input counts. */
  #raise(): void {
    const time = this.#limit();
    if (time !== Number.POSITIVE_INFINITY && time > this.now) this.now = time;
  }

  #limit(): number {
    let limit = Number.POSITIVE_INFINITY;
    for (const clock of this.#counted) if (clock.value < limit) limit = clock.value;
    return limit;
  }
}
