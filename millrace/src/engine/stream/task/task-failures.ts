/**
 * Records of a task that cannot be processed: under `fail` the first one stops the flow, under `skip` each becomes a dead letter, in the
 * transaction of everything else that the record has caused.
 *
 * Owns: where the task is, as errors tell it: topic, partition and offset of the record that is being processed.
 */
import type { Clock } from '../../../core/env.ts';
import { MillraceError } from '../../../core/errors.ts';
import type { TopicPartition } from '../../../client/log.ts';
import type { DeadLetter } from '../../../flow/plan.ts';
import { preview } from '../../batch/operators/preview.ts';
import type { TaskOutput } from '../task.ts';
import type { DeadLetters } from '../topology.ts';
import { timestampOf } from './timestamps.ts';

export interface FailuresOptions {
  readonly letters: DeadLetters | undefined;
  readonly output: TaskOutput;
  readonly partition: number;
  readonly clock: Clock;
}

/** What an error says something about. */
export interface FailedRecord {
  /** Operator, source or sink. */
  readonly operator: string;
  readonly record: unknown;
  /** Of errors that are not Millrace's own. */
  readonly code: 'ML_USER_FUNCTION' | 'ML_INPUT_MALFORMED' | 'ML_SINK_VALUE_INVALID';
  readonly hint?: string;
}

/** The record that is being processed: what `OperatorContext.origin` gives. */
export interface Origin {
  readonly input: TopicPartition | undefined;
  readonly offset: number;
}

export class TaskFailures {
  /** Dead letters since the task was opened. */
  letters = 0;
  input: TopicPartition | undefined;
  offset = -1;
  /** Of the record: what its dead letter has. */
  time = -1;
  private readonly options: FailuresOptions;

  constructor(options: FailuresOptions) {
    this.options = options;
  }

  get skips(): boolean {
    return this.options.letters !== undefined;
  }

  get position(): string {
    return this.input === undefined
      ? ''
      : `topic ${this.input.topic} partition ${this.input.partition} offset ${this.offset}`;
  }

  origin(): Origin {
    return { input: this.input, offset: this.offset };
  }

  setOrigin(origin: unknown): void {
    const { input, offset } = origin as Origin;
    this.input = input;
    this.offset = offset;
  }

  /** @throws {MillraceError} what stops the flow: the error, with operator and position; ML_TOO_MANY_SKIPPED */
  take(error: unknown, failed: FailedRecord): void {
    const { letters } = this.options;
    if (letters === undefined) throw this.#named(error, failed);
    if (++this.letters > letters.recordsMax) {
      const named = this.#named(error, failed);
      throw new MillraceError(
        'ML_TOO_MANY_SKIPPED',
        `more records failed than may be skipped; the last one in ${named.message}`,
        { cause: named, fields: { ...named.fields, recordsMax: letters.recordsMax } },
      );
    }
    this.#write(letters, {
      record: failed.record,
      error: messageOf(error),
      operator: failed.operator,
      position: this.position,
    });
  }

  /** An error that stops the task, with the place where it was. What says nothing about records is left as it is. */
  located(error: unknown): unknown {
    const { position } = this;
    const { topic, partition } = this.input ?? { topic: '', partition: -1 };
    const at = position === '' ? '' : `, at ${position}`;
    const fields = { topic, partition, offset: this.offset };
    if (!(error instanceof MillraceError))
      return new MillraceError('ML_ASSERT', `${messageOf(error)}${at}`, { cause: error, fields });
    if (!OF_RECORDS.has(error.code) || error.fields['offset'] !== undefined) return error;
    return new MillraceError(error.code, `${error.message}${at}`, {
      cause: error,
      hint: error.hint,
      fields: { ...error.fields, ...fields },
    });
  }

  #named(error: unknown, { operator, record, code, hint }: FailedRecord): MillraceError {
    const known = error instanceof MillraceError ? error : undefined;
    const shown = preview(record);
    const { input, offset, position } = this;
    const at = position === '' ? '' : ` at ${position}`;
    const { topic, partition } = input ?? { topic: '', partition: -1 };
    const said = hint ?? known?.hint;
    return new MillraceError(
      known?.code ?? code,
      `${operator}: ${messageOf(error)}, in the record${at}: ${shown}`,
      {
        cause: error,
        fields: { ...known?.fields, operator, topic, partition, offset, record: shown },
        ...(said === undefined ? {} : { hint: said }),
      },
    );
  }

  /** A letter that cannot be written as it is has its record as text. What cannot be written then stops the flow. */
  #write(letters: DeadLetters, letter: DeadLetter): void {
    try {
      this.#append(letters, letter);
    } catch {
      this.#append(letters, { ...letter, record: preview(letter.record) });
    }
  }

  #append({ port, partitions }: DeadLetters, letter: DeadLetter): void {
    const { output, partition, clock } = this.options;
    const time = timestampOf(this.time);
    const nowMs = clock.nowMs();
    output.append(
      port.name,
      partition % partitions,
      // Topics take no time that is far ahead: it may be what was wrong with the record.
      time < 0 || time > nowMs ? nowMs : time,
      null,
      port.value.encode(letter),
    );
  }
}

/** Failures of a record that is decoded and not processed: their letters belong to the transaction in which it is. */
export class HeldFailures {
  private readonly failures: TaskFailures;
  private held: {
    readonly error: unknown;
    readonly failed: FailedRecord;
    readonly origin: Origin;
    readonly time: number;
  }[] = [];

  constructor(failures: TaskFailures) {
    this.failures = failures;
  }

  get time(): number {
    return this.failures.time;
  }

  set time(time: number) {
    this.failures.time = time;
  }

  origin(): Origin {
    return this.failures.origin();
  }

  setOrigin(origin: unknown): void {
    this.failures.setOrigin(origin);
  }

  /** @throws {MillraceError} what stops the flow, when it skips no records */
  take(error: unknown, failed: FailedRecord): void {
    const { failures } = this;
    if (!failures.skips) failures.take(error, failed);
    this.held.push({ error, failed, origin: failures.origin(), time: failures.time });
  }

  /** The next record is decoded. */
  clear(): void {
    if (this.held.length > 0) this.held = [];
  }

  /** The record is behind us. @throws {MillraceError} ML_TOO_MANY_SKIPPED */
  give(): void {
    if (this.held.length === 0) return;
    const { failures, held } = this;
    this.held = [];
    const { time } = failures;
    for (const { error, failed, origin, time: recordTime } of held) {
      failures.setOrigin(origin);
      failures.time = recordTime;
      failures.take(error, failed);
    }
    failures.time = time;
  }
}

/** Codes of errors that say something about a record. */
const OF_RECORDS: ReadonlySet<string> = new Set([
  'ML_KEY_INVALID',
  'ML_VALUE_INVALID',
  'ML_RECORDS_MALFORMED',
  'ML_USER_FUNCTION',
  'ML_ASSERT',
]);

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return `threw ${preview(error)}`;
  return error instanceof MillraceError || error.constructor === Error
    ? error.message
    : `${error.name}: ${error.message}`;
}
