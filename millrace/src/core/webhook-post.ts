/**
 * POST requests to endpoints that somebody else has named: to public addresses only, unless it is allowed; without following where the answer
 * leads; bounded in time and size.
 *
 * The name of a host is looked up for the connection that is made, and that connection goes to the address that was looked at: a name that
 * leads elsewhere the next time gains nothing by it.
 */
import { lookup as lookUp } from 'node:dns';
import { Agent, type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http';
import { Agent as TlsAgent, request as requestTls } from 'node:https';
import type { LookupFunction } from 'node:net';
import { WEBHOOK_ANSWER_BYTES_MAX } from './direct-limits.ts';
import type { Timers } from './env.ts';
import { MillraceError } from './errors.ts';
import { isPublicAddress } from './ip-address.ts';
import { checkPostUrl, notPublic } from './webhook-url.ts';

export interface PostRequest {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface PostAnswer {
  readonly status: number;
  readonly retryAfter: string | undefined;
  /** Its beginning. */
  readonly text: string;
}

export interface Address {
  readonly address: string;
  readonly family: number;
}

export interface PosterOptions {
  readonly timers: Timers;
  /** Also addresses that are not public, and plain HTTP. */
  readonly allowPrivate: boolean;
  readonly connectionsMax: number;
  /** Default: as the system does it. */
  readonly resolve?: ((host: string) => Promise<readonly Address[]>) | undefined;
}

export class Poster {
  readonly #options: PosterOptions;
  readonly #agent: Agent;
  readonly #tlsAgent: TlsAgent;

  constructor(options: PosterOptions) {
    this.#options = options;
    const agent = { keepAlive: true, maxSockets: options.connectionsMax, timeout: IDLE_MS };
    this.#agent = new Agent(agent);
    this.#tlsAgent = new TlsAgent(agent);
  }

  /**
   * Any status is an answer.
   * @throws {MillraceError} ML_WEBHOOK_ADDRESS; ML_CONNECTION_LOST (retriable), also when it takes too long; ML_ABORTED
   */
  post({ url, headers, body, timeoutMs, signal }: PostRequest): Promise<PostAnswer> {
    checkPostUrl(url.href, this.#options.allowPrivate);
    const isTls = url.protocol === 'https:';
    const ask = isTls ? requestTls : requestHttp;
    return new Promise((resolve, reject) => {
      let reason: MillraceError | undefined;
      const asked = ask(url, {
        method: 'POST',
        agent: isTls ? this.#tlsAgent : this.#agent,
        lookup: this.#lookup,
        headers: { ...headers, 'content-length': String(body.length) },
      });
      const stop = (error: MillraceError): void => {
        reason ??= error;
        asked.destroy();
      };
      const late = this.#options.timers.after(timeoutMs, () => stop(timedOut(url, timeoutMs)));
      const onAbort = (): void =>
        stop(new MillraceError('ML_ABORTED', `the request to ${url.host} was called off`));
      signal?.addEventListener('abort', onAbort);
      const settle = (answer: PostAnswer | undefined, error?: unknown): void => {
        late.cancel();
        signal?.removeEventListener('abort', onAbort);
        if (answer === undefined) reject(reason ?? lost(url, error));
        else resolve(answer);
      };
      asked.on('error', (error) => settle(undefined, error));
      asked.on('close', () => settle(undefined, new Error('the connection has ended')));
      asked.on('response', (response) => takeAnswer(asked, response, settle));
      asked.end(body);
      if (signal?.aborted === true) onAbort();
    });
  }

  close(): void {
    this.#agent.destroy();
    this.#tlsAgent.destroy();
  }

  /** For the connection that is being made. */
  readonly #lookup: LookupFunction = (host, { all }, callback) => {
    const answer = async (): Promise<void> => {
      const found = await this.#resolve(host).catch((error: unknown) => error as Error);
      if (found instanceof Error) callback(found, '');
      else if (all === true) callback(null, [...found]);
      else callback(null, found[0]?.address ?? '', found[0]?.family ?? 4);
    };
    void answer();
  };

  /** @throws {MillraceError} ML_WEBHOOK_ADDRESS */
  async #resolve(host: string): Promise<readonly Address[]> {
    const { allowPrivate, resolve = resolveBySystem } = this.#options;
    const found = await resolve(host);
    const allowed = allowPrivate ? found : found.filter(({ address }) => isPublicAddress(address));
    if (allowed.length > 0) return allowed;
    throw notPublic(
      host,
      found.map(({ address }) => address),
    );
  }
}

/** Connections that nobody needs for so long are closed. */
const IDLE_MS = 30_000;

function takeAnswer(
  asked: ClientRequest,
  response: IncomingMessage,
  settle: (answer: PostAnswer | undefined, error?: unknown) => void,
): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const { statusCode = 0, headers } = response;
  const done = (): void => {
    settle({
      status: statusCode,
      retryAfter: headers['retry-after'],
      text: Buffer.concat(chunks).toString('utf8', 0, WEBHOOK_ANSWER_BYTES_MAX),
    });
  };
  response.on('data', (chunk: Buffer) => {
    if (bytes < WEBHOOK_ANSWER_BYTES_MAX) chunks.push(chunk);
    bytes += chunk.length;
    if (bytes <= WEBHOOK_ANSWER_BYTES_MAX) return;
    // The status is what counts; the rest of the body is not waited for.
    done();
    asked.destroy();
  });
  response.on('end', done);
  response.on('error', (error) => settle(undefined, error));
}

function resolveBySystem(host: string): Promise<readonly Address[]> {
  return new Promise((resolve, reject) => {
    lookUp(host, { all: true }, (error, addresses) => {
      if (error === null) resolve(addresses);
      else reject(error);
    });
  });
}

function timedOut({ host }: URL, timeoutMs: number): MillraceError {
  return new MillraceError(
    'ML_CONNECTION_LOST',
    `${host} has not answered within ${timeoutMs} ms`,
    { fields: { address: host } },
  );
}

function lost({ host }: URL, cause: unknown): MillraceError {
  if (cause instanceof MillraceError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new MillraceError('ML_CONNECTION_LOST', `${host} cannot be asked: ${reason}`, {
    cause,
    fields: { address: host },
  });
}
