/**
 * AlterConfigs (key 33), versions 0-2.
 *
 * Behaviour:
 * - Replaces everything that is set on a topic by what the request says; durable and in force when it is answered.
 *
 * Deviations:
 * - The broker's settings are given at its start and cannot be altered (INVALID_REQUEST).
 *
 * Source: KIP-133. IncrementalAlterConfigs is the better way (KIP-339).
 */
import type {
  AlterConfigsRequest,
  AlterConfigsResponseInput,
} from '../../wire/kafka/messages/33-alter-configs.ts';
import { alterResources } from './alter-resources.ts';
import { defineApi, type Api } from './api.ts';

export const alterConfigsApi: Api<AlterConfigsRequest, AlterConfigsResponseInput> = defineApi({
  key: 33,
  name: 'AlterConfigs',
  minVersion: 0,
  maxVersion: 2,
  handle: async (request, { broker }) => ({
    responses: await alterResources(broker, request, ({ configs }) => {
      const unset = configs.find((config) => config.value === null);
      if (unset !== undefined)
        return {
          ok: false,
          error: 'INVALID_CONFIG',
          message: `the value of ${unset.name} cannot be null`,
        };
      const entries = configs.map(({ name, value }) => [name, value ?? ''] as const);
      return { ok: true, value: Object.fromEntries(entries) };
    }),
  }),
});
