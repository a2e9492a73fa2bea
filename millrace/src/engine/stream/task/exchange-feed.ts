/**
 * Records of a repartition topic, and the markers between them. What cannot be read there was not written by this flow: it stops the flow.
 *
 * @hot
 */
import type { Clock } from '../../../core/env.ts';
import { MillraceError } from '../../../core/errors.ts';
import { decodeKey } from '../../../core/key-codec.ts';
import { decodedEnd, decodeValue, decodeValueAt } from '../../../core/value-codec.ts';
import type { Receiver } from '../operators/operator.ts';
import type { TimeTracker } from '../time/time-tracker.ts';
import type { TaskFailures } from './task-failures.ts';
import { decodeMarker, type Marker } from './repartition-record.ts';
import type { Decoded, Feed, RecordReader } from './task-input.ts';

export interface ExchangeFeedOptions {
  readonly topic: string;
  readonly receiver: Receiver;
  readonly tracker: TimeTracker;
  readonly input: number;
  readonly failures: TaskFailures;
  readonly clock: Clock;
}

export class ExchangeFeed implements Feed {
  time = -1;
  private key: unknown;
  private value: unknown;
  private old: unknown;
  private readonly options: ExchangeFeedOptions;
  private readonly receiver: Receiver;

  constructor(options: ExchangeFeedOptions) {
    this.options = options;
    this.receiver = options.receiver;
  }

  decode(reader: RecordReader): Decoded {
    const { data, valueStart, valueEnd } = reader;
    try {
      if (reader.keyStart < 0) {
        this.mark(decodeMarker(data, valueStart, valueEnd));
        return 'skipped';
      }
      this.key = decodeKey(data, reader.keyStart, reader.keyEnd);
      this.value = decodeValueAt(data, valueStart, valueEnd);
      const at = decodedEnd();
      this.old = at === valueEnd ? undefined : decodeValue(data, at, valueEnd);
    } catch (cause) {
      throw this.foreign(cause);
    }
    this.time = reader.timestamp;
    this.options.failures.time = this.time;
    return 'ready';
  }

  /** Time is told by markers. */
  count(): void {}

  deliver(): void {
    this.receiver.receive(this.key, this.value, this.time, this.old);
  }

  private mark(marker: Marker): void {
    const { tracker, input, clock } = this.options;
    tracker.marker(input, marker.writer, marker, clock.nowMs());
  }

  private foreign(cause: unknown): MillraceError {
    const { failures, topic } = this.options;
    const reason = cause instanceof Error ? cause.message : String(cause);
    return new MillraceError(
      'ML_INPUT_MALFORMED',
      `${failures.position}: it is no record that this flow has written: ${reason}`,
      {
        cause,
        fields: {
          topic,
          partition: failures.input?.partition ?? -1,
          offset: failures.offset,
          operator: topic,
        },
        hint: 'Nobody but the flow may write to its repartition topics: begin anew with `millrace reset PROGRAM`',
      },
    );
  }
}
