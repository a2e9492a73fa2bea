/**
 * NDJSON: each record is one line of JSON.
 *
 * Text is collected as a string and encoded in pieces: one native call for many records. Measured: 85 to 90 % of the speed of
 * JSON.stringify alone.
 * @hot
 */
import { MillraceError } from '../../core/errors.ts';
import type { Part, SinkWriter, WriteContext } from '../../flow/sink.ts';
import { typeName } from './sink-lines.ts';
import { PartWriter } from './sink-part.ts';
import type { ResolvedTarget } from './sink-target.ts';

export class NdjsonWriter implements SinkWriter<unknown, unknown> {
  private readonly parts: PartWriter;
  private readonly label: string;
  private readonly isWanted: boolean;
  private text = '';

  constructor(context: WriteContext, target: ResolvedTarget, label: string) {
    this.parts = new PartWriter(context, target);
    this.label = label;
    this.isWanted = context.task === 0 && target.target.kind !== 'directory';
  }

  get isBusy(): boolean {
    return this.parts.isBusy;
  }

  write(value: unknown): void {
    let line: string | undefined;
    try {
      line = JSON.stringify(value);
    } catch (error) {
      throw this.invalid(error instanceof Error ? firstLine(error.message) : String(error), error);
    }
    if (line === undefined) throw this.invalid(`${typeName(value)} is no JSON`);
    // What a forgotten await leaves is a promise, and JSON makes nothing of it.
    if (line.includes('{}') && holdsPromise(value))
      throw this.invalid('a promise is no JSON (an await is missing)');
    this.text += line;
    this.text += '\n';
    this.parts.recordCount++;
    if (this.text.length >= this.parts.limitChars) this.encode();
  }

  drain(): Promise<void> {
    return this.parts.drain();
  }

  finish(): Promise<readonly Part[]> {
    this.encode();
    return this.parts.finish(this.isWanted);
  }

  abort(): Promise<void> {
    return this.parts.abort();
  }

  private encode(): void {
    const { out } = this.parts;
    const { text } = this;
    out.reserve(text.length * 3);
    out.length += out.buffer.utf8Write(text, out.length);
    this.text = '';
    this.parts.added();
  }

  private invalid(reason: string, cause?: unknown): MillraceError {
    return new MillraceError('ML_SINK_VALUE_INVALID', `${this.label}: ${reason}`, {
      cause,
      hint: 'Map the record to plain objects, arrays, strings, numbers, booleans and null',
    });
  }
}

function firstLine(text: string): string {
  const end = text.indexOf('\n');
  return end < 0 ? text : text.slice(0, end);
}

/** Of a value that is JSON, so that it has an end. */
function holdsPromise(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return value instanceof Promise || Object.values(value).some(holdsPromise);
}
