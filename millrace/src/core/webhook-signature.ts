/**
 * Signatures of webhooks: over `<id>.<timestamp>.<body>`, with `v1` HMAC-SHA256 and a secret that both sides have, or with `v1a` Ed25519.
 *
 *   whsec_<base64>  24 to 64 bytes that both sides have
 *   whsk_<base64>   the private key of Ed25519: 32 bytes, or 64 with the public key behind
 *   whpk_<base64>   the public key: 32 bytes
 *
 * Several keys sign side by side while one takes the place of another.
 *
 * Source: Standard Webhooks 1.0.0; RFC 8410 (how keys of Ed25519 are wrapped).
 */
import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign as signWith,
  timingSafeEqual,
  verify as verifyWith,
} from 'node:crypto';
import { WEBHOOK_SIGNATURES_MAX } from './direct-limits.ts';
import { MillraceError } from './errors.ts';

export type WebhookKey =
  | { readonly kind: 'secret'; readonly secret: Buffer }
  | { readonly kind: 'private' | 'public'; readonly key: KeyObject };

export interface SignedContent {
  readonly id: string;
  /** Seconds since 1970. */
  readonly timestamp: string;
  readonly body: Uint8Array;
}

const SECRET_BYTES_MIN = 24;
const SECRET_BYTES_MAX = 64;
const KEY_BYTES = 32;
/** What is before the bytes of a key where it is written as DER. */
const PRIVATE_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');
const PUBLIC_HEAD = Buffer.from('302a300506032b6570032100', 'hex');

/** @throws {MillraceError} ML_CONFIG_INVALID; the text is not in the message */
export function parseWebhookKey(text: string): WebhookKey {
  const [, kind = '', base64 = ''] = /^(whsec|whsk|whpk)_([A-Za-z0-9+/]+={0,2})$/.exec(text) ?? [];
  const bytes = Buffer.from(base64, 'base64');
  switch (kind) {
    case 'whsec':
      if (bytes.length >= SECRET_BYTES_MIN && bytes.length <= SECRET_BYTES_MAX)
        return { kind: 'secret', secret: bytes };
      throw badKey(`has ${bytes.length} bytes, and not 24 to 64`);
    case 'whsk':
      if (bytes.length === KEY_BYTES || bytes.length === 2 * KEY_BYTES)
        return { kind: 'private', key: privateKey(bytes.subarray(0, KEY_BYTES)) };
      throw badKey(`has ${bytes.length} bytes, and not 32`);
    case 'whpk':
      if (bytes.length === KEY_BYTES) return { kind: 'public', key: publicKey(bytes) };
      throw badKey(`has ${bytes.length} bytes, and not 32`);
    default:
      throw badKey('does not begin with whsec_, whsk_ or whpk_, or is no base64 behind that');
  }
}

/** The header `webhook-signature`. @throws {MillraceError} ML_CONFIG_INVALID: a public key signs nothing */
export function webhookSignature(keys: readonly WebhookKey[], content: SignedContent): string {
  const signed = signedBytes(content);
  return keys
    .map((key) => {
      switch (key.kind) {
        case 'secret':
          return `v1,${createHmac('sha256', key.secret).update(signed).digest('base64')}`;
        case 'private':
          return `v1a,${signWith(null, signed, key.key).toString('base64')}`;
        case 'public':
          throw badKey('is a public key (whpk_), which signs nothing: whsk_ does');
      }
    })
    .join(' ');
}

/** Whether one of the keys has made one of the signatures. */
export function isSignedWith(
  keys: readonly WebhookKey[],
  content: SignedContent,
  signatures: string,
): boolean {
  const signed = signedBytes(content);
  for (const each of signatures.split(' ').slice(0, WEBHOOK_SIGNATURES_MAX)) {
    const comma = each.indexOf(',');
    const version = each.slice(0, comma);
    const signature = Buffer.from(each.slice(comma + 1), 'base64');
    for (const key of keys) if (isOf(key, version, signed, signature)) return true;
  }
  return false;
}

/** Whether texts are equal; how long it takes tells nothing of where they differ. */
export function isSameSecret(left: string, right: string): boolean {
  // Digests have one length.
  const [first, second] = [left, right].map((text) =>
    createHmac('sha256', 'compare').update(text).digest(),
  );
  return first !== undefined && second !== undefined && timingSafeEqual(first, second);
}

function isOf(key: WebhookKey, version: string, signed: Buffer, signature: Buffer): boolean {
  if (key.kind === 'secret') {
    if (version !== 'v1') return false;
    const expected = createHmac('sha256', key.secret).update(signed).digest();
    return signature.length === expected.length && timingSafeEqual(signature, expected);
  }
  return (
    version === 'v1a' && signature.length === 64 && verifyWith(null, signed, key.key, signature)
  );
}

function signedBytes({ id, timestamp, body }: SignedContent): Buffer {
  return Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body]);
}

function privateKey(seed: Buffer): KeyObject {
  return createPrivateKey({
    key: Buffer.concat([PRIVATE_HEAD, seed]),
    format: 'der',
    type: 'pkcs8',
  });
}

function publicKey(bytes: Buffer): KeyObject {
  return createPublicKey({ key: Buffer.concat([PUBLIC_HEAD, bytes]), format: 'der', type: 'spki' });
}

function badKey(why: string): MillraceError {
  return new MillraceError('ML_CONFIG_INVALID', `a secret of a webhook ${why}`, {
    hint: 'Make one with: echo "whsec_$(openssl rand -base64 32)"',
  });
}
