/**
 * Passwords: kept as a salted hash that is slow to make (scrypt), and checked without telling whether there is such a user.
 *
 * Reconnecting must be cheap, also for a thousand at once: a password that was right once is remembered, in memory alone, by a hash
 * whose key is made anew at each start.
 *
 * Source: RFC 7914 (scrypt); parameters as of OWASP's recommendation for 16 MiB.
 */
import { createHmac, scrypt, timingSafeEqual } from 'node:crypto';
import type { Env } from '../../core/env.ts';

/** NOTE: persistent. Another cost is another version of the record. */
const COST = { N: 16_384, r: 8, p: 1 } as const;
const SALT_BYTES = 16;
const HASH_BYTES = 32;

/** What is kept of a password. */
export interface PasswordHash {
  readonly salt: Buffer;
  readonly hash: Buffer;
}

export class Passwords {
  private readonly env: Env;
  /** Of what is remembered; gone with the process. */
  private readonly key: Buffer;
  /** What is checked when there is no such user: it takes the same time. */
  private readonly nobody: PasswordHash;
  /** Proofs of passwords that were right, by what they are to be hashed to. */
  private readonly right = new WeakMap<PasswordHash, Buffer>();
  /** One check of a password at a time for each user and password that is asked for. */
  private readonly checks = new Map<string, Promise<boolean>>();

  constructor(env: Env) {
    this.env = env;
    this.key = env.random.bytes(HASH_BYTES);
    this.nobody = { salt: env.random.bytes(SALT_BYTES), hash: env.random.bytes(HASH_BYTES) };
  }

  async hash(password: string): Promise<PasswordHash> {
    const salt = this.env.random.bytes(SALT_BYTES);
    return { salt, hash: await derive(password, salt) };
  }

  /** @param expected undefined: there is no such user */
  async isRight(password: string, expected: PasswordHash | undefined): Promise<boolean> {
    const against = expected ?? this.nobody;
    const proof = createHmac('sha256', this.key).update(against.salt).update(password).digest();
    const remembered = this.right.get(against);
    if (remembered !== undefined && timingSafeEqual(remembered, proof)) return true;
    const isRight = await this.check(password, against, proof.toString('base64'));
    if (isRight && expected !== undefined) this.right.set(expected, proof);
    return isRight && expected !== undefined;
  }

  /** Those who ask for the same at the same time wait for one check. */
  private async check(password: string, against: PasswordHash, proof: string): Promise<boolean> {
    const under = this.checks.get(proof);
    if (under !== undefined) return under;
    const check = derive(password, against.salt).then((hash) =>
      timingSafeEqual(hash, against.hash),
    );
    this.checks.set(proof, check);
    try {
      return await check;
    } finally {
      this.checks.delete(proof);
    }
  }
}

function derive(password: string, salt: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, HASH_BYTES, COST, (error, hash) => {
      if (error === null) resolve(hash);
      else reject(error);
    });
  });
}
