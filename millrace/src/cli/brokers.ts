/** Which brokers a command talks to, and for how long. */
import type { Env } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';
import { realEnv } from '../core/real-env.ts';
import { Cluster } from '../client/kafka/cluster.ts';
import type { Address } from '../client/kafka/connection.ts';

export const DEFAULT_BROKERS = '127.0.0.1:9092';

/**
 * `--brokers`, else MILLRACE_BROKERS, else the default port on this machine.
 * @throws {MillraceError} ML_USAGE
 */
export function brokersOption(
  value: string | undefined,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Address[] {
  const text = value ?? environment['MILLRACE_BROKERS'] ?? DEFAULT_BROKERS;
  return text.split(',').map((each) => {
    const match = /^(?:\[([0-9a-fA-F:]+)\]|([^\s:]+)):(\d{1,5})$/.exec(each.trim());
    const host = match?.[1] ?? match?.[2];
    const port = Number(match?.[3]);
    if (host === undefined || port < 1 || port > 65_535) {
      throw new MillraceError('ML_USAGE', `'${each.trim()}' is not a broker address`, {
        hint: 'Write host:port, for example --brokers 127.0.0.1:9092',
      });
    }
    return { host, port };
  });
}

/** Opens a cluster for the length of one call. */
export async function withCluster<Result>(
  brokers: string | undefined,
  work: (cluster: Cluster) => Promise<Result>,
  env: Env = realEnv(),
): Promise<Result> {
  const cluster = await Cluster.connect(env, brokersOption(brokers));
  try {
    return await work(cluster);
  } finally {
    await cluster.close();
  }
}
