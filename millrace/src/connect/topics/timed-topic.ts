/**
 * A topic for bounded runs that know of time: each record with its event time, and with the time at which a run without end comes to it (the
 * latest before it in its partition). The second needs all records before: a partition is one split.
 */
import { MillraceError } from '../../core/errors.ts';
import { TIMESTAMP_AHEAD_MS_MAX } from '../../core/stream-limits.ts';
import type { ReadContext, Source, SplitReader } from '../../flow/source.ts';
import type { TopicPort } from '../../flow/topic-port.ts';
import type { TopicReader } from './topic-reader.ts';

/** @param source the topic without times */
export function timedTopic(source: Source, port: TopicPort): Source {
  const timed: Source = {
    ...source,
    plan: (context) => source.plan({ ...context, splitBytes: Number.MAX_SAFE_INTEGER }),
    open: (split, context) =>
      new TimedReader(source.open(split, context) as TopicReader<unknown, unknown>, port, context),
  };
  return Object.freeze(timed);
}

class TimedReader implements SplitReader {
  private readonly inner: TopicReader<unknown, unknown>;
  private readonly port: TopicPort;
  private readonly context: ReadContext;
  /** The latest time so far. */
  private m = Number.NEGATIVE_INFINITY;

  constructor(inner: TopicReader<unknown, unknown>, port: TopicPort, context: ReadContext) {
    this.inner = inner;
    this.port = port;
    this.context = context;
  }

  get consumedBytes(): number {
    return this.inner.consumedBytes;
  }

  read(emit: (value: unknown, key: unknown) => boolean): Promise<boolean> {
    return this.inner.read((v, key) => {
      const t = this.timeOf(v, key);
      if (t === undefined) return true;
      if (t > this.m) this.m = t;
      return emit({ t, m: this.m, v, o: undefined }, key);
    });
  }

  position(): string {
    return this.inner.position();
  }

  mark(): number {
    return this.inner.mark();
  }

  locate(mark: number): string {
    return this.inner.locate(mark);
  }

  close(): Promise<void> {
    return this.inner.close();
  }

  /** undefined: it has none that is possible, and is skipped. */
  private timeOf(value: unknown, key: unknown): number | undefined {
    const { of } = this.port.time;
    try {
      // What has no value says nothing of its time.
      const given = of === undefined || value === null ? this.inner.timestamp : of(value, key);
      return this.checked(given instanceof Date ? given.getTime() : given);
    } catch (error) {
      this.refuse(error, value);
      return undefined;
    }
  }

  private checked(time: unknown): number {
    if (typeof time !== 'number' || !Number.isFinite(time) || time < 0)
      throw new MillraceError('ML_TIMESTAMP_INVALID', `its time is ${String(time)}`);
    const { clock } = this.context.env;
    if (time > clock.nowMs() + TIMESTAMP_AHEAD_MS_MAX)
      throw new MillraceError(
        'ML_TIMESTAMP_INVALID',
        `its time, ${new Date(time).toISOString()}, is more than ${TIMESTAMP_AHEAD_MS_MAX} ms ahead of the wall clock`,
      );
    return time;
  }

  private refuse(error: unknown, value: unknown): void {
    const known = error instanceof MillraceError ? error : undefined;
    const reason = error instanceof Error ? error.message : String(error);
    this.context.malformed(
      new MillraceError(known?.code ?? 'ML_USER_FUNCTION', `${this.position()}: ${reason}`, {
        cause: error,
        fields: { topic: this.port.name },
      }),
      textOf(value).slice(0, TOLD_CHARS_MAX),
    );
  }
}

/** Of a record that is refused, so much is told. */
const TOLD_CHARS_MAX = 1024;

function textOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}
