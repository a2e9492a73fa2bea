/**
 * AddPartitionsToTxn (key 24), versions 0-5.
 *
 * Behaviour:
 * - Begins a transaction when none is open, and adds the partitions, durably before the answer.
 * - All or nothing: when one partition does not exist it is answered with UNKNOWN_TOPIC_OR_PARTITION, the others with
 *   OPERATION_NOT_ATTEMPTED.
 * - v4 and later carry several transactions, and can ask only whether the partitions are part of theirs (KIP-890).
 *
 * Deviations:
 * - v4 and later are for brokers in Kafka; here any client may send them.
 *
 * Source: KIP-98, KIP-890.
 */
import type { TopicPartition } from '../../broker/transactions/transaction-coordinator.ts';
import type { TransactionRequest } from '../../broker/transactions/transaction-table.ts';
import { errorCode, type ErrorName } from '../../wire/kafka/error-codes.ts';
import type {
  AddPartitionsToTxnRequest,
  AddPartitionsToTxnResponseInput,
} from '../../wire/kafka/messages/24-add-partitions-to-txn.ts';
import { defineApi, type Api, type RequestContext } from './api.ts';
import { transactionError } from './transaction-errors.ts';

const BATCHED_SINCE = 4;

type Topics = AddPartitionsToTxnRequest['v3AndBelowTopics'];

export const addPartitionsToTxnApi: Api<
  AddPartitionsToTxnRequest,
  AddPartitionsToTxnResponseInput
> = defineApi({
  key: 24,
  name: 'AddPartitionsToTxn',
  minVersion: 0,
  maxVersion: 5,
  handle: async (request, context) => {
    if (context.apiVersion < BATCHED_SINCE) {
      const producer = {
        transactionalId: request.v3AndBelowTransactionalId,
        producerId: request.v3AndBelowProducerId,
        producerEpoch: request.v3AndBelowProducerEpoch,
      };
      return {
        resultsByTopicV3AndBelow: await add(producer, request.v3AndBelowTopics, false, context),
      };
    }
    const resultsByTransaction = await Promise.all(
      request.transactions.map(async (transaction) => ({
        transactionalId: transaction.transactionalId,
        topicResults: await add(transaction, transaction.topics, transaction.verifyOnly, context),
      })),
    );
    return { resultsByTransaction };
  },
});

async function add(
  producer: TransactionRequest,
  topics: Topics,
  verifyOnly: boolean,
  context: RequestContext,
) {
  const { broker, apiVersion } = context;
  const partitions: TopicPartition[] = [];
  let missing = false;
  for (const { name, partitions: indexes } of topics) {
    for (const partition of indexes) {
      if (exists(context, name, partition)) partitions.push({ topic: name, partition });
      else missing = true;
    }
  }
  const { transactionalId, producerId, producerEpoch } = producer;
  const asked = { transactionalId, producerId, producerEpoch };
  const outcome = missing
    ? 'OPERATION_NOT_ATTEMPTED'
    : verifyOnly
      ? broker.transactions.verify(asked, partitions)
      : await broker.transactions.addPartitions(asked, partitions);
  const error = transactionError(outcome, apiVersion);
  return topics.map(({ name, partitions: indexes }) => ({
    name,
    resultsByPartition: indexes.map((partitionIndex) => {
      const own: ErrorName = exists(context, name, partitionIndex)
        ? error
        : 'UNKNOWN_TOPIC_OR_PARTITION';
      return { partitionIndex, partitionErrorCode: errorCode(own) };
    }),
  }));
}

function exists({ broker }: RequestContext, topic: string, partition: number): boolean {
  return broker.topics.partition(topic, partition) !== undefined;
}
