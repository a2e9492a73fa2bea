/**
 * CreatePartitions (key 37), versions 0-3.
 *
 * Behaviour:
 * - A topic gets more partitions, durably; fewer is INVALID_PARTITIONS.
 *
 * Deviations:
 * - Internal topics keep theirs.
 *
 * Source: KIP-195.
 */
import type { Broker } from '../../broker/broker.ts';
import type { Outcome } from '../../broker/topics.ts';
import { errorCode } from '../../wire/kafka/error-codes.ts';
import type {
  CreatePartitionsRequest,
  CreatePartitionsResponseInput,
} from '../../wire/kafka/messages/37-create-partitions.ts';
import type { ElementOf } from '../../wire/kafka/schema.ts';
import { defineApi, type Api } from './api.ts';

type Asked = ElementOf<CreatePartitionsRequest['topics']>;

export const createPartitionsApi: Api<CreatePartitionsRequest, CreatePartitionsResponseInput> =
  defineApi({
    key: 37,
    name: 'CreatePartitions',
    minVersion: 0,
    maxVersion: 3,
    handle: async (request, { broker }) => ({
      results: await Promise.all(
        request.topics.map(async (asked) => {
          const grown = await grow(asked, request.validateOnly, broker);
          return grown.ok
            ? { name: asked.name, errorCode: 0 }
            : { name: asked.name, errorCode: errorCode(grown.error), errorMessage: grown.message };
        }),
      ),
    }),
  });

async function grow(
  asked: Asked,
  validateOnly: boolean,
  broker: Broker,
): Promise<Outcome<unknown>> {
  const { name, count, assignments } = asked;
  const checked = broker.topics.checkAddPartitions(name, count);
  if (!checked.ok) return checked;
  const added = count - checked.value.partitions.length;
  const assignable =
    assignments === null ||
    (assignments.length === added &&
      assignments.every(
        ({ brokerIds }) => brokerIds.length === 1 && brokerIds[0] === broker.nodeId,
      ));
  if (!assignable)
    return {
      ok: false,
      error: 'INVALID_REPLICA_ASSIGNMENT',
      message: `each new partition is assigned to broker ${broker.nodeId} alone`,
    };
  return validateOnly ? checked : broker.topics.addPartitions(name, count);
}
