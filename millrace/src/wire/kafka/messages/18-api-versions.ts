/**
 * ApiVersions (key 18): the requests and versions that a broker serves, and its features.
 *
 * - v3 is flexible, names the client's software (KIP-511) and answers features (KIP-584).
 * - v4 may answer features whose least version is 0.
 *
 * The response header is always v0, so that a client can read it before anything is agreed. A
 * request of an unknown version is answered with v0 and UNSUPPORTED_VERSION (KIP-511): see
 * frames.ts.
 */
import {
  array,
  bool,
  int16,
  int32,
  int64,
  message,
  string,
  type Infer,
  type InferInput,
} from '../schema.ts';

export const apiVersionsRequest = message({
  name: 'ApiVersionsRequest',
  versions: '0-4',
  flexible: '3+',
  fields: {
    clientSoftwareName: string('3+', { default: '', ignorable: true }),
    clientSoftwareVersion: string('3+', { default: '', ignorable: true }),
  },
});

export const apiVersionsResponse = message({
  name: 'ApiVersionsResponse',
  versions: '0-4',
  flexible: '3+',
  fields: {
    errorCode: int16('0+'),
    apiKeys: array('0+', {
      apiKey: int16('0+'),
      minVersion: int16('0+'),
      maxVersion: int16('0+'),
    }),
    throttleTimeMs: int32('1+', { default: 0, ignorable: true }),
    supportedFeatures: array(
      '3+',
      {
        name: string('3+'),
        minVersion: int16('3+'),
        maxVersion: int16('3+'),
      },
      { tag: 0, ignorable: true },
    ),
    finalizedFeaturesEpoch: int64('3+', { default: -1, tag: 1, ignorable: true }),
    finalizedFeatures: array(
      '3+',
      {
        name: string('3+'),
        maxVersionLevel: int16('3+'),
        minVersionLevel: int16('3+'),
      },
      { tag: 2, ignorable: true },
    ),
    zkMigrationReady: bool('3+', { default: false, tag: 3, ignorable: true }),
  },
});

export type ApiVersionsRequest = Infer<typeof apiVersionsRequest>;
export type ApiVersionsRequestInput = InferInput<typeof apiVersionsRequest>;
export type ApiVersionsResponse = Infer<typeof apiVersionsResponse>;
export type ApiVersionsResponseInput = InferInput<typeof apiVersionsResponse>;
