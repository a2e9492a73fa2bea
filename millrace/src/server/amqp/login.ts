/**
 * What clients say to prove who they are.
 *
 *   PLAIN      authorization id, NUL, user, NUL, password
 *   AMQPLAIN   a table without its length: LOGIN, PASSWORD
 *
 * Source: RFC 4616; RabbitMQ's access control (AMQPLAIN).
 */
import { decodeTable } from '../../wire/amqp/field-table.ts';
import { AmqpFault } from '../../wire/amqp/reply-codes.ts';

export const MECHANISMS = 'PLAIN AMQPLAIN';

export interface Credentials {
  readonly user: string;
  readonly password: string;
}

/**
 * @returns undefined for what cannot be read
 * @throws {AmqpFault} COMMAND_INVALID for a mechanism that was not offered
 */
export function readCredentials(mechanism: string, response: Uint8Array): Credentials | undefined {
  const bytes = Buffer.from(response.buffer, response.byteOffset, response.byteLength);
  if (mechanism === 'PLAIN') return plain(bytes);
  if (mechanism === 'AMQPLAIN') return amqplain(bytes);
  throw new AmqpFault('COMMAND_INVALID', `unknown authentication mechanism '${mechanism}'`);
}

function plain(bytes: Buffer): Credentials | undefined {
  const [, user, password, ...more] = bytes.toString('utf8').split('\0');
  if (user === undefined || password === undefined || more.length > 0) return undefined;
  return { user, password };
}

function amqplain(bytes: Buffer): Credentials | undefined {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  const { LOGIN: user, PASSWORD: password } = decodeTable(Buffer.concat([length, bytes]));
  return typeof user === 'string' && typeof password === 'string' ? { user, password } : undefined;
}
