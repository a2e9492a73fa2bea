/** Which brokers a command talks to, and for how long. */
import type { Env } from '../core/env.ts';
import { realEnv } from '../core/real-env.ts';
import { DEFAULT_BROKERS, parseAddresses } from '../client/kafka/addresses.ts';
import { Cluster } from '../client/kafka/cluster.ts';
import type { Address } from '../client/kafka/connection.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * `--brokers`, else MILLRACE_BROKERS, else the default port on this machine.
 * @throws {MillraceError} ML_USAGE
 */
export function brokersOption(value: string | undefined, environment?: Environment): Address[] {
  return parseAddresses(brokersOf(value, environment) ?? DEFAULT_BROKERS);
}

/** `--brokers`, else MILLRACE_BROKERS; undefined: none are named. */
export function brokersOf(
  value: string | undefined,
  environment: Environment = process.env,
): string | undefined {
  return value ?? environment['MILLRACE_BROKERS'];
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
