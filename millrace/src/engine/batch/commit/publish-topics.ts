/**
 * What a job writes to topics: appended when all parts are there, the records of all topics in one transaction. Its readers see all of it, or
 * nothing.
 *
 * It comes before the outputs that are files take their places: a job that dies in between has written its topics, and says nothing of
 * its files; run again, it writes both.
 */
import { connectKafka } from '../../../client/kafka/kafka-log.ts';
import type { Log, LogProducer } from '../../../client/log.ts';
import type { Env } from '../../../core/env.ts';
import { assert } from '../../../core/errors.ts';
import { PUBLISH_TRANSACTION_MS, PUBLISH_UNSENT_BYTES } from '../../../core/stream-limits.ts';
import type { Part, Sink } from '../../../flow/sink.ts';
import type { TopicPort } from '../../../flow/topic-port.ts';

export interface TopicOutput {
  readonly sink: Sink;
  readonly port: TopicPort;
  readonly parts: readonly Part[];
}

/** @throws {MillraceError} ML_CONNECT_FAILED, ML_TOPIC_MISSING, ML_DISK_FULL…: nothing is to be seen of it then */
export async function publishTopics(
  env: Env,
  outputs: readonly TopicOutput[],
  options: { readonly brokers?: string | undefined; readonly jobId: string },
): Promise<void> {
  if (outputs.length === 0) return;
  const { brokers, jobId } = options;
  const log = await connectKafka(env, brokers === undefined ? {} : { brokers });
  try {
    await log.createTopics(
      outputs.flatMap(({ port: { name, create } }) => [
        ...(create.beside ?? []),
        { name, partitions: create.partitions, configs: create.configs },
      ]),
    );
    const producer = await log.producer({
      transactionalId: `millrace-job-${jobId}`,
      transactionTimeoutMs: PUBLISH_TRANSACTION_MS,
    });
    for (const output of outputs) await publish(env, log, producer, output);
    await producer.commit();
    await producer.close();
  } finally {
    await log.close();
  }
}

async function publish(
  env: Env,
  log: Log,
  producer: LogProducer,
  { sink, port, parts }: TopicOutput,
): Promise<void> {
  const topic = (await log.topics([port.name])).get(port.name);
  assert(topic !== undefined && sink.publish !== undefined, `${sink.label} can be published`);
  await sink.publish(env, {
    parts,
    partitions: topic.partitions,
    append: (partition, timestamp, key, value, headers) => {
      producer.append(port.name, partition, timestamp, key, value, headers);
    },
    drained: () =>
      producer.unsentBytes > PUBLISH_UNSENT_BYTES
        ? producer.drained(PUBLISH_UNSENT_BYTES / 2)
        : undefined,
  });
}
