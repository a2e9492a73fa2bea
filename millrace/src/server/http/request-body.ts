/** Bodies of requests, bounded before they are taken: each by itself, and all together. */
import type { IncomingMessage } from 'node:http';
import type { Env, Timer } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import { HTTP_BODY_BYTES_PER_SECOND_MIN, HTTP_REQUEST_MS } from '../../core/http-limits.ts';
import { badRequest } from './http-errors.ts';

/** Memory that requests share. */
export class ByteBudget {
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** @throws {MillraceError} ML_HTTP_BUSY */
  take(bytes: number): void {
    if (this.#bytes + bytes > this.#bytesMax)
      throw new MillraceError(
        'ML_HTTP_BUSY',
        `bodies of ${this.#bytes} bytes are being taken, and all together may have ${this.#bytesMax}`,
      );
    this.#bytes += bytes;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/** Infinity: nobody says. */
export function announcedBytes({ headers }: IncomingMessage): number {
  if ('transfer-encoding' in headers) return Number.POSITIVE_INFINITY;
  return Number(headers['content-length'] ?? 0);
}

/** @throws {MillraceError} ML_HTTP_REQUEST (415) */
export function refuseCoded({ headers }: IncomingMessage): void {
  const coding = headers['content-encoding'] ?? 'identity';
  if (coding.toLowerCase() !== 'identity')
    throw badRequest(415, `a body in ${coding.slice(0, 100)} is not taken`, 'Send it as it is');
}

/**
 * The chunks as they come; while nobody asks for the next one, the sender waits.
 * @throws {MillraceError} ML_HTTP_REQUEST (408) when nothing comes for a while; ML_ABORTED when the sender has gone
 */
export async function* bodyChunks(
  incoming: IncomingMessage,
  env: Pick<Env, 'timers'>,
): AsyncGenerator<Buffer, undefined> {
  const chunks = incoming[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  for (;;) {
    const next = await nextChunk(chunks, env);
    if (next === LATE) throw badRequest(408, `nothing of the body came for ${HTTP_REQUEST_MS} ms`);
    if (next.done === true) return undefined;
    yield next.value;
  }
}

const LATE = Symbol('late');

async function nextChunk(
  chunks: AsyncIterator<Buffer>,
  env: Pick<Env, 'timers'>,
): Promise<IteratorResult<Buffer> | typeof LATE> {
  let late: Timer | undefined;
  const waited = new Promise<typeof LATE>((resolve) => {
    late = env.timers.after(HTTP_REQUEST_MS, () => resolve(LATE));
  });
  try {
    return await Promise.race([chunks.next(), waited]);
  } catch (cause) {
    throw new MillraceError('ML_ABORTED', 'the sender has gone in the middle of the body', {
      cause,
    });
  } finally {
    late?.cancel();
  }
}

/**
 * A whole body. The caller gives its bytes back to the budget. They are taken of it as they come, and not because somebody announces them:
 * who sends nothing keeps nothing from others.
 * @throws {MillraceError} ML_HTTP_REQUEST (413, 408, 415), ML_HTTP_BUSY, ML_ABORTED: nothing is left taken of the budget then
 */
export async function wholeBody(
  incoming: IncomingMessage,
  env: Pick<Env, 'timers' | 'clock'>,
  { budget, bytesMax, hint }: BodyOptions,
): Promise<Buffer> {
  refuseCoded(incoming);
  const announced = announcedBytes(incoming);
  const tooLarge = (): MillraceError =>
    badRequest(413, `a body has at most ${bytesMax} bytes here`, hint);
  if (Number.isFinite(announced) && announced > bytesMax) throw tooLarge();
  const startedMs = env.clock.monotonicMs();
  let bytes = 0;
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of bodyChunks(incoming, env)) {
      if (bytes + chunk.length > bytesMax) throw tooLarge();
      budget.take(chunk.length);
      bytes += chunk.length;
      refuseSlow(bytes, env.clock.monotonicMs() - startedMs);
      chunks.push(chunk);
    }
    const [only] = chunks;
    return chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, bytes);
  } catch (error) {
    budget.give(bytes);
    throw error;
  }
}

function refuseSlow(bytes: number, ms: number): void {
  if (ms <= HTTP_REQUEST_MS + (bytes * 1000) / HTTP_BODY_BYTES_PER_SECOND_MIN) return;
  throw badRequest(
    408,
    `the body comes with less than ${HTTP_BODY_BYTES_PER_SECOND_MIN} bytes a second`,
  );
}

export interface BodyOptions {
  readonly budget: ByteBudget;
  readonly bytesMax: number;
  /** What to do when it is larger. */
  readonly hint: string;
}
