/**
 * Records that cannot be processed: under `fail` the first one ends the task, under `skip` each becomes a dead letter.
 *
 * Which letters there are never depends on how the input was cut. Their order is that of the records, but for functions that return
 * promises: letters of different operators then come as they are found.
 */
import { MillraceError } from '../../../core/errors.ts';
import type { DeadLetter } from '../../../flow/plan.ts';
import type { Part, SinkWriter } from '../../../flow/sink.ts';
import { preview } from './preview.ts';

/** A place in the input to be put into words later: what `Positions.mark` gave. */
export type Mark = number | string;

/** Where records come from, as far as errors tell. */
export interface Positions {
  /** Where the record is that was read last. Cheap where it is a number. */
  mark(): Mark;
  locate(mark: Mark): string;
}

export interface FailuresOptions {
  /** Opens the dead-letter sink at the first letter; undefined: the first failure ends the task. */
  readonly open: (() => SinkWriter<unknown, unknown>) | undefined;
  /** More letters end the task. */
  readonly recordsMax: number;
}

export class Failures {
  /** Dead letters so far. */
  records = 0;
  positions: Positions = { mark: () => '', locate: String };
  /** The place of the record that is worked on, when it had to wait and is not the one that was read last. */
  waiting: Mark | undefined;
  private readonly options: FailuresOptions;
  private writer: SinkWriter<unknown, unknown> | undefined;

  constructor(options: FailuresOptions) {
    this.options = options;
  }

  /** Where the record is that is worked on. */
  mark(): Mark {
    return this.waiting ?? this.positions.mark();
  }

  /**
   * The function of `operator` has thrown `error` for `value`.
   * @throws {MillraceError} ML_USER_FUNCTION under `fail`; ML_TOO_MANY_SKIPPED
   */
  inFunction(operator: string, error: unknown, value: unknown): void {
    // What where, select and agg say of a row is not the fault of a function of the user.
    if (error instanceof MillraceError && error.code === 'ML_COLUMN_UNKNOWN') {
      this.inRecord(operator, error, value);
      return;
    }
    const position = this.positions.locate(this.mark());
    const at = position === '' ? '' : ` at ${position}`;
    const text = messageOf(error);
    this.take(
      value,
      operator,
      position,
      () => {
        const record = preview(value);
        return new MillraceError(
          'ML_USER_FUNCTION',
          `${operator}: ${text}, on the record${at}: ${record}`,
          {
            cause: error,
            fields: { operator, position, record },
          },
        );
      },
      text,
    );
  }

  /**
   * The record itself cannot go on: it, or its key, cannot be encoded, or a sink does not take it. Anything else that is wrong is
   * thrown as it is.
   */
  inRecord(operator: string, error: unknown, value: unknown): void {
    const isTooLarge = error instanceof MillraceError && error.code === 'ML_MEMORY_TOO_SMALL';
    if (!isTooLarge && !(error instanceof MillraceError && OF_RECORDS.has(error.code))) throw error;
    const position = this.positions.locate(this.mark());
    const at = position === '' ? '' : ` at ${position}`;
    const failure = (): MillraceError => {
      const record = preview(value);
      const { message } = error;
      const said = message.startsWith(`${operator}: `) ? message : `${operator}: ${message}`;
      return new MillraceError(error.code, `${said}, in the record${at}: ${record}`, {
        cause: error,
        hint: error.hint,
        fields: { ...error.fields, operator, position, record },
      });
    };
    // Not skipped: which records there are in an output must not depend on the memory.
    if (isTooLarge) throw failure();
    this.take(value, operator, position, failure, error.message);
  }

  /** A record of a source cannot be decoded. */
  malformed(operator: string, error: Error, raw: string): void {
    const position = this.positions.locate(this.mark());
    this.take(raw, operator, position, () => error, error.message);
  }

  get isBusy(): boolean {
    return this.writer?.isBusy ?? false;
  }

  async drain(): Promise<void> {
    await this.writer?.drain();
  }

  async finish(): Promise<readonly Part[]> {
    return (await this.writer?.finish()) ?? [];
  }

  async abort(): Promise<void> {
    await this.writer?.abort();
  }

  private take(
    record: unknown,
    operator: string,
    position: string,
    failure: () => Error,
    error: string,
  ): void {
    const { open, recordsMax } = this.options;
    if (open === undefined) throw failure();
    if (++this.records > recordsMax)
      throw new MillraceError(
        'ML_TOO_MANY_SKIPPED',
        `more records failed than may be skipped; the last one in ${operator}${position === '' ? '' : ` at ${position}`}: ${error}`,
        { cause: failure(), fields: { operator, position, recordsMax } },
      );
    this.writer ??= open();
    this.write(this.writer, { record, error, operator, position });
  }

  /** A record that the sink does not take is in the letter as text. */
  private write(writer: SinkWriter<unknown, unknown>, letter: DeadLetter): void {
    try {
      writer.write(letter, undefined);
    } catch (error) {
      if (!(error instanceof MillraceError) || error.code !== 'ML_SINK_VALUE_INVALID') throw error;
      writer.write({ ...letter, record: preview(letter.record) }, undefined);
    }
  }
}

/** Codes of errors that say something about a record, not about the machine. */
const OF_RECORDS: ReadonlySet<string> = new Set([
  'ML_COLUMN_UNKNOWN',
  'ML_KEY_INVALID',
  'ML_VALUE_INVALID',
  'ML_SINK_VALUE_INVALID',
]);

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return `threw ${preview(error)}`;
  return error instanceof MillraceError ? error.message : `${error.name}: ${error.message}`;
}
