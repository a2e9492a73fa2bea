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
import type { Broker } from '../../broker/broker.ts';
import type { FetchedPartition, FetchTarget } from '../../broker/fetch.ts';
import type { FetchPlan, SessionPartition } from '../../broker/fetch-sessions.ts';
import { errorCode } from '../../wire/kafka/error-codes.ts';
import type { FetchRequest, FetchResponseInput } from '../../wire/kafka/messages/01-fetch.ts';
import type { ElementOf } from '../../wire/kafka/schema.ts';
import { defineApi, type Api, type Releasable } from './api.ts';

type TopicAnswer = ElementOf<FetchResponseInput['responses']>;
type PartitionAnswer = ElementOf<TopicAnswer['partitions']>;

export interface FetchAnswer extends FetchResponseInput, Releasable {
  /** Some partition has a diverging epoch. */
  readonly diverging: boolean;
}

const TOPIC_IDS_SINCE = 13;

export const fetchApi: Api<FetchRequest, FetchAnswer> = defineApi({
  key: 1,
  name: 'Fetch',
  minVersion: 4,
  maxVersion: 18,
  handle: async (request, { broker, apiVersion, signal }) => {
    const byId = apiVersion >= TOPIC_IDS_SINCE;
    const plan = broker.fetchSessions.open({
      sessionId: request.sessionId,
      sessionEpoch: request.sessionEpoch,
      byId,
      partitions: partitionsAsked(request),
      forgotten: request.forgottenTopicsData.flatMap(({ topic, topicId, partitions }) =>
        partitions.map((partition) => ({ topicName: topic, topicId, partition })),
      ),
    });
    if (plan.error !== 'NONE')
      return { errorCode: errorCode(plan.error), sessionId: 0, responses: [], diverging: false };
    const fetched = await broker.fetches.fetch(targetsOf(plan, byId, broker), {
      minBytes: request.minBytes,
      maxWaitMs: request.maxWaitMs,
      maxBytes: Math.min(request.maxBytes, broker.settings.fetchMaxBytes),
      isolation: request.isolationLevel === 1 ? 'read_committed' : 'read_uncommitted',
      signal,
    });
    const selected = plan.select(fetched.partitions);
    return {
      errorCode: 0,
      sessionId: plan.sessionId,
      responses: answers(plan.partitions, fetched.partitions, selected),
      diverging: fetched.partitions.some((result) => result.diverging !== undefined),
      release: fetched.release,
    };
  },
});

function partitionsAsked({ topics }: FetchRequest): SessionPartition[] {
  return topics.flatMap(({ topic, topicId, partitions }) =>
    partitions.map((part) => ({
      topicName: topic,
      topicId,
      partition: part.partition,
      fetchOffset: part.fetchOffset,
      maxBytes: part.partitionMaxBytes,
      currentLeaderEpoch: part.currentLeaderEpoch,
      lastFetchedEpoch: part.lastFetchedEpoch,
    })),
  );
}

function targetsOf(plan: FetchPlan, byId: boolean, { topics }: Broker): FetchTarget[] {
  return plan.partitions.map((asked) => {
    const topic = byId ? topics.byId(asked.topicId) : topics.get(asked.topicName);
    return {
      topic,
      partition: asked.partition,
      error: topic === undefined && byId ? 'UNKNOWN_TOPIC_ID' : 'UNKNOWN_TOPIC_OR_PARTITION',
      fetchOffset: asked.fetchOffset,
      maxBytes: asked.maxBytes,
      currentLeaderEpoch: asked.currentLeaderEpoch,
      lastFetchedEpoch: asked.lastFetchedEpoch,
    };
  });
}

/** The selected results, those of one topic that follow one another under one name. */
function answers(
  asked: readonly SessionPartition[],
  results: readonly FetchedPartition[],
  selected: readonly number[],
): TopicAnswer[] {
  const topics: TopicAnswer[] = [];
  let partitions: PartitionAnswer[] = [];
  let last: SessionPartition | undefined;
  for (const index of selected) {
    const one = asked[index];
    const result = results[index];
    if (one === undefined || result === undefined) continue;
    if (last?.topicName !== one.topicName || last.topicId !== one.topicId) {
      partitions = [];
      topics.push({ topic: one.topicName, topicId: one.topicId, partitions });
      last = one;
    }
    partitions.push(partitionAnswer(one.partition, result));
  }
  return topics;
}

function partitionAnswer(partitionIndex: number, result: FetchedPartition): PartitionAnswer {
  const { highWatermark, lastStableOffset, logStartOffset, abortedTransactions, records } = result;
  const answer = {
    partitionIndex,
    errorCode: errorCode(result.error),
    highWatermark,
    lastStableOffset,
    logStartOffset,
    abortedTransactions,
    records,
  };
  if (result.diverging === undefined) return answer;
  const { leaderEpoch: epoch, endOffset } = result.diverging;
  return { ...answer, divergingEpoch: { epoch, endOffset } };
}
