/**
 * Fetch (key 1), versions 4-18.
 *
 * Behaviour:
 * - Answers when `minBytes` are there, an error is known or the wait is over; appends wake it, it never polls.
 * - Only durable records are answered, whole batches as they are stored. One batch is always answered even when it is
 *   larger than the limits (KIP-74); what a limit leaves out goes first next time (sessions).
 * - read_committed ends at the last stable offset and names the aborted transactions.
 * - Incremental sessions (KIP-227) up to `max.incremental.fetch.session.cache.slots`; those that get none use full
 *   requests.
 * - Leader epochs are checked (KIP-320), diverging ones answered (KIP-595).
 *
 * Deviations:
 * - A request of a replica is answered as a consumer's: there are no replicas.
 * - Preferred read replicas and racks are not used.
 *
 * Source: KIP-74, KIP-98, KIP-227, KIP-320, KIP-516, KIP-595.
 */
import type { Fetched, FetchTarget } from '../../broker/fetch.ts';
import { errorCode, type ErrorName } from '../../wire/kafka/error-codes.ts';
import type { FetchRequest, FetchResponseInput } from '../../wire/kafka/messages/01-fetch.ts';
import type { ElementOf } from '../../wire/kafka/schema.ts';
import { defineApi, type Api, type Releasable, type RequestContext } from './api.ts';

type TopicRequest = ElementOf<FetchRequest['topics']>;
type TopicAnswer = ElementOf<FetchResponseInput['responses']>;
type PartitionAnswer = ElementOf<TopicAnswer['partitions']>;

const TOPIC_IDS_SINCE = 13;

export interface FetchAnswer extends FetchResponseInput, Releasable {
  /** Some partition has a diverging epoch. */
  readonly diverging: boolean;
}

export const fetchApi: Api<FetchRequest, FetchAnswer> = defineApi({
  key: 1,
  name: 'Fetch',
  minVersion: 4,
  maxVersion: 18,
  handle: async (request, context) => {
    const { broker } = context;
    const targets = targetsOf(request.topics, context);
    const fetched = await broker.fetches.fetch(targets, {
      minBytes: request.minBytes,
      maxWaitMs: request.maxWaitMs,
      maxBytes: Math.min(request.maxBytes, broker.settings.fetchMaxBytes),
      isolation: request.isolationLevel === 1 ? 'read_committed' : 'read_uncommitted',
      signal: context.signal,
    });
    return {
      errorCode: 0,
      responses: answers(request.topics, fetched),
      diverging: fetched.partitions.some((result) => result.diverging !== undefined),
      release: fetched.release,
    };
  },
});

function targetsOf(topics: readonly TopicRequest[], context: RequestContext): FetchTarget[] {
  const known = context.broker.topics;
  const byId = context.apiVersion >= TOPIC_IDS_SINCE;
  const missing: ErrorName = byId ? 'UNKNOWN_TOPIC_ID' : 'UNKNOWN_TOPIC_OR_PARTITION';
  return topics.flatMap((asked) => {
    const topic = byId ? known.byId(asked.topicId) : known.get(asked.topic);
    return asked.partitions.map((part) => ({
      topic,
      partition: part.partition,
      error: topic === undefined ? missing : 'NONE',
      fetchOffset: part.fetchOffset,
      maxBytes: part.partitionMaxBytes,
      currentLeaderEpoch: part.currentLeaderEpoch,
      lastFetchedEpoch: part.lastFetchedEpoch,
    }));
  });
}

function answers(topics: readonly TopicRequest[], fetched: Fetched): TopicAnswer[] {
  let index = 0;
  return topics.map((asked) => ({
    topic: asked.topic,
    topicId: asked.topicId,
    partitions: asked.partitions.map((part) => partitionAnswer(part.partition, fetched, index++)),
  }));
}

function partitionAnswer(partitionIndex: number, fetched: Fetched, index: number): PartitionAnswer {
  const result = fetched.partitions[index];
  if (result === undefined) throw new RangeError('a result for every partition');
  return {
    partitionIndex,
    errorCode: errorCode(result.error),
    highWatermark: result.highWatermark,
    lastStableOffset: result.lastStableOffset,
    logStartOffset: result.logStartOffset,
    abortedTransactions: result.abortedTransactions,
    records: result.records,
    ...(result.diverging === undefined
      ? {}
      : {
          divergingEpoch: {
            epoch: result.diverging.leaderEpoch,
            endOffset: result.diverging.endOffset,
          },
        }),
  };
}
