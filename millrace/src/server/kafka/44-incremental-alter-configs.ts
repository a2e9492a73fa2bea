/**
 * IncrementalAlterConfigs (key 44), versions 0-1.
 *
 * Behaviour:
 * - Sets, deletes, or (for lists) appends to or subtracts from single configurations of a topic; durable and in force
 *   when it is answered.
 *
 * Deviations:
 * - The broker's settings are given at its start and cannot be altered (INVALID_REQUEST).
 *
 * Source: KIP-339.
 */
import { TOPIC_CONFIG_KEYS, type TopicOverrides } from '../../broker/topic-config.ts';
import type { Outcome } from '../../broker/topics.ts';
import type { ErrorName } from '../../wire/kafka/error-codes.ts';
import type {
  IncrementalAlterConfigsRequest,
  IncrementalAlterConfigsResponseInput,
} from '../../wire/kafka/messages/44-incremental-alter-configs.ts';
import type { ElementOf } from '../../wire/kafka/schema.ts';
import { alterResources } from './alter-resources.ts';
import { defineApi, type Api } from './api.ts';

type Change = ElementOf<ElementOf<IncrementalAlterConfigsRequest['resources']>['configs']>;

/** NOTE: numbers of the protocol. */
const SET = 0;
const DELETE = 1;
const APPEND = 2;
const SUBTRACT = 3;

export const incrementalAlterConfigsApi: Api<
  IncrementalAlterConfigsRequest,
  IncrementalAlterConfigsResponseInput
> = defineApi({
  key: 44,
  name: 'IncrementalAlterConfigs',
  minVersion: 0,
  maxVersion: 1,
  handle: async (request, { broker }) => ({
    responses: await alterResources(broker, request, ({ configs }, overrides, inForce) =>
      applyAll(configs, overrides, inForce),
    ),
  }),
});

function applyAll(
  changes: readonly Change[],
  overrides: TopicOverrides,
  inForce: (name: string) => string | undefined,
): Outcome<TopicOverrides> {
  const next = new Map(Object.entries(overrides));
  if (new Set(changes.map(({ name }) => name)).size !== changes.length)
    return refused('INVALID_REQUEST', 'the request changes a configuration more than once');
  for (const { name, configOperation, value } of changes) {
    const key = TOPIC_CONFIG_KEYS.get(name)?.key;
    if (key === undefined) return refused('INVALID_CONFIG', `unknown topic configuration ${name}`);
    if (configOperation === DELETE) {
      next.delete(name);
      continue;
    }
    if (value === null) return refused('INVALID_CONFIG', `the value of ${name} cannot be null`);
    if (configOperation === SET) {
      next.set(name, value);
      continue;
    }
    if (configOperation !== APPEND && configOperation !== SUBTRACT)
      return refused('INVALID_REQUEST', `there is no operation ${configOperation}`);
    if (key.type !== 'list')
      return refused('INVALID_CONFIG', `${name} is not a list to append to or subtract from`);
    const present = items(next.get(name) ?? inForce(name) ?? '');
    const given = items(value);
    const changed =
      configOperation === APPEND
        ? [...present, ...given.filter((item) => !present.includes(item))]
        : present.filter((item) => !given.includes(item));
    next.set(name, changed.join(','));
  }
  return { ok: true, value: Object.fromEntries(next) };
}

function items(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function refused(error: ErrorName, message: string): Outcome<never> {
  return { ok: false, error, message };
}
