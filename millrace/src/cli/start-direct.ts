/** What `millrace start` serves without a client library: topics over HTTP, and StatsD. Loaded when it is asked for. */
import { connectLog } from '../client/kafka/kafka-log.ts';
import { IN_PROCESS_ADDRESS } from '../client/port-log.ts';
import type { Env } from '../core/env.ts';
import type { Logger } from '../core/log.ts';
import { connectionPair } from '../core/pipe.ts';
import { type DirectOptions, openDirect } from '../open-direct.ts';
import type { ServedBroker } from '../served-broker.ts';

export interface StartedDirect {
  /** `host:port`. */
  readonly http: string | undefined;
  readonly statsd: string | undefined;
  /** Before the broker is closed. */
  close(): Promise<void>;
}

/** @throws {MillraceError} ML_INSECURE_BIND, ML_ADDRESS_IN_USE, … */
export async function startDirect(
  env: Env,
  broker: ServedBroker,
  options: DirectOptions,
  logger: Logger,
): Promise<StartedDirect> {
  const log = await connectLog(env, {
    label: broker.dataDir,
    bootstrap: [IN_PROCESS_ADDRESS],
    connect: async () => {
      const [client, server] = connectionPair(env.timers, 'in-process');
      broker.serve(server, IN_PROCESS_ADDRESS);
      return client;
    },
  });
  const { http, statsd } = await openDirect(env, log, options, logger);
  return {
    http: http?.address,
    statsd: statsd === undefined ? undefined : `${statsd.host}:${statsd.port}`,
    close: async () => {
      await http?.close();
      await statsd?.close();
      await log.close();
    },
  };
}
