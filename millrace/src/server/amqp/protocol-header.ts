/**
 * The first bytes of a connection: `AMQP` and a version. Whoever begins otherwise is told what is spoken here, as the protocol has it, and
 * what seems to talk there goes to the log.
 *
 *   AMQP 0 0 9 1      0-9-1
 *   AMQP 1 1 0 9      0-9, close enough
 *
 * Source: AMQP 0-9-1, "Protocol Header"; RabbitMQ's reader.
 */
import { PROTOCOL_HEADER } from '../../wire/amqp/frames.ts';

export const PROTOCOL_HEADER_BYTES = PROTOCOL_HEADER.length;
const PROTOCOL_HEADER_0_9: Buffer = Buffer.from([0x41, 0x4d, 0x51, 0x50, 1, 1, 0, 9]);

const HTTP = /^(?:GET |HEAD|POST|PUT |DELE|OPTI|PATC|CONN|TRAC|PRI )/;
const TLS_HANDSHAKE = 0x16;
const TLS_MAJOR_VERSION = 3;

/** @returns `more` while it may still become one that is understood; `ok`; or what seems to talk there */
export function readProtocolHeader(bytes: Buffer): 'ok' | 'more' | { readonly foreign: string } {
  const start = bytes.subarray(0, PROTOCOL_HEADER_BYTES);
  if (start.equals(PROTOCOL_HEADER) || start.equals(PROTOCOL_HEADER_0_9)) return 'ok';
  if (isStartOf(start, PROTOCOL_HEADER) || isStartOf(start, PROTOCOL_HEADER_0_9)) return 'more';
  return { foreign: foreignProtocol(start) };
}

function isStartOf(bytes: Buffer, whole: Buffer): boolean {
  return bytes.length < whole.length && whole.subarray(0, bytes.length).equals(bytes);
}

function foreignProtocol(start: Buffer): string {
  const text = start.toString('latin1');
  if (HTTP.test(text)) return 'an HTTP client talks to the AMQP port: is the port right?';
  if (start[0] === TLS_HANDSHAKE && start[1] === TLS_MAJOR_VERSION)
    return 'a TLS client talks to the AMQP port, which has no TLS: use amqp://, not amqps://';
  if (text.startsWith('AMQP') && start[5] === 1 && start[6] === 0)
    return 'an AMQP 1.0 client talks to the AMQP port, which speaks AMQP 0-9-1';
  if (start[0] === 0 && start[1] === 0)
    return 'a Kafka client seems to talk to the AMQP port: is the port right?';
  return 'a client did not begin with an AMQP 0-9-1 header';
}
