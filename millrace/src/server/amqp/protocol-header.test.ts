import { expect, test } from 'vitest';
import { readProtocolHeader } from './protocol-header.ts';

test('0-9-1 and 0-9 are understood, whatever follows', () => {
  expect(readProtocolHeader(Buffer.from('AMQP\0\0\u0009\u0001'))).toBe('ok');
  expect(readProtocolHeader(Buffer.from('AMQP\u0001\u0001\0\u0009more'))).toBe('ok');
});

test('a start that may still become one is waited for', () => {
  for (const start of ['', 'A', 'AMQP', 'AMQP\0\0\u0009'])
    expect(readProtocolHeader(Buffer.from(start))).toBe('more');
});

test.each([
  ['GET / HTTP/1.1', 'HTTP'],
  ['\u0016\u0003\u0001\0', 'TLS'],
  ['AMQP\0\u0001\0\0', '1.0'],
  ['AMQP\u0003\u0001\0\0', '1.0'],
  ['\0\0\0\u001e\0\u0012\0\u0003', 'Kafka'],
  ['hello', 'did not begin'],
])('%j is told apart', (bytes, what) => {
  expect(readProtocolHeader(Buffer.from(bytes, 'latin1'))).toEqual({
    foreign: expect.stringContaining(what),
  });
});
