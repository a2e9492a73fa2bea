/**
 * A topic for bounded runs that know of time: each record with its event time, and with the time at which a run without end comes to it (the
 * latest before it in its partition). The second needs all records before: a partition is one split.
 */
import { MillraceError } from '../../core/errors.ts';
import type { Source, SplitReader } from '../../flow/source.ts';
import type { TopicPort } from '../../flow/topic-port.ts';
import type { TopicReader } from './topic-reader.ts';

/** @param source the topic without times */
export function timedTopic(source: Source, port: TopicPort): Source {
  const timed: Source = {
    ...source,
    plan: (context) => source.plan({ ...context, splitBytes: Number.MAX_SAFE_INTEGER }),
    open: (split, context) =>
      new TimedReader(source.open(split, context) as TopicReader<unknown, unknown>, port),
  };
  return Object.freeze(timed);
}

class TimedReader implements SplitReader {
  private readonly inner: TopicReader<unknown, unknown>;
  private readonly port: TopicPort;
  /** The latest time so far. */
  private m = Number.NEGATIVE_INFINITY;

  constructor(inner: TopicReader<unknown, unknown>, port: TopicPort) {
    this.inner = inner;
    this.port = port;
  }

  get consumedBytes(): number {
    return this.inner.consumedBytes;
  }

  read(emit: (value: unknown, key: unknown) => boolean): Promise<boolean> {
    return this.inner.read((v, key) => {
      const t = this.timeOf(v, key);
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

  private timeOf(value: unknown, key: unknown): number {
    const { of } = this.port.time;
    // What has no value says nothing of its time.
    const given = of === undefined || value === null ? this.inner.timestamp : of(value, key);
    const time = given instanceof Date ? given.getTime() : given;
    if (typeof time === 'number' && Number.isFinite(time) && time >= 0) return time;
    throw new MillraceError(
      'ML_INPUT_MALFORMED',
      `${this.position()}: its time is ${String(given)}`,
      {
        fields: { topic: this.port.name },
        hint: 'A time is milliseconds since 1970, or a Date: look at time.of of the topic',
      },
    );
  }
}
