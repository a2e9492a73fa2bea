/** Files of JSON, one value per line. @hot */
import { LINE_BYTES_MAX } from '../../core/limits.ts';
import type { ReadContext, Source } from '../../flow/source.ts';
import { findJsonFault } from '../json-fault.ts';
import { issuesText, type SchemaResult, type StandardSchema } from '../standard-schema.ts';
import { BlockReader, lineEnd } from './block-reader.ts';
import { pathList, rowSource } from './file-source.ts';
import type { FileSplit } from './file-split.ts';
import { malformedRow } from './malformed.ts';
import type { LineReadOptions, ReadTuning } from './read-lines.ts';
import { RAW_BYTES_MAX, type RowChunks } from './row-chunks.ts';
import type { EmitRow } from './row-reader.ts';

export interface JsonReadOptions<T> extends LineReadOptions {
  /** Every value goes through it; what it makes of the value is the record. Its faults are ML_INPUT_MALFORMED. */
  readonly schema?: StandardSchema<T> | undefined;
}

export function ndjsonSource<T>(
  paths: string | readonly string[],
  options: JsonReadOptions<T> = {},
  tuning: ReadTuning = {},
): Source<T, undefined> {
  const lineBytesMax = options.lineBytesMax ?? LINE_BYTES_MAX;
  return rowSource<T>({
    format: 'ndjson',
    paths: pathList(paths),
    columns: undefined,
    chunks: { lineBytesMax, quote: -1, ...tuning },
    reader: (chunks, split, context) =>
      new JsonReader<T>(chunks, split, context, { lineBytesMax, schema: options.schema }),
  });
}

const BRACE = 0x7b;

class JsonReader<T> extends BlockReader<T> {
  private readonly schema: StandardSchema<T> | undefined;

  constructor(
    chunks: RowChunks,
    split: FileSplit,
    context: ReadContext,
    options: {
      readonly lineBytesMax: number;
      readonly schema: StandardSchema<T> | undefined;
    },
  ) {
    super(chunks, split, context, options);
    this.schema = options.schema;
  }

  protected decodeBlock(emit: EmitRow<T>): boolean | Promise<boolean> {
    const { block, schema } = this;
    const { length } = block;
    for (let at = this.at; at < length; at = this.at) {
      const lf = block.indexOf('\n', at);
      const end = lf < 0 ? length : lf;
      this.lineAt = at;
      this.at = end + 1;
      const text = block.substring(at, lineEnd(block, at, end));
      if (text.charCodeAt(0) !== BRACE && text.trim() === '') continue;
      const value = this.parse(text);
      if (value === undefined) continue;
      if (schema === undefined) {
        if (!emit(value as T, undefined)) return false;
        continue;
      }
      const result = schema['~standard'].validate(value);
      if (result instanceof Promise)
        return result.then((result) => this.emitChecked(result, text, emit));
      if (!this.emitChecked(result, text, emit)) return false;
    }
    return true;
  }

  /** undefined, which no JSON is: malformed, and skipped. */
  private parse(text: string): unknown {
    try {
      return JSON.parse(text);
    } catch (cause) {
      const fault = findJsonFault(text);
      const error = malformedRow({
        position: this.position(),
        column: (fault?.index ?? 0) + 1,
        what: `this line is not JSON: ${fault?.what ?? String(cause)}`,
      });
      this.context.malformed(error, text.slice(0, RAW_BYTES_MAX));
      return undefined;
    }
  }

  private emitChecked(result: SchemaResult<T>, text: string, emit: EmitRow<T>): boolean {
    if (result.issues === undefined) return emit(result.value, undefined);
    const what = `the record does not fit its schema: ${issuesText(result.issues)}`;
    const error = malformedRow({ position: this.position(), what });
    this.context.malformed(error, text.slice(0, RAW_BYTES_MAX));
    return true;
  }
}
