/**
 * Records of a topic: bytes become keys and values, and have a time.
 *
 * @hot
 */
import type { Clock } from '../../../core/env.ts';
import { MillraceError } from '../../../core/errors.ts';
import { TIMESTAMP_AHEAD_MS_MAX } from '../../../core/stream-limits.ts';
import { decodeText } from '../../../core/text-escape.ts';
import type { Carried, TopicPort } from '../../../flow/topic-port.ts';
import type { Receiver } from '../operators/operator.ts';
import type { TimeTracker } from '../time/time-tracker.ts';
import type { TaskFailures } from './task-failures.ts';
import type { Decoded, Feed, RecordReader } from './task-input.ts';
import { eventTimeOf, timestampOf } from './timestamps.ts';

/** Of a record that is malformed, so much is told. */
const RAW_BYTES_MAX = 1024;

export interface SourceFeedOptions {
  /** Of the source node. */
  readonly name: string;
  readonly port: TopicPort;
  readonly receiver: Receiver;
  readonly tracker: TimeTracker;
  /** Its number in the tracker. */
  readonly input: number;
  readonly failures: Pick<TaskFailures, 'time' | 'origin' | 'setOrigin' | 'take'>;
  readonly clock: Clock;
  /** Default TIMESTAMP_AHEAD_MS_MAX; Infinity: no bound. */
  readonly timestampAheadMsMax: number | undefined;
  /** Whether somebody still waits for a promise of a serde: not when the task has gone back to its last commit. */
  readonly isWaiting: () => boolean;
  /** It has been settled: the record is there, or was refused; or what stops the flow. */
  readonly settled: (isReady: boolean, failure?: { readonly error: unknown }) => void;
}

export class SourceFeed implements Feed {
  time = -1;
  private key: unknown;
  private value: unknown;
  private readonly options: SourceFeedOptions;
  private readonly tracker: TimeTracker;
  private readonly input: number;
  private readonly receiver: Receiver;
  private readonly of: TopicPort['time']['of'];
  private readonly keySerde: TopicPort['key'];
  private readonly valueSerde: TopicPort['value'];
  private readonly unwrap: TopicPort['unwrap'];
  private readonly aheadMsMax: number;
  /** Wall clock when it was asked last: it is asked again when a record seems to be ahead of it. */
  private knownMs = Number.NEGATIVE_INFINITY;

  constructor(options: SourceFeedOptions) {
    this.options = options;
    this.tracker = options.tracker;
    this.input = options.input;
    this.receiver = options.receiver;
    const { port } = options;
    this.of = port.time.of;
    this.keySerde = port.key;
    this.valueSerde = port.value;
    this.unwrap = port.unwrap;
    this.aheadMsMax = options.timestampAheadMsMax ?? TIMESTAMP_AHEAD_MS_MAX;
  }

  decode(reader: RecordReader): Decoded {
    const { data, keyStart, valueStart } = reader;
    this.options.failures.time = reader.timestamp;
    try {
      const value =
        valueStart < 0 ? null : this.valueSerde.decode(data, valueStart, reader.valueEnd);
      const key = keyStart < 0 ? null : this.keySerde.decode(data, keyStart, reader.keyEnd);
      if (value instanceof Promise || key instanceof Promise) {
        this.wait(value, key, reader);
        return 'waits';
      }
      this.value = this.unwrap === undefined ? value : this.unwrap(value, carriedBy(reader, key));
      this.key = key;
    } catch (error) {
      return this.refuse(error, rawOf(reader));
    }
    return this.setTime(reader.timestamp) ? 'ready' : 'skipped';
  }

  count(): void {
    this.tracker.record(this.input, this.time);
  }

  deliver(): void {
    this.receiver.receive(this.key, this.value, this.time, undefined);
  }

  /** False when it has none that is possible, and is refused. */
  private setTime(timestamp: number): boolean {
    let time = timestamp;
    // What has no value says nothing of its time.
    if (this.of === undefined || this.value === null) time = timestampOf(timestamp);
    else {
      try {
        time = eventTimeOf(this.of(this.value, this.key));
      } catch (error) {
        this.refuseRecord(error, 'ML_USER_FUNCTION');
        return false;
      }
    }
    this.time = time;
    if (time >= 0 && time <= this.knownMs + this.aheadMsMax) return true;
    return this.isPossible(time, timestamp);
  }

  /** Looks at the clock. */
  private isPossible(time: number, timestamp: number): boolean {
    if (time < 0) {
      const what =
        this.of === undefined || this.value === null
          ? `the timestamp of the record is ${timestamp}`
          : 'what its time function returns is no time since 1970';
      this.refuseRecord(new MillraceError('ML_TIMESTAMP_INVALID', what), 'ML_INPUT_MALFORMED');
      return false;
    }
    this.knownMs = this.options.clock.nowMs();
    if (time <= this.knownMs + this.aheadMsMax) return true;
    this.refuseRecord(
      new MillraceError(
        'ML_TIMESTAMP_INVALID',
        `its time, ${new Date(time).toISOString()}, is more than ${this.aheadMsMax} ms ahead of the wall clock: it would close the windows of all others`,
      ),
      'ML_INPUT_MALFORMED',
    );
    return false;
  }

  private wait(value: unknown, key: unknown, reader: RecordReader): void {
    const { timestamp } = reader;
    const raw = rawOf(reader);
    const { unwrap } = this;
    const carried = unwrap === undefined ? undefined : carriedBy(reader, key);
    const origin = this.options.failures.origin();
    void Promise.all([value, key]).then(
      ([decodedValue, decodedKey]: [unknown, unknown]) => {
        this.later(origin, timestamp, () => {
          this.value =
            unwrap === undefined || carried === undefined
              ? decodedValue
              : unwrap(decodedValue, { ...carried, key: decodedKey });
          this.key = decodedKey;
          return this.setTime(timestamp);
        });
      },
      (error: unknown) => {
        this.later(origin, timestamp, () => {
          this.refuse(error, raw);
          return false;
        });
      },
    );
  }

  /** In a turn of a promise: what throws there stops the task in its next turn. */
  private later(origin: unknown, timestamp: number, settle: () => boolean): void {
    const { failures, settled, isWaiting } = this.options;
    if (!isWaiting()) return;
    failures.setOrigin(origin);
    failures.time = timestamp;
    try {
      settled(settle());
    } catch (error) {
      settled(false, { error });
    }
  }

  private refuse(cause: unknown, raw: string): 'skipped' {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const { failures, name } = this.options;
    failures.take(
      new MillraceError('ML_INPUT_MALFORMED', `the record cannot be decoded: ${reason}`, { cause }),
      { operator: name, record: raw, code: 'ML_INPUT_MALFORMED' },
    );
    return 'skipped';
  }

  private refuseRecord(error: unknown, code: 'ML_USER_FUNCTION' | 'ML_INPUT_MALFORMED'): void {
    this.options.failures.take(error, { operator: this.options.name, record: this.value, code });
  }
}

function carriedBy(reader: RecordReader, key: unknown): Carried {
  return { key, timestamp: reader.timestamp, headers: reader.headers() };
}

/** The bytes of a value as text, cut to a bound; those of the key when it has none. */
function rawOf({ data, valueStart, valueEnd, keyStart, keyEnd }: RecordReader): string {
  if (valueStart >= 0)
    return decodeText(data, valueStart, Math.min(valueEnd, valueStart + RAW_BYTES_MAX));
  return keyStart < 0 ? '' : decodeText(data, keyStart, Math.min(keyEnd, keyStart + RAW_BYTES_MAX));
}
