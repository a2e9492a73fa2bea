/** What the two ways of altering configurations have in common: which resources can be altered, and the answers. */
import type { Broker } from '../../broker/broker.ts';
import type { ConfigKey } from '../../broker/config-table.ts';
import {
  TOPIC_CONFIG_KEYS,
  type TopicConfig,
  type TopicOverrides,
} from '../../broker/topic-config.ts';
import type { Outcome, Topic } from '../../broker/topics.ts';
import { errorCode, type ErrorName } from '../../wire/kafka/error-codes.ts';
import { RESOURCE_TOPIC } from './config-entries.ts';

interface Resource {
  readonly resourceType: number;
  readonly resourceName: string;
}

interface AlterAnswer extends Resource {
  readonly errorCode: number;
  readonly errorMessage: string | null;
}

/**
 * @param change what the request makes of the overrides of a topic; pure
 * @param change.inForce the text of the value in force of a configuration
 */
export function alterResources<Asked extends Resource>(
  broker: Broker,
  request: { readonly resources: readonly Asked[]; readonly validateOnly: boolean },
  change: (
    asked: Asked,
    overrides: TopicOverrides,
    inForce: (name: string) => string | undefined,
  ) => Outcome<TopicOverrides>,
): Promise<AlterAnswer[]> {
  const { validateOnly } = request;
  return Promise.all(
    request.resources.map(async (asked) => {
      const { resourceType, resourceName } = asked;
      if (resourceType !== RESOURCE_TOPIC)
        return answer(
          asked,
          'INVALID_REQUEST',
          'only topics can be altered; the settings of a broker are given at its start',
        );
      const topic = broker.topics.get(resourceName);
      if (topic === undefined)
        return answer(asked, 'UNKNOWN_TOPIC_OR_PARTITION', `there is no topic ${resourceName}`);
      const altered = await broker.topics.alterConfig(
        resourceName,
        (overrides) => change(asked, overrides, (name) => textInForce(topic, name)),
        { validateOnly },
      );
      return altered.ok
        ? { errorCode: 0, errorMessage: null, resourceType, resourceName }
        : answer(asked, altered.error, altered.message);
    }),
  );
}

function textInForce(topic: Topic, name: string): string | undefined {
  const known = TOPIC_CONFIG_KEYS.get(name);
  if (known === undefined) return undefined;
  const key: ConfigKey<unknown> = known.key;
  return key.format(topic.config[known.property satisfies keyof TopicConfig]);
}

function answer(asked: Resource, error: ErrorName, errorMessage: string): AlterAnswer {
  const { resourceType, resourceName } = asked;
  return { errorCode: errorCode(error), errorMessage, resourceType, resourceName };
}
