/**
 * Passwords: kept as a salted hash that is slow to make (scrypt), and checked without telling whether there is such a user.
 *
 * Reconnecting must be cheap, also for a thousand at once: a password that was right once is remembered, in memory alone, by a hash
 * whose key is made anew at each start.
 *
 * One hash is made at a time: whoever guesses must not take from the disk the threads that write to it. Clients that are gone meanwhile are
 * passed over.
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

interface Check {
  readonly done: Promise<boolean>;
  /** Of each who waits for it. */
  readonly wanted: (() => boolean)[];
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
  private readonly checks = new Map<string, Check>();
  /** Settles when nothing is being hashed. Never rejects. */
  private idle: Promise<unknown> = Promise.resolve();

  constructor(env: Env) {
    this.env = env;
    this.key = env.random.bytes(HASH_BYTES);
    this.nobody = { salt: env.random.bytes(SALT_BYTES), hash: env.random.bytes(HASH_BYTES) };
  }

  async hash(password: string): Promise<PasswordHash> {
    const salt = this.env.random.bytes(SALT_BYTES);
    return { salt, hash: await this.inTurn(() => derive(password, salt)) };
  }

  /**
   * @param expected undefined: there is no such user
   * @param isWanted whether anybody still waits for it; when nobody does, it is wrong
   */
  async isRight(
    password: string,
    expected: PasswordHash | undefined,
    isWanted: () => boolean = () => true,
  ): Promise<boolean> {
    const against = expected ?? this.nobody;
    const proof = createHmac('sha256', this.key).update(against.salt).update(password).digest();
    const remembered = this.right.get(against);
    if (remembered !== undefined && timingSafeEqual(remembered, proof)) return true;
    const isRight = await this.check(password, against, { proof, isWanted });
    if (isRight && expected !== undefined) this.right.set(expected, proof);
    return isRight && expected !== undefined;
  }

  /** Those who ask for the same at the same time wait for one check. */
  private async check(
    password: string,
    against: PasswordHash,
    { proof, isWanted }: { readonly proof: Buffer; readonly isWanted: () => boolean },
  ): Promise<boolean> {
    const id = proof.toString('base64');
    const under = this.checks.get(id);
    if (under !== undefined) {
      under.wanted.push(isWanted);
      return under.done;
    }
    const wanted = [isWanted];
    const done = this.inTurn(
      async () =>
        wanted.some((each) => each()) &&
        timingSafeEqual(await derive(password, against.salt), against.hash),
    );
    this.checks.set(id, { done, wanted });
    try {
      return await done;
    } finally {
      this.checks.delete(id);
    }
  }

  /** Waits until nothing else is hashed. */
  private inTurn<Result>(hash: () => Promise<Result>): Promise<Result> {
    const hashed = this.idle.then(hash);
    this.idle = hashed.catch(() => {});
    return hashed;
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
