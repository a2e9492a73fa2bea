/** How a record looks as a line of output. @hot */
import { isUtf8 } from 'node:buffer';
import type { RecordReader } from '../wire/kafka/records/record-reader.ts';
import type { DataOutput } from './io.ts';

/** Adds the record that `record` is on. */
export type Render = (output: DataOutput, record: RecordReader, partition: number) => void;

const NEWLINE = 10;
const TAB = 9;

/** The value; with `keys` the key and a tab before it. Bytes as they are; nothing for null. */
export function textRenderer(keys: boolean): Render {
  return (output, record) => {
    const { data, keyStart, valueStart } = record;
    if (keys) {
      if (keyStart >= 0) output.append(data, keyStart, record.keyEnd);
      output.appendByte(TAB);
    }
    if (valueStart >= 0) output.append(data, valueStart, record.valueEnd);
    output.appendByte(NEWLINE);
  };
}

/** A JSON object that `produce --json` takes. */
export function jsonRenderer(topic: string): Render {
  const head = `{"topic":${JSON.stringify(topic)},"partition":`;
  return (output, record, partition) => {
    const { offset, timestamp } = record;
    const time = timestamp < 0 ? 'null' : timestamp;
    const key = jsonBytes(record.key());
    const value = jsonBytes(record.value());
    const headers = record.headerCount === 0 ? '{}' : jsonHeaders(record);
    output.appendText(
      `${head}${partition},"offset":${offset},"timestamp":${time},"key":${key},"value":${value},"headers":${headers}}\n`,
    );
  };
}

/** Text where the bytes are UTF-8, else `{"base64":"…"}`; null where there is none. */
function jsonBytes(bytes: Buffer | null): string {
  if (bytes === null) return 'null';
  if (isUtf8(bytes)) return JSON.stringify(bytes.toString());
  return `{"base64":"${bytes.toString('base64')}"}`;
}

/** An object; a list of `{"key","value"}` where a name occurs twice, which Kafka allows, or would be taken for a number. */
function jsonHeaders(record: RecordReader): string {
  const headers = record.headers();
  const names = new Set(headers.map(({ key }) => key));
  const isPlain =
    names.size === headers.length && !headers.some(({ key }) => /^\d+$|^__/.test(key));
  const pairs = headers.map(({ key, value }) => [JSON.stringify(key), jsonBytes(value)] as const);
  return isPlain
    ? `{${pairs.map(([key, value]) => `${key}:${value}`).join(',')}}`
    : `[${pairs.map(([key, value]) => `{"key":${key},"value":${value}}`).join(',')}]`;
}
