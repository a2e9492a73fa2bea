/** A topic for a test that is about something else, without a process of its own. */
import { Cluster } from '../../src/client/kafka/cluster.ts';
import { brokersOption } from '../../src/cli/brokers.ts';
import { accept } from '../../src/client/kafka/refusal.ts';
import { realEnv } from '../../src/core/real-env.ts';
import { messages } from '../../src/wire/kafka/registry.ts';

/** @param address `host:port` of the broker */
export async function createTopic(
  address: string,
  name: string,
  numPartitions: number,
): Promise<void> {
  const cluster = await Cluster.connect(realEnv(), brokersOption(address));
  try {
    const { topics } = await cluster.call(messages[19], {
      topics: [{ name, numPartitions, replicationFactor: -1, assignments: [], configs: [] }],
    });
    for (const each of topics) accept(each.errorCode, each.errorMessage);
  } finally {
    await cluster.close();
  }
}
