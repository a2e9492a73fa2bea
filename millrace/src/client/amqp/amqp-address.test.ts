/** Addresses of AMQP as people write them. */
import { expect, test } from 'vitest';
import { parseAmqpAddress } from './amqp-address.ts';

const GUEST = { user: 'guest', password: 'guest', vhost: '/' };

test.each([
  ['localhost:5673', { host: 'localhost', port: 5673, ...GUEST }],
  ['localhost', { host: 'localhost', port: 5672, ...GUEST }],
  [':5673', { host: '127.0.0.1', port: 5673, ...GUEST }],
  ['amqp://:5673', { host: '127.0.0.1', port: 5673, ...GUEST }],
  ['[::1]:5673', { host: '::1', port: 5673, ...GUEST }],
  ['amqp://h', { host: 'h', port: 5672, ...GUEST }],
  ['amqp://h/', { host: 'h', port: 5672, ...GUEST }],
  [
    'amqp://a%40b:p%3Aq@h:1/v%2Fh',
    { host: 'h', port: 1, user: 'a@b', password: 'p:q', vhost: 'v/h' },
  ],
  ['amqp://shop@[::1]', { host: '::1', port: 5672, ...GUEST, user: 'shop' }],
])('%s', (text, address) => {
  expect(parseAmqpAddress(text)).toEqual(address);
});

test('what is said beside it counts more than a URL', () => {
  expect(parseAmqpAddress('amqp://a:b@h/v', { user: 'c', vhost: 'w' })).toMatchObject({
    user: 'c',
    password: 'b',
    vhost: 'w',
  });
});

test.each([
  '',
  ':',
  'off',
  'h:0',
  'h:99999',
  'amqp://',
  'http://h',
  'amqp://h/a/b',
  'amqp://%zz@h',
  'amqps://u:secret@h',
  'amqp://u:a/secret@h',
  'amqp://u:a:secret@b@h',
])('%j is refused, without telling a password', (text) => {
  let message = '';
  try {
    parseAmqpAddress(text);
  } catch (error) {
    ({ message } = error as Error);
    expect(error).toMatchObject({ code: 'ML_USAGE' });
  }
  expect(message).not.toBe('');
  expect(message).not.toContain('secret');
});
