/**
 * The routing keys of a message: its own, and those in its headers CC and BCC. Nobody who receives it may see BCC.
 *
 * Source: RabbitMQ, sender-selected distribution.
 */
import { decodeProperties, withHeaders } from '../../wire/amqp/properties.ts';
import type { FieldTable, FieldValue } from '../../wire/amqp/field-table.ts';
import type { QueueOutcome } from '../queues/queue.ts';
import { fieldOf, fieldType } from './field-values.ts';

const HEADERS_FLAG = 0x20;
/** The length of the name, and the name, as they lie in a table. */
const CC_NAME = Buffer.from('\x02CC');
const BCC_NAME = Buffer.from('\x03BCC');

/** It may have further routing keys: looks for the names of the headers without decoding them. */
export function mayHaveCopies(properties: Buffer): boolean {
  return hasHeaders(properties) && (properties.includes(CC_NAME) || properties.includes(BCC_NAME));
}

function hasHeaders(properties: Buffer): boolean {
  return ((properties[0] ?? 0) & HEADERS_FLAG) !== 0;
}

/** The headers of a message; none when it has none. */
export function headersOf(properties: Buffer): FieldTable {
  return hasHeaders(properties) ? (decodeProperties(properties).headers ?? {}) : {};
}

/** Its key, then CC, then BCC. @returns PRECONDITION_FAILED when those are no lists */
export function allRoutingKeys(
  routingKey: string,
  headers: FieldTable,
): QueueOutcome<readonly string[]> {
  const keys = [routingKey];
  for (const name of ['CC', 'BCC']) {
    const listed = fieldOf(headers, name);
    if (listed === undefined) continue;
    if (!Array.isArray(listed))
      return {
        ok: false,
        error: 'PRECONDITION_FAILED',
        message: `invalid message: {unacceptable_type_in_header,"${name}",${fieldType(listed)}}`,
      };
    for (const key of listed as readonly FieldValue[]) if (typeof key === 'string') keys.push(key);
  }
  return { ok: true, value: keys };
}

/** The properties without BCC, as those who receive the message see them; the rest stays byte by byte. */
export function withoutBlindCopies(properties: Buffer): Buffer {
  if (!hasHeaders(properties) || !properties.includes(BCC_NAME)) return properties;
  // The name may be in a text of another header.
  if (fieldOf(headersOf(properties), 'BCC') === undefined) return properties;
  return withHeaders(properties, { BCC: undefined });
}
