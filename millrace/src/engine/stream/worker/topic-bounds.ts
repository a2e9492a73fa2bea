/**
 * What topics have refused: too large, or of a time too far from the clock. A broker says so when a batch is sent, and does not say which
 * record it was. So the settings of the topic are looked up and the transaction is done over: then the record is refused where it is put
 * out, with its operator and position, as everything else that cannot be written.
 */
import { batchBytes, batchBytesMax } from '../../../client/batch-bytes.ts';
import type { Log, RecordBytes, RecordHeader } from '../../../client/log.ts';
import type { Clock } from '../../../core/env.ts';
import { MillraceError } from '../../../core/errors.ts';

const BYTES = 'max.message.bytes';
const AFTER = 'message.timestamp.after.max.ms';
const BEFORE = 'message.timestamp.before.max.ms';
const SETTINGS = [BYTES, AFTER, BEFORE] as const;

type Bounds = Readonly<Record<(typeof SETTINGS)[number], number>>;

export interface OutputRecord {
  readonly timestamp: number;
  readonly key: RecordBytes | null;
  readonly value: RecordBytes | null;
  readonly headers: readonly RecordHeader[] | undefined;
}

export class TopicBounds {
  /** Of topics that have refused something. */
  private readonly bounds = new Map<string, Bounds>();
  private readonly clock: Clock;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Nothing was refused, and there is nothing to check. @hot */
  get isEmpty(): boolean {
    return this.bounds.size === 0;
  }

  /** @throws {MillraceError} ML_RECORDS_TOO_LARGE, ML_TIMESTAMP_INVALID */
  check(topic: string, { timestamp, key, value, headers }: OutputRecord): void {
    const bounds = this.bounds.get(topic);
    if (bounds === undefined) return;
    const ahead = timestamp - this.clock.nowMs();
    const setting = ahead > bounds[AFTER] ? AFTER : BEFORE;
    if (ahead > bounds[AFTER] || -ahead > bounds[BEFORE]) {
      const what = `takes no record of ${new Date(timestamp).toISOString()}`;
      throw refused('ML_TIMESTAMP_INVALID', topic, what, { setting, bound: bounds[setting] });
    }
    if (batchBytesMax(key, value) <= bounds[BYTES]) return;
    const bytes = batchBytes(key, value, headers);
    if (bytes <= bounds[BYTES]) return;
    const what = `takes no batch of ${bytes} bytes`;
    throw refused('ML_RECORDS_TOO_LARGE', topic, what, { setting: BYTES, bound: bounds[BYTES] });
  }

  /** @param error what a broker has said @returns whether that was something new: `check` refuses it from now on */
  async learn(log: Log, { code, fields }: MillraceError): Promise<boolean> {
    const { topic, operator } = fields;
    const isBound = code === 'ML_RECORDS_TOO_LARGE' || code === 'ML_TIMESTAMP_INVALID';
    // What names an operator says all there is to say.
    if (!isBound || typeof topic !== 'string' || operator !== undefined) return false;
    const config = await log.topicConfig(topic);
    const known = this.bounds.get(topic);
    const found = {
      [BYTES]: boundOf(config.get(BYTES)),
      [AFTER]: boundOf(config.get(AFTER)),
      [BEFORE]: boundOf(config.get(BEFORE)),
    };
    if (known !== undefined && SETTINGS.every((name) => known[name] === found[name])) return false;
    this.bounds.set(topic, found);
    return true;
  }
}

function boundOf(setting: string | undefined): number {
  return setting === undefined ? Number.POSITIVE_INFINITY : Number(setting);
}

function refused(
  code: 'ML_RECORDS_TOO_LARGE' | 'ML_TIMESTAMP_INVALID',
  topic: string,
  what: string,
  { setting, bound }: { readonly setting: string; readonly bound: number },
): MillraceError {
  return new MillraceError(code, `topic ${topic} ${what}: its ${setting} is ${bound}`, {
    fields: { topic, [setting]: bound },
    hint: `Raise ${setting} of the topic: millrace topic config ${topic} ${setting}=…`,
  });
}
