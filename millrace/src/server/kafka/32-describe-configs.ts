/**
 * DescribeConfigs (key 32), versions 1-4.
 *
 * Behaviour:
 * - Topics: every configuration with its value, where it comes from, its synonyms, type and documentation.
 * - The broker (its id, or the empty name for the defaults of all brokers): its settings, read-only.
 * - A configuration without effect here says so in its documentation.
 *
 * Deviations:
 * - Loggers, client metrics and groups have no configuration (INVALID_REQUEST).
 *
 * Source: KIP-133, KIP-226, KIP-569.
 */
import type { Broker } from '../../broker/broker.ts';
import { errorCode, type ErrorName } from '../../wire/kafka/error-codes.ts';
import type {
  DescribeConfigsRequest,
  DescribeConfigsResponseInput,
} from '../../wire/kafka/messages/32-describe-configs.ts';
import type { ElementOf } from '../../wire/kafka/schema.ts';
import { defineApi, type Api } from './api.ts';
import {
  brokerConfigEntries,
  CONFIG_TYPE_IDS,
  type ConfigEntry,
  RESOURCE_BROKER,
  RESOURCE_TOPIC,
  topicConfigEntries,
} from './config-entries.ts';

type Asked = ElementOf<DescribeConfigsRequest['resources']>;
type Answer = ElementOf<DescribeConfigsResponseInput['results']>;

export const describeConfigsApi: Api<DescribeConfigsRequest, DescribeConfigsResponseInput> =
  defineApi({
    key: 32,
    name: 'DescribeConfigs',
    minVersion: 1,
    maxVersion: 4,
    handle: (request, { broker }) => ({
      results: request.resources.map((asked) => {
        const entries = entriesOf(asked, broker);
        return typeof entries === 'string'
          ? refused(asked, entries)
          : described(asked, entries, request);
      }),
    }),
  });

function entriesOf(asked: Asked, broker: Broker): readonly ConfigEntry[] | ErrorName {
  const { resourceType, resourceName } = asked;
  if (resourceType === RESOURCE_TOPIC) {
    const topic = broker.topics.get(resourceName);
    return topic === undefined
      ? 'UNKNOWN_TOPIC_OR_PARTITION'
      : topicConfigEntries(topic.config, topic.overrides, broker.settings);
  }
  if (resourceType !== RESOURCE_BROKER) return 'INVALID_REQUEST';
  // The empty name asks for what was altered for all brokers while they run: nothing can be.
  if (resourceName === '') return [];
  return resourceName === String(broker.nodeId)
    ? brokerConfigEntries(broker.settings)
    : 'INVALID_REQUEST';
}

function described(
  asked: Asked,
  entries: readonly ConfigEntry[],
  options: Pick<DescribeConfigsRequest, 'includeSynonyms' | 'includeDocumentation'>,
): Answer {
  const { configurationKeys, resourceType, resourceName } = asked;
  const wanted =
    configurationKeys === null || configurationKeys.length === 0
      ? undefined
      : new Set(configurationKeys);
  return {
    errorCode: 0,
    errorMessage: null,
    resourceType,
    resourceName,
    configs: entries
      .filter((entry) => wanted === undefined || wanted.has(entry.name))
      .map((entry) => ({
        name: entry.name,
        value: entry.value,
        readOnly: entry.readOnly,
        configSource: entry.source,
        isSensitive: false,
        synonyms: options.includeSynonyms ? entry.synonyms : [],
        configType: CONFIG_TYPE_IDS[entry.type],
        documentation: options.includeDocumentation ? entry.doc : null,
      })),
  };
}

function refused(asked: Asked, error: ErrorName): Answer {
  const { resourceType, resourceName } = asked;
  const errorMessage = `resource '${resourceName.slice(0, 300)}' of type ${resourceType} has no configuration here`;
  return { errorCode: errorCode(error), errorMessage, resourceType, resourceName, configs: [] };
}
