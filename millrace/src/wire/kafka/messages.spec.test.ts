/**
 * Our bytes against foreign ones: vectors that Apache Kafka 4.3.0 encoded (test/wire/make-vectors.ts made them), the
 * encoders and decoders of kafkajs, and those of @platformatic/kafka.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ALL_MESSAGES, versionsOf } from '../../../test/wire/all-messages.ts';
import { fromKafkaJson } from '../../../test/wire/kafka-json.ts';
import type { Value } from '../../../test/wire/message-arbitrary.ts';
import { decodeMessage, encodeMessage } from './codec.ts';

interface Vector {
  readonly name: string;
  readonly version: number;
  readonly bytes: Buffer;
  readonly json: Value;
}

const VECTORS: readonly Vector[] = readFileSync(
  new URL('../../../test/wire/kafka-vectors.txt', import.meta.url),
  'utf8',
)
  .trimEnd()
  .split('\n')
  .map((line) => {
    const [name = '', version = '', hex = ''] = line.split(' ', 3);
    const json = line.slice(name.length + version.length + hex.length + 3);
    return {
      name,
      version: Number(version),
      bytes: Buffer.from(hex, 'hex'),
      json: JSON.parse(json) as Value,
    };
  });

/** What Kafka 4.3 no longer has, or what it says with a default of 2^63-1. */
const WITHOUT_VECTOR = /^Produce(?:Request|Response) v[012]$|^FetchRequest v18$/;

describe.each(ALL_MESSAGES.map((message) => ({ name: message.name, message })))(
  '$name',
  ({ name, message }) => {
    test('has a vector of Apache Kafka for every version', () => {
      const versions = VECTORS.filter((vector) => vector.name === name).map(
        (vector) => vector.version,
      );
      const expected = versionsOf(message).filter(
        (version) => !WITHOUT_VECTOR.test(`${name} v${version}`),
      );
      expect(versions).toEqual(expect.arrayContaining(expected));
    });

    test.each(VECTORS.filter((vector) => vector.name === name))(
      'v$version is what Apache Kafka encodes',
      ({ version, bytes, json }) => {
        const value = fromKafkaJson(message, version, json);
        expect(encodeMessage(message, version, value).toString('hex')).toBe(bytes.toString('hex'));
        expect(decodeMessage(message, version, bytes)).toEqual(value);
      },
    );
  },
);
