/**
 * ApiVersions (key 18), versions 0-4.
 *
 * Behaviour:
 * - Tells the APIs and versions that are served: exactly the list on this page.
 * - A version that is not known is answered in version 0 with UNSUPPORTED_VERSION and the list (KIP-511).
 *
 * Deviations:
 * - No features are announced: clients use transactions as before KIP-890, and classic groups.
 *
 * Source: KIP-35, KIP-511, KIP-584.
 */
import type {
  ApiVersionsRequest,
  ApiVersionsResponseInput,
} from '../../wire/kafka/messages/18-api-versions.ts';
import { defineApi, type Api } from './api.ts';

/** @param advertised the served APIs; a function, because this API is one of them */
export function apiVersionsApi(
  advertised: () => ApiVersionsResponseInput['apiKeys'],
): Api<ApiVersionsRequest, ApiVersionsResponseInput> {
  return defineApi({
    key: 18,
    name: 'ApiVersions',
    minVersion: 0,
    maxVersion: 4,
    handle: () => ({ errorCode: 0, apiKeys: advertised() }),
  });
}
