/**
 * Lines: each record is a string, or bytes, and a line feed behind it.
 * @hot
 */
import type { ByteWriter } from '../../core/byte-writer.ts';
import { MillraceError } from '../../core/errors.ts';
import { encodeText } from '../../core/text-escape.ts';
import type { Part, SinkWriter, WriteContext } from '../../flow/sink.ts';
import { PartWriter } from './sink-part.ts';
import type { ResolvedTarget } from './sink-target.ts';

const LF = 10;
/** Shorter ranges are copied byte by byte: a native call costs more. */
const LOOP_BYTES_MAX = 24;

export class LinesWriter implements SinkWriter<string, unknown> {
  private readonly parts: PartWriter;
  private readonly out: ByteWriter;
  private readonly label: string;
  private readonly isWanted: boolean;
  /** Strings that are not encoded yet: one native call for many of them. */
  private text = '';

  constructor(context: WriteContext, target: ResolvedTarget, label: string) {
    this.parts = new PartWriter(context, target);
    this.out = this.parts.out;
    this.label = label;
    this.isWanted = context.task === 0 && target.target.kind !== 'directory';
  }

  get isBusy(): boolean {
    return this.parts.isBusy;
  }

  write(value: string): void {
    if (typeof value !== 'string') throw this.invalid('a line is a string', value);
    if (value.includes('\n')) throw this.invalid('a line holds no line feed', value);
    this.text += value;
    this.text += '\n';
    this.parts.recordCount++;
    if (this.text.length >= this.parts.limitChars) this.encode();
  }

  writeBytes(buffer: Uint8Array, start: number, end: number): void {
    const { out } = this;
    const count = end - start;
    if (this.text !== '') this.encode();
    out.reserve(count + 1);
    const target = out.buffer;
    let at = out.length;
    if (count <= LOOP_BYTES_MAX)
      for (let index = start; index < end; index++) target[at++] = buffer[index] as number;
    else {
      target.set(buffer.subarray(start, end), at);
      at += count;
    }
    target[at] = LF;
    out.length = at + 1;
    this.parts.recordCount++;
    if (out.length >= this.parts.limitBytes) this.parts.spill();
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
    const { out } = this;
    encodeText(this.text, out);
    this.text = '';
    this.parts.added();
  }

  private invalid(rule: string, value: unknown): MillraceError {
    const what = typeof value === 'string' ? 'this one does' : `this is ${typeName(value)}`;
    const hint =
      typeof value === 'string'
        ? 'Replace the line feeds, or split the string with flatMap'
        : 'Map it to a string: .map((record) => JSON.stringify(record))';
    return new MillraceError('ML_SINK_VALUE_INVALID', `${this.label}: ${rule}; ${what}`, { hint });
  }
}

/** For messages. */
export function typeName(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'an array';
  if (value instanceof Date) return 'a date';
  if (value instanceof Uint8Array) return 'bytes';
  const name = typeof value;
  return name === 'object' ? 'an object' : `a ${name}`;
}
