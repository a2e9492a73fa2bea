/** Against the library of Standard Webhooks, and its test vectors. */
import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import {
  isSameSecret,
  isSignedWith,
  parseWebhookKey,
  webhookSignature,
} from './webhook-signature.ts';

const secretText = (bytes: Uint8Array): string => `whsec_${Buffer.from(bytes).toString('base64')}`;
const anySecret = fc.uint8Array({ minLength: 24, maxLength: 64 }).map(secretText);

test('the example of the specification', () => {
  const key = parseWebhookKey('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw');
  const body = Buffer.from('{"test": 2432232314}');
  const content = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', timestamp: '1614265330', body };
  expect(webhookSignature([key], content)).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=');
});

test('what is signed here is verified by the library, and the other way round', () => {
  fc.assert(
    fc.property(anySecret, fc.string(), fc.uuid(), (secret, text, id) => {
      const key = parseWebhookKey(secret);
      const other = parseWebhookKey(secretText(Buffer.alloc(24, 7)));
      const now = new Date();
      const timestamp = String(Math.floor(now.getTime() / 1000));
      const content = { id, timestamp, body: Buffer.from(text) };
      const library = new Webhook(secret);
      const headers = {
        'webhook-id': id,
        'webhook-timestamp': timestamp,
        'webhook-signature': webhookSignature([other, key], content),
      };
      library.verify(text, headers, { jsonParse: false });
      const signature = library.sign(id, now, text);
      expect(isSignedWith([other, key], content, `v1,AAAA v2,x ${signature}`)).toBe(true);
      expect(isSignedWith([other], content, signature)).toBe(false);
      expect(isSignedWith([key], { ...content, id: `${id}x` }, signature)).toBe(false);
      expect(isSignedWith([key], { ...content, timestamp: '1' }, signature)).toBe(false);
      expect(isSignedWith([key], { ...content, body: Buffer.from(`${text}x`) }, signature)).toBe(
        false,
      );
    }),
  );
});

test('with two keys of Ed25519: one signs, the other verifies', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const seed = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-32);
  const bytes = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
  const content = { id: 'a', timestamp: '1', body: Buffer.from('x') };
  const secret = parseWebhookKey(`whsk_${seed.toString('base64')}`);
  const long = parseWebhookKey(`whsk_${Buffer.concat([seed, bytes]).toString('base64')}`);
  const known = parseWebhookKey(`whpk_${bytes.toString('base64')}`);
  const signature = webhookSignature([secret], content);
  expect(signature).toMatch(/^v1a,/);
  expect(webhookSignature([long], content)).toBe(signature);
  expect(isSignedWith([known], content, signature)).toBe(true);
  expect(isSignedWith([known], { ...content, id: 'b' }, signature)).toBe(false);
  expect(() => webhookSignature([known], content)).toThrow(/public key/);
});

test('whatever the header says, it is no signature', () => {
  const key = parseWebhookKey(secretText(Buffer.alloc(32, 1)));
  const content = { id: 'a', timestamp: '1', body: Buffer.from('x') };
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc
          .array(fc.tuple(fc.constantFrom('v1', 'v1a', ''), fc.base64String()))
          .map((parts) => parts.map((part) => part.join(',')).join(' ')),
      ),
      (header) => {
        expect(isSignedWith([key], content, header)).toBe(false);
      },
    ),
  );
});

test.each([
  '',
  'secret',
  'whsec_',
  'whsec_AAAA',
  'whsec_!',
  `whsec_${'A'.repeat(200)}`,
  'whsk_AAAA',
  'whpk_AAAA',
])('no secret: %j, and the message does not have it', (text) => {
  expect(() => parseWebhookKey(text)).toThrow(
    expect.objectContaining({ code: 'ML_CONFIG_INVALID' }),
  );
});

test('secrets are compared as a whole', () => {
  expect(isSameSecret('abc', 'abc')).toBe(true);
  expect(isSameSecret('abc', 'abd')).toBe(false);
  expect(isSameSecret('abc', 'abcd')).toBe(false);
});
