/**
 * `Idempotency-Key`: who sends the same request again, since no answer came, has it done once. Each record of such a request says so, in
 * two headers behind its own:
 *
 *   http.idempotency-key   the key, as it was given
 *   http.idempotency       which record of how many, when it came (milliseconds since 1970), a fingerprint of all: 0/3 1767225600000 x7Bq…
 *
 * Source: draft-ietf-httpapi-idempotency-key-header; RFC 8941 §3.3.3 (strings). Other than the draft has it, what is sent while the first
 * is under way is not refused (409): it waits for it, and is answered as it is.
 */
import { createHash, type Hash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { RecordBytes, RecordHeader } from '../../client/log.ts';
import { ONCE_KEY_CHARS_MAX } from '../../core/direct-limits.ts';
import { HTTP_PRODUCE_RECORDS_MAX } from '../../core/http-limits.ts';
import type { RecordReader } from '../../wire/kafka/records/record-reader.ts';
import { badRequest } from './http-errors.ts';
import type { OnceMark } from './once-table.ts';
import type { GivenRecord } from './record-encoding.ts';

const KEY_HEADER = 'http.idempotency-key';
const MARK_HEADER = 'http.idempotency';
const FINGERPRINT_BYTES = 12;

/** The key of a request, in quotes or without. @throws {MillraceError} ML_HTTP_REQUEST */
export function idempotencyKeyOf({ headers }: IncomingMessage): string | undefined {
  const given = headers['idempotency-key'];
  if (given === undefined) return undefined;
  const text = Array.isArray(given) ? given.join(', ') : given;
  const [, quoted] = /^"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/.exec(text) ?? [];
  if (quoted !== undefined) return checkKey(quoted.replace(/\\(.)/g, '$1'));
  if (/^[\x21\x23-\x7e]+$/.test(text)) return checkKey(text);
  throw badKey();
}

/** The same of a message. @throws {MillraceError} ML_HTTP_REQUEST */
export function idempotencyKeyOfJson(given: unknown): string | undefined {
  if (given === undefined) return undefined;
  if (typeof given === 'string' && /^[\x20-\x7e]*$/.test(given)) return checkKey(given);
  throw badKey();
}

function checkKey(key: string): string {
  if (key.length >= 1 && key.length <= ONCE_KEY_CHARS_MAX) return key;
  throw badKey();
}

function badKey(): Error {
  return badRequest(
    400,
    `an idempotency key is one text of 1 to ${ONCE_KEY_CHARS_MAX} printable characters of ASCII`,
    'Make a new UUID for each request, and send the same one when you send it again',
  );
}

/** The same for the same records, however they came. */
export function fingerprintOf(records: readonly GivenRecord[]): string {
  const hash = createHash('sha256');
  for (const { partition, timestamp, key, value, headers } of records) {
    hash.update(`${partition ?? ''} ${timestamp ?? ''} ${headers.length}\n`);
    addBytes(hash, key);
    addBytes(hash, value);
    for (const header of headers) {
      addBytes(hash, header.key);
      addBytes(hash, header.value);
    }
  }
  return hash.digest().toString('base64url', 0, FINGERPRINT_BYTES);
}

function addBytes(hash: Hash, data: RecordBytes | null): void {
  if (data === null) hash.update('-\n');
  else hash.update(`${Buffer.byteLength(data)}\n`).update(data);
}

export function headersOfMark({ id, fingerprint, index, count, atMs }: OnceMark): RecordHeader[] {
  return [
    { key: KEY_HEADER, value: id },
    { key: MARK_HEADER, value: `${index}/${count} ${atMs} ${fingerprint}` },
  ];
}

export function markOfHeaders(record: RecordReader): OnceMark | undefined {
  if (record.headerCount < 2) return undefined;
  const headers = record.headers();
  const id = headers.at(-2);
  const mark = headers.at(-1);
  if (id?.key !== KEY_HEADER || mark?.key !== MARK_HEADER || id.value === null) return undefined;
  const [, index, count, at, fingerprint] =
    /^(\d{1,5})\/(\d{1,5}) (\d{1,15}) ([\w-]{16})$/.exec(String(mark.value)) ?? [];
  if (fingerprint === undefined) return undefined;
  const [of, all] = [Number(index), Number(count)];
  if (of >= all || all > HTTP_PRODUCE_RECORDS_MAX) return undefined;
  return { id: id.value.toString(), fingerprint, index: of, count: all, atMs: Number(at) };
}
