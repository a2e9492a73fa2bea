/** What a process can be reached by without a client library: HTTP, webhooks, StatsD. Loaded when it is asked for. */
import type { StatsdOptions, StatsdReceiver } from './connect/statsd/statsd-receiver.ts';
import type { Log } from './client/log.ts';
import type { Env } from './core/env.ts';
import { MillraceError } from './core/errors.ts';
import type { Logger } from './core/log.ts';
import { checkOptionNames, type OptionNames } from './core/option-names.ts';
import type { WebhookEndpoints } from './server/http/incoming-webhooks.ts';
import type { HttpServer } from './server/http/open-http.ts';

/** Of `openMillrace` and `connectMillrace`. */
export interface DirectOptions {
  /**
   * Where topics are read and written over HTTP, WebSockets and Server-Sent Events, where the views of the flows that run here are served,
   * and where other processes of the same flow ask for them: by default 127.0.0.1 and a port that the system chooses. Pages of `origins`
   * (`https://app.example.com`) may write, too; other pages of browsers may not. Default false: nowhere, and what is asked of views has to be
   * in this process.
   */
  readonly http?:
    | { readonly host?: string; readonly port?: number; readonly origins?: readonly string[] }
    | false;
  /** Webhooks that are taken, at `/webhooks/<name>` of `http`: verified, written once. Default: none. */
  readonly webhooks?: WebhookEndpoints;
  /** Metrics of StatsD, over UDP, that are written to a topic: by default on 127.0.0.1:8125. Default false: none are received. */
  readonly statsd?: Omit<StatsdOptions, 'insecure'> | false;
  /** Allows all of them to listen beyond this machine although everybody who reaches the port may read and write. Default false. */
  readonly insecure?: boolean;
}

export const DIRECT_OPTIONS: OptionNames<DirectOptions> = {
  http: true,
  webhooks: true,
  statsd: true,
  insecure: true,
};
const HTTP_OPTIONS: OptionNames<Exclude<DirectOptions['http'], false | undefined>> = {
  host: true,
  port: true,
  origins: true,
};
const STATSD_OPTIONS: OptionNames<Exclude<DirectOptions['statsd'], false | undefined>> = {
  topic: true,
  host: true,
  port: true,
  queueBytesMax: true,
};

export interface Direct {
  readonly http: HttpServer | undefined;
  readonly statsd: StatsdReceiver | undefined;
}

/** @throws {MillraceError} ML_CONFIG_INVALID, ML_INSECURE_BIND, ML_ADDRESS_IN_USE, …: the log is closed then */
export async function openDirect(
  env: Env,
  log: Log,
  { http, webhooks, statsd, insecure }: DirectOptions,
  logger: Logger,
): Promise<Direct> {
  let server: HttpServer | undefined;
  try {
    if (webhooks !== undefined && (http === undefined || http === false))
      throw new MillraceError('ML_CONFIG_INVALID', 'webhooks are taken over HTTP, which is off', {
        hint: 'Say where it listens, too: http: { port: 8080 }',
      });
    if (http !== undefined && http !== false) {
      checkOptionNames('http', http, HTTP_OPTIONS);
      const { openHttp } = await import('./server/http/open-http.ts');
      server = await openHttp({ env, port: 0, ...http, insecure });
      server.serveTopics(log);
      if (webhooks !== undefined) server.serveWebhooks(log, webhooks);
    }
    if (statsd === undefined || statsd === false) return { http: server, statsd: undefined };
    checkOptionNames('statsd', statsd, STATSD_OPTIONS);
    const { openStatsd } = await import('./connect/statsd/statsd-receiver.ts');
    const options = insecure === undefined ? statsd : { ...statsd, insecure };
    return { http: server, statsd: await openStatsd(log, options, logger) };
  } catch (error) {
    await server?.close();
    await log.close();
    throw error;
  }
}
