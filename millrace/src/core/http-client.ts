/** Small answers of other processes of Millrace over HTTP: bounded in time and size. */
import { MillraceError } from './errors.ts';

export interface HttpAnswer {
  readonly status: number;
  readonly body: Buffer;
}

export interface HttpAskOptions {
  readonly body: Uint8Array<ArrayBuffer>;
  readonly timeoutMs: number;
  /** A longer answer is an error. */
  readonly bytesMax: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A POST. Redirects are not followed.
 * @throws {MillraceError} ML_CONNECTION_LOST (retriable), also when the answer takes too long or is too large; ML_ABORTED
 */
export async function httpAsk(url: string, options: HttpAskOptions): Promise<HttpAnswer> {
  const { body, timeoutMs, bytesMax, signal } = options;
  const deadline = AbortSignal.timeout(timeoutMs);
  try {
    const answer = await fetch(url, {
      method: 'POST',
      body,
      redirect: 'error',
      signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
    });
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    if (answer.body !== null)
      for await (const chunk of answer.body) {
        bytes += chunk.length;
        if (bytes > bytesMax) throw new Error(`the answer has more than ${bytesMax} bytes`);
        chunks.push(chunk);
      }
    return { status: answer.status, body: Buffer.concat(chunks) };
  } catch (error) {
    if (signal?.aborted === true)
      throw new MillraceError('ML_ABORTED', `the request to ${hostOf(url)} was called off`);
    throw new MillraceError(
      'ML_CONNECTION_LOST',
      `${hostOf(url)} ${deadline.aborted ? `has not answered within ${timeoutMs} ms` : `cannot be asked: ${reasonOf(error)}`}`,
      { cause: error, fields: { address: hostOf(url) } },
    );
  }
}

function hostOf(url: string): string {
  return URL.parse(url)?.host ?? url;
}

/** What fetch says is that it has failed; its cause says why. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}
