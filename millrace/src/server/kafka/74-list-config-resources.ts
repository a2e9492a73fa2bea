/**
 * ListConfigResources (key 74), versions 0-1.
 *
 * Behaviour:
 * - v1 lists the topics and the broker; v0 asks for client metrics only, of which there are none.
 *
 * Deviations:
 * - Groups, loggers and client metrics have no configuration here and are not listed.
 *
 * Source: KIP-714, KIP-1142.
 */
import type {
  ListConfigResourcesRequest,
  ListConfigResourcesResponseInput,
} from '../../wire/kafka/messages/74-list-config-resources.ts';
import { defineApi, type Api } from './api.ts';
import { RESOURCE_BROKER, RESOURCE_TOPIC } from './config-entries.ts';

export const listConfigResourcesApi: Api<
  ListConfigResourcesRequest,
  ListConfigResourcesResponseInput
> = defineApi({
  key: 74,
  name: 'ListConfigResources',
  minVersion: 0,
  maxVersion: 1,
  handle: ({ resourceTypes }, { broker, apiVersion }) => {
    if (apiVersion === 0) return { errorCode: 0, configResources: [] };
    // No types: all of them.
    const wants = (type: number): boolean =>
      resourceTypes.length === 0 || resourceTypes.includes(type);
    const topics = wants(RESOURCE_TOPIC)
      ? broker.topics
          .all()
          .map(({ name }) => ({ resourceName: name, resourceType: RESOURCE_TOPIC }))
      : [];
    const brokers = wants(RESOURCE_BROKER)
      ? [{ resourceName: String(broker.nodeId), resourceType: RESOURCE_BROKER }]
      : [];
    return { errorCode: 0, configResources: [...topics, ...brokers] };
  },
});
